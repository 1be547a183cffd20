"""The text in a picture, by RapidOCR (Apache-2.0), and whether that text is all there is to the picture."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, fromarray, new
from PIL.ImageDraw import Draw

# A line is part of the reading from READABLE on; text covers a picture only where every line reaches CERTAIN.
READABLE = 0.5
CERTAIN = 0.7
# Outside the lines (each widened by MARGIN of its height), at most SPECKS of the pixels, means of AVERAGED x AVERAGED
# against noise, may differ from the ground by more than SHADE of 255 levels in any channel.
MARGIN = 0.5
SPECKS = 0.002
SHADE = 24
AVERAGED = 2
FEWEST_LETTERS = 3
# A picture whose shades lie within FAINT levels is stretched to all of them before it is read; below FLAT it is blank.
FAINT, FLAT = 64, 3
_SHARES = (0.0005, 0.9995)
# How sure the detector must be of a line; LOOSE is for a second look, where a plain ground has little unread on it.
USUAL, LOOSE = 0.5, 0.3
UNREAD = 0.05
_UNCLIP = 1.6
# Pixels of a picture's shorter side: what is smaller is enlarged to it before lines are looked for.
DETECTOR_SIDE = 544
# A picture that is more times as long as wide is padded first: RapidOCR enlarges the shorter side whatever becomes of
# the longer one, and a picture of 1 x 500 took minutes. Below LEAST_SIDE pixels there is no room for letters.
MOST_STRETCHED, LEAST_SIDE = 4, 8
# RapidOCR turns a crop that is so much taller than wide.
_TALL = 1.5

Pixels = NDArray[np.uint8]
Point = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reading:
    """text: the readable lines in reading order. covers: the picture is nothing but a rendering of this text."""

    text: str
    covers: bool


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One detected line: its four corners (4 x 2, pixels, clockwise), certainty of the text in [0, 1].

    flipped: it was turned by half before it was read, since it stands upside down.
    """

    corners: NDArray[np.float64]
    text: str
    certainty: float
    flipped: bool = False

    @property
    def forward(self) -> Point:
        """The direction in which it is read, of length 1."""
        along, across = self.corners[1] - self.corners[0], self.corners[3] - self.corners[0]
        tall = np.linalg.norm(across) >= _TALL * np.linalg.norm(along)
        found = np.asarray((across if tall else along) * (-1 if self.flipped else 1), np.float64)
        length = np.linalg.norm(found)
        return found / length if length else np.array([1.0, 0.0])

    @property
    def height(self) -> float:
        """Of its letters, roughly: the extent across the direction in which it is read."""
        across = self.corners @ _below(self.forward)
        return float(across.max() - across.min())


class PictureReader:
    """One RapidOCR engine behind a lock: it keeps state between calls."""

    def __init__(self, threads: int) -> None:
        from rapidocr_onnxruntime import RapidOCR

        self._engine = RapidOCR(intra_op_num_threads=threads, inter_op_num_threads=1, text_score=0.0)
        # Lines that are read together are padded to the widest of them: a page takes 1.4 times as long that way.
        self._engine.text_rec.rec_batch_num = 1
        self._turns = _Turns(self._engine.text_cls, self._engine.text_rec)
        self._engine.text_cls, self._engine.text_rec = self._turns.turn, self._turns.recognise
        self._engine.text_det.limit_side_len = DETECTOR_SIDE
        self._lock = threading.Lock()

    def lines(self, image: Image, least: float = USUAL) -> list[Line]:
        """Every line of an RGB picture of which the detector is so sure, the doubtful ones too, in reading order."""
        if min(image.size) < LEAST_SIDE:
            return []
        padded, offset = framed(np.asarray(image.convert("RGB")))
        pixels = np.ascontiguousarray(padded[:, :, ::-1])
        with self._lock:
            found, _ = self._engine(pixels, box_thresh=least, unclip_ratio=_UNCLIP, text_score=0.0)
            flips = self._turns.flips if len(self._turns.flips) == len(found or []) else [False] * len(found or [])
        return in_order([_line(item, flipped, offset) for item, flipped in zip(found or [], flips, strict=True)])

    def read(self, image: Image) -> Reading:
        """The text, and whether it covers the picture's meaning."""
        clear = stretched(np.asarray(image.convert("RGB")))
        lines = self.lines(fromarray(clear))
        unread = specks(clear, lines)
        if SPECKS < unread <= UNREAD:
            again = self.lines(fromarray(clear), LOOSE)
            if _letters(again) > _letters(lines):
                lines, unread = again, specks(clear, again)
        certain = bool(lines) and all(line.certainty >= CERTAIN for line in lines)
        covers = certain and _letters(lines) >= FEWEST_LETTERS and unread <= SPECKS
        return Reading("\n".join(line.text for line in _readable(lines)), covers)


