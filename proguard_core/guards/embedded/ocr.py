"""The text in a picture, by RapidOCR (Apache-2.0), and whether that text is all there is to the picture."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

# A line is part of the reading from READABLE on; text covers a picture only where every line reaches CERTAIN.
READABLE = 0.5
CERTAIN = 0.7
# Outside the lines (each widened by MARGIN of its height), at most SPECKS of the pixels may differ from the ground by
# more than SHADE of 255 levels in any channel.
MARGIN = 0.5
SPECKS = 0.002
SHADE = 24
FEWEST_LETTERS = 3

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Reading:
    """text: the readable lines, top to bottom. covers: the picture is nothing but a rendering of this text."""

    text: str
    covers: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One detected line: box as left, top, right, bottom in pixels; certainty of the recognised text in [0, 1]."""

    box: tuple[float, float, float, float]
    text: str
    certainty: float


class PictureReader:
    """One RapidOCR engine behind a lock: it keeps state between calls."""

    def __init__(self, threads: int) -> None:
        from rapidocr_onnxruntime import RapidOCR

        self._engine = RapidOCR(intra_op_num_threads=threads, inter_op_num_threads=1, text_score=0.0)
        self._lock = threading.Lock()

    def lines(self, image: Image) -> list[Line]:
        """Every detected line of an RGB picture, the doubtful ones too."""
        pixels = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        with self._lock:
            found, _ = self._engine(pixels)
        return [_line(item) for item in found or []]

    def read(self, image: Image) -> Reading:
        """The text, and whether it covers the picture's meaning."""
        lines = self.lines(image)
        text = "\n".join(line.text for line in lines if line.certainty >= READABLE)
        letters = sum(character.isalpha() for character in text)
        certain = bool(lines) and all(line.certainty >= CERTAIN for line in lines)
        covers = certain and letters >= FEWEST_LETTERS and specks(np.asarray(image.convert("RGB")), lines) <= SPECKS
        return Reading(text, covers)


def specks(pixels: Pixels, lines: list[Line]) -> float:
    """Share of the pixels outside the lines that differ from the ground, their median. 1.0 if nothing is outside."""
    outside = np.ones(pixels.shape[:2], dtype=bool)
    for line in lines:
        left, top, right, bottom = line.box
        margin = MARGIN * (bottom - top)
        rows = slice(max(0, int(top - margin)), int(bottom + margin) + 1)
        outside[rows, max(0, int(left - margin)) : int(right + margin) + 1] = False
    rest = pixels[outside].astype(np.int16)
    if not len(rest):
        return 1.0
    ground = np.median(rest, axis=0)
    return float((np.abs(rest - ground).max(axis=1) > SHADE).mean())


def _line(item: list[Any]) -> Line:
    corners = np.asarray(item[0], dtype=np.float64)
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    return Line((left, top, right, bottom), str(item[1]), float(item[2]))
