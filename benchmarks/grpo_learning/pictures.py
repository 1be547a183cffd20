"""Words as pictures: one font, one word a line, each on a grid that a tiny vision tower sees word by word."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

CELL = 28
"""Pixels of one token's side (two patches of 14)."""
COLUMNS, LINES = 3, 6
_SIZE = 17
_WORD = re.compile(r"[a-z]{4,}")


def words_shown(text: str) -> tuple[str, ...]:
    """The longest words of a text, as many as a picture has lines, in their order. Labels have no part in it."""
    words = list(dict.fromkeys(_WORD.findall(text.casefold())))
    longest = sorted(words, key=len, reverse=True)[:LINES]
    return tuple(word for word in words if word in longest)


def draw_words(words: Sequence[str], folder: Path) -> Path:
    """A PNG named by its words' digest; what is wider than the picture is cut."""
    path = folder / f"{hashlib.sha256(' '.join(words).encode()).hexdigest()[:24]}.png"
    if not path.exists():
        image = Image.new("RGB", (COLUMNS * CELL, LINES * CELL), (255, 255, 255))
        draw = ImageDraw.Draw(image)
        for line, word in enumerate(words):
            draw.text((1, line * CELL + 22), word, fill=(0, 0, 0), font=_font(), anchor="ls")
        image.save(path)
    return path


@cache
def _font() -> "FreeTypeFont | ImageFont.ImageFont":
    return ImageFont.load_default(_SIZE)