class _Turns:
    """RapidOCR's classifier of crops that stand upside down, and its recogniser, which has the last word on it.

    The classifier is wrong about one long line in a hundred, and a line that stands upside down is not read. flips: the
    crops that were turned, of the picture before.
    """

    def __init__(self, classifier: Any, recogniser: Any) -> None:
        self._classifier, self._recogniser = classifier, recogniser
        self.flips: list[bool] = []

    def turn(self, crops: Any) -> Any:
        """See RapidOCR's TextClassifier."""
        said = self._classifier(crops)
        self.flips = [bool("180" in label and score > self._classifier.cls_thresh) for label, score in said[1]]
        return said

    def recognise(self, crops: Any, word_boxes: bool = False) -> Any:
        """See RapidOCR's TextRecognizer. What it is unsure of it reads from the other end as well."""
        said, took = self._recogniser(crops, word_boxes)
        doubtful = [at for at, each in enumerate(said) if each[1] < CERTAIN]
        if doubtful:
            again, longer = self._recogniser([crops[at][::-1, ::-1] for at in doubtful], word_boxes)
            took += longer
            for at, each in zip(doubtful, again, strict=True):
                if each[1] >= CERTAIN and _letter_count(each[0]) >= _letter_count(said[at][0]):
                    said[at], self.flips[at] = each, not self.flips[at]
        return said, took


def in_order(lines: Sequence[Line]) -> list[Line]:
    """Row by row, as the longest line is turned: from its top down, and in a row in its direction."""
    if not lines:
        return []
    forward = max(lines, key=lambda line: len(line.text)).forward
    below = _below(forward)
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: float(_centre(line) @ below)):
        near = rows and float((_centre(line) - _centre(rows[-1][0])) @ below) < rows[-1][0].height / 2
        if near:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: float(_centre(line) @ forward))]


def framed(pixels: Pixels) -> tuple[Pixels, Point]:
    """A long, thin picture in the middle of its own ground, and where it begins there (x, y); any other as it is."""
    height, width = pixels.shape[:2]
    least = -(-max(height, width) // MOST_STRETCHED)
    more = [max(0, least - side) for side in (height, width)]
    if not any(more):
        return pixels, np.zeros(2)
    made = np.empty((height + more[0], width + more[1], 3), dtype=np.uint8)
    made[:] = [_shades(channel, 0.5)[0] for channel in pixels.reshape(-1, 3).T]
    top, left = more[0] // 2, more[1] // 2
    made[top : top + height, left : left + width] = pixels
    return made, np.array([left, top], dtype=np.float64)


def stretched(pixels: Pixels) -> Pixels:
    """A faint picture with all shades from black to white; any other as it is. Height x width x 3."""
    low, high = _shades(pixels, *_SHARES)
    if not FLAT <= high - low < FAINT:
        return pixels
    scaled = (pixels.astype(np.float32) - low) * (255 / (high - low))
    return np.asarray(scaled.clip(0, 255), dtype=np.uint8)


def specks(pixels: Pixels, lines: Sequence[Line]) -> float:
    """Share of the pixels outside the lines that differ from the ground, their median. 1.0 if nothing is outside."""
    small = fromarray(pixels).reduce(AVERAGED)
    mask = new("1", small.size, 1)
    draw = Draw(mask)
    for line in lines:
        draw.polygon([(float(x), float(y)) for x, y in widened(line) / AVERAGED], fill=0)
    rest = np.asarray(small)[np.asarray(mask)]
    if not len(rest):
        return 1.0
    differs = np.zeros(len(rest), dtype=np.bool_)
    for channel in rest.T:
        differs |= (np.abs(np.arange(256) - _shades(channel, 0.5)) > SHADE)[channel]
    return float(differs.mean())


def _shades(values: Pixels, *shares: float) -> NDArray[np.int64]:
    """The levels of 256 that so large shares of the values do not exceed: much quicker by counts than by sorting."""
    counts = np.bincount(values.ravel(), minlength=256)
    return np.searchsorted(np.cumsum(counts), np.array(shares) * values.size)


def widened(line: Line) -> NDArray[np.float64]:
    """Its corners, each moved outwards by MARGIN of its height in both directions."""
    centre, forward, below = _centre(line), line.forward, _below(line.forward)
    margin = MARGIN * line.height
    away = line.corners - centre
    moved = [np.sign(away @ direction)[:, np.newaxis] * direction * margin for direction in (forward, below)]
    return np.asarray(line.corners + moved[0] + moved[1])


def _centre(line: Line) -> Point:
    return np.asarray(line.corners.mean(axis=0))


def _below(forward: Point) -> Point:
    """A quarter turn clockwise, as y grows downwards: to the next line of a text."""
    return np.array([-forward[1], forward[0]])


def _readable(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.certainty >= READABLE]


def _letters(lines: Sequence[Line]) -> int:
    return sum(_letter_count(line.text) for line in _readable(lines))


def _letter_count(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _line(item: list[Any], flipped: bool, offset: Point) -> Line:
    return Line(np.asarray(item[0], dtype=np.float64) - offset, str(item[1]), float(item[2]), flipped)
