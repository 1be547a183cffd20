"""The pictures of the sample posts, drawn by Pillow at run time: the same bytes every time, and nothing to license."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

Colour: TypeAlias = tuple[int, int, int]

WIDTH, HEIGHT = 640, 400
_PAPER: Colour = (250, 247, 238)
_INK: Colour = (30, 30, 40)
_CHARACTERS_A_LINE = 24
_FONT_SIZE = 40
_FRAMES = 3
_FRAME_MS = 200


def make_pictures(folder: Path) -> list[Path]:
    """Draw every picture into a folder (made if missing); returns their paths in a fixed order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in PICTURES.items():
        draw(folder / name)
        paths.append(folder / name)
    return paths


def text_picture(text: str, paper: Colour = _PAPER, ink: Colour = _INK) -> Image.Image:
    """A placard of 640 x 400: the text in large letters, wrapped and centred. Latin letters only."""
    image = Image.new("RGB", (WIDTH, HEIGHT), paper)
    draw = ImageDraw.Draw(image)
    draw.multiline_text(
        (WIDTH / 2, HEIGHT / 2),
        "\n".join(textwrap.wrap(text, _CHARACTERS_A_LINE)),
        fill=ink,
        font=ImageFont.load_default(_FONT_SIZE),
        anchor="mm",
        align="center",
        spacing=14,
    )
    return image


def scene() -> Image.Image:
    """A house under the sun: nothing to read in it, so the embedded guard has nothing to judge by."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (150, 200, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 280, WIDTH, HEIGHT), fill=(96, 160, 84))
    draw.ellipse((500, 30, 590, 120), fill=(255, 214, 70))
    draw.rectangle((180, 170, 380, 320), fill=(214, 150, 110), outline=_INK, width=3)
    draw.polygon([(160, 170), (280, 80), (400, 170)], fill=(150, 60, 50), outline=_INK)
    draw.rectangle((255, 240, 305, 320), fill=(90, 60, 40))
    draw.rectangle((205, 195, 245, 235), fill=(230, 240, 250), outline=_INK, width=3)
    draw.rectangle((470, 220, 490, 320), fill=(110, 80, 50))
    draw.ellipse((425, 130, 535, 245), fill=(60, 120, 60))
    return image


def _placard(text: str, paper: Colour = _PAPER) -> Callable[[Path], None]:
    return lambda path: text_picture(text, paper).save(path)


def _scene(path: Path) -> None:
    scene().save(path, quality=88)


def _animation(path: Path) -> None:
    """A greeting whose paper changes its colour, so that every frame differs."""
    frames = [text_picture("Happy birthday, Anna!", (255, 250 - 12 * n, 215 + 6 * n)) for n in range(_FRAMES)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0)


PICTURES: dict[str, Callable[[Path], None]] = {
    "menu.png": _placard("Soup of the day: tomato and basil, with fresh bread"),
    "lost-cat.png": _placard("Lost: a grey cat called Mimi. Please call the bakery.", (255, 244, 200)),
    "threat.png": _placard("I am going to kill you and your whole family.", (245, 225, 225)),
    "hate.png": _placard("Immigrants are vermin. Get out of our town or we will make you.", (235, 235, 235)),
    "garden.jpg": _scene,
    "birthday.gif": _animation,
}
