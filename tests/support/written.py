"""Pictures of sentences as people make them: turned, faint, noisy, by hand."""

import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, MARGIN, SIZE = 720, 40, 36
_LINE = 1.5

Colour = tuple[int, int, int]
Face = ImageFont.FreeTypeFont | ImageFont.ImageFont


def lines_of(text: str, face: Face, width: float = WIDTH - 2 * MARGIN) -> list[str]:
    """The text broken into lines of at most `width` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def written(text: str, ink: Colour = (20, 20, 20), ground: Colour = (255, 255, 255), size: int = SIZE) -> Image.Image:
    """Printed, in Pillow's own face."""
    face = ImageFont.load_default(size)
    lines = lines_of(text, face)
    step = round(size * _LINE)
    image = Image.new("RGB", (WIDTH, _tall(len(lines), step)), ground)
    draw = ImageDraw.Draw(image)
    for at, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + at * step), line, ink, face)
    return image


def _tall(lines: int, step: int) -> int:
    """At least half as tall as wide, as pictures are that people post."""
    return max(WIDTH // 2, 2 * MARGIN + step * lines)


def turned(text: str, degrees: float) -> Image.Image:
    """Against the clock; the corners take the colour of the ground."""
    return written(text).rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(255, 255, 255))


def noisy(text: str, strength: float = 12.0, seed: int = 1) -> Image.Image:
    """With noise in every channel, normal with this standard deviation of 255 levels."""
    pixels = np.asarray(written(text)).astype(np.float64)
    pixels += np.random.default_rng(seed).normal(0, strength, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def by_hand(text: str, seed: int = 1) -> Image.Image:
    """Like a hand: no two letters alike in slant, size, turn and height, lines that rise and fall, blue ink on cream.

    There is no face of handwriting on a bare machine, so the letters of a printed one are bent.
    """
    chance = random.Random(seed)
    face = ImageFont.load_default(SIZE)
    lines = lines_of(text, face, (WIDTH - 2 * MARGIN) / 1.15)
    step = round(SIZE * 1.7)
    image = Image.new("RGB", (WIDTH, _tall(len(lines), step)), (250, 246, 235))
    for at, line in enumerate(lines):
        x, rise = float(MARGIN), chance.uniform(-0.03, 0.03)
        for letter in line:
            size = round(SIZE * chance.uniform(0.9, 1.12))
            bent = _bent(letter, size, chance)
            y = MARGIN + at * step + rise * (x - MARGIN) + chance.uniform(-3, 3) - size // 2
            image.paste((30, 40, 110), (round(x) - size // 2, round(y)), bent)
            x += ImageFont.load_default(size).getlength(letter) * 1.08 + chance.uniform(-1, 1.5)
    return image


def _bent(letter: str, size: int, chance: random.Random) -> Image.Image:
    """One letter as a mask, slanted and turned."""
    mask = Image.new("L", (size * 2, size * 2), 0)
    ImageDraw.Draw(mask).text((size // 2, size // 2), letter, 255, ImageFont.load_default(size))
    slant = chance.uniform(0.12, 0.32)
    mask = mask.transform(
        mask.size, Image.Transform.AFFINE, (1, slant, -slant * size, 0, 1, 0), Image.Resampling.BICUBIC
    )
    return mask.rotate(chance.uniform(-6, 6), Image.Resampling.BICUBIC)


WAYS: dict[str, Callable[[str], Image.Image]] = {
    "printed": written,
    "turned by 4 degrees": lambda text: turned(text, 4),
    "turned by 12 degrees": lambda text: turned(text, -12),
    "turned by 90 degrees": lambda text: turned(text, 90),
    "turned by 180 degrees": lambda text: turned(text, 180),
    "turned by 270 degrees": lambda text: turned(text, 270),
    "low contrast": lambda text: written(text, (186, 186, 186), (206, 206, 206)),
    "hardly any contrast": lambda text: written(text, (237, 240, 237), (245, 248, 245)),
    "faint on black": lambda text: written(text, (48, 48, 48), (24, 24, 24)),
    "light noise": noisy,
    "strong noise": lambda text: noisy(text, 30.0),
    "by hand": by_hand,
}
