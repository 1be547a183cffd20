"""Bytes from strangers to pictures a guard can look at: bounded in pixels, frames and work, never guessed.

Pure, synchronous and thread-safe: meant for a thread pool (Pillow releases the interpreter lock while it decodes).
"""

import hashlib
import io
import struct
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from proguard_core import gif_work
from proguard_core.guards.protocol import Picture
from schemas.common import Reason

# Once, at import, for the whole process: Pillow's warning about decompression bombs is an error. It is the second
# fence; the first is `_check_size`, which runs before any pixel is decoded and depends on no global state.
warnings.simplefilter("error", Image.DecompressionBombWarning)

# An animation is decoded frame after frame (each builds on the one before), so the last frame costs all of them.
# Work is counted in pixels; each frame also costs a fixed amount, whatever its size.
_WORK_FACTOR = 4
_FRAME_OVERHEAD_PIXELS = 10_000
# A progressive JPEG may repeat its scans without end, and each costs a walk over the whole picture: 200 KB can take a
# minute, 20 MB hours. Cameras and encoders write up to 20 of them.
_SCANS = 32
_SCAN_MARKER = b"\xff\xda"
# A photograph as a 20 MB GIF has 80,000 blocks; more than this is made to keep us busy.
_GIF_STEPS = 1_000_000
# Below it, averaging over areas would show as jagged lines.
_SMOOTH_SHRINK = 1.5

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(Exception):
    """The bytes are no picture that can be judged. reason is the verdict's; the message never quotes content."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is decoded. formats are Pillow's names (JPEG, PNG, WEBP, GIF, AVIF).

    max_source_pixels: width x height as stored. max_pixels: of each picture handed on. max_frames: sampled at most.
    """

    max_source_pixels: int
    max_pixels: int
    max_frames: int
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """pictures: the still, or the frames sampled. frames: how many the file has; more than pictures means skipped."""

    pictures: tuple[Picture, ...]
    frames: int

    @property
    def pixels(self) -> int:
        """Of all pictures together."""
        return sum(picture.pixels for picture in self.pictures)


Room = Callable[[int], AbstractContextManager[object]]
"""Given the pixels that decoding holds at once (up to 9 bytes each), waits for room and keeps it."""


def _any_room(_pixels: int) -> AbstractContextManager[object]:
    return nullcontext()


def decode(data: bytes, limits: ImageLimits, room: Room = _any_room) -> DecodedImage:
    """The picture in data, or frames of it spread evenly from the first to the last.

    The work on an animation is bounded: frames are visited in order until about four times max_source_pixels
    have been decoded (20,000 small frames, 200 of one megapixel at the default), and the sample is spread over the part
    reached; what was not looked at shows as `frames > len(pictures)`.
    Raises ImageError (image_empty, image_format, image_unreadable, image_too_many_pixels).
    """
    if not data:
        raise ImageError(Reason.IMAGE_EMPTY, "the object has no bytes")
    if "GIF" in limits.formats and gif_work.is_gif(data) and gif_work.is_too_much(data, _GIF_STEPS):
        raise ImageError(Reason.IMAGE_TOO_MANY_PIXELS, "its blocks are more work than the limit on pixels allows")
    try:
        with _open(data, limits) as image:
            _check_size(image, limits)
            _check_scans(data, image, limits)
            digest = hashlib.sha256(data).hexdigest()
            frames = _frame_count(image)
            if frames == 1:
                return DecodedImage((Picture(_prepared(image, limits, room), digest),), 1)
            with room(image.width * image.height):
                return DecodedImage(_sampled(image, frames, digest, limits), frames)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(Reason.IMAGE_TOO_MANY_PIXELS, "more pixels than any limit allows") from None
    except Exception as error:  # codecs raise whatever their parser stumbles over: struct.error, KeyError, zlib.error
        raise ImageError(Reason.IMAGE_UNREADABLE, f"truncated or corrupt ({type(error).__name__})") from error


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=limits.formats)
    except UnidentifiedImageError:
        if any(_looks_like(name, data) for name in limits.formats):
            raise ImageError(Reason.IMAGE_UNREADABLE, "the header of the picture is broken") from None
        allowed = ", ".join(limits.formats)
        raise ImageError(Reason.IMAGE_FORMAT, f"no picture of an allowed format ({allowed})") from None


def _looks_like(name: str, data: bytes) -> bool:
    """Whether the first bytes announce this format, so that a failure to open it means damage."""
    if name == "AVIF":  # HEIC shares AVIF's container: only the brands tell them apart
        return data[4:8] == b"ftyp" and any(brand in data[8:64] for brand in (b"avif", b"avis"))
    accept = Image.OPEN[name][1] if name in Image.OPEN else None
    return accept is not None and bool(accept(data[:16]))


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    pixels = image.width * image.height
    if pixels > limits.max_source_pixels:
        message = f"{image.width} x {image.height} is above the limit of {limits.max_source_pixels} pixels"
        raise ImageError(Reason.IMAGE_TOO_MANY_PIXELS, message)


def _check_scans(data: bytes, image: Image.Image, limits: ImageLimits) -> None:
    if image.format not in {"JPEG", "MPO"}:
        return
    work = data.count(_SCAN_MARKER) * image.width * image.height
    if work > _SCANS * limits.max_source_pixels:
        raise ImageError(Reason.IMAGE_TOO_MANY_PIXELS, "its scans are more work than the limit on pixels allows")


def _frame_count(image: Image.Image) -> int:
    # A JPEG with further pictures behind it (MPO: depth map, preview) is shown as a still by every viewer.
    if image.format == "MPO":
        return 1
    return max(1, int(getattr(image, "n_frames", 1)))


def _sampled(image: Image.Image, frames: int, digest: str, limits: ImageLimits) -> tuple[Picture, ...]:
    work = limits.max_source_pixels * _WORK_FACTOR
    reachable = max(1, work // (image.width * image.height + _FRAME_OVERHEAD_PIXELS))
    pictures = []
    for position in _spread(min(frames, reachable), limits.max_frames):
        image.seek(position)
        _check_size(image, limits)  # a frame of a GIF may enlarge the canvas
        pictures.append(Picture(_prepared(image, limits), f"{digest}#{position}"))
    return tuple(pictures)


def _spread(frames: int, wanted: int) -> list[int]:
    """At most `wanted` positions of `frames`, evenly spread, the first and the last among them."""
    count = min(frames, wanted)
    if count == 1:
        return [0]
    return [round(index * (frames - 1) / (count - 1)) for index in range(count)]


def _prepared(image: Image.Image, limits: ImageLimits, room: Room = _any_room) -> Image.Image:
    """A new RGB image of at most max_pixels, upright, on white where it was transparent."""
    size = fitted(image.width, image.height, limits.max_pixels)
    stored = image.width * image.height
    if image.format in {"JPEG", "MPO"}:
        image.draft("RGB", size)  # lets the codec skip the detail that is thrown away below: a third of the time
    # A progressive JPEG keeps the coefficients of every pixel, however small it is decoded.
    with room(stored if "progressive" in image.info else image.width * image.height):
        return _scaled(image, size, limits)


def _scaled(image: Image.Image, size: tuple[int, int], limits: ImageLimits) -> Image.Image:
    image.load()
    upright = _orientation(image)
    opaque = _opaque(image)
    if opaque.size != size and opaque.width * opaque.height > limits.max_pixels:
        opaque = opaque.resize(size, _filter(opaque.width / size[0]))
    elif opaque is image:
        opaque = image.copy()
    if upright is not None:
        opaque = opaque.transpose(upright)
    opaque.info.clear()  # EXIF, comments and profiles are not for the guard
    return opaque


def _filter(shrink: float) -> Image.Resampling:
    """Averages over areas where it shrinks enough for that to look smooth: a third of bicubic's time (benchmarks)."""
    return Image.Resampling.BOX if shrink >= _SMOOTH_SHRINK else Image.Resampling.BICUBIC


def fitted(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest size of the same shape with at most max_pixels, both sides at least 1; never enlarged."""
    if width * height <= max_pixels:
        return width, height
    scale = (max_pixels / (width * height)) ** 0.5
    narrow, tall = max(1, int(width * scale)), max(1, int(height * scale))
    return min(narrow, max_pixels // min(tall, max_pixels)), min(tall, max_pixels // min(narrow, max_pixels))


def _orientation(image: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except (OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, struct.error, EOFError):
        # broken EXIF beside sound pixels: viewers show the picture as stored, and so do we
        return None


def _opaque(image: Image.Image) -> Image.Image:
    """RGB of any mode: alpha on white, 16 bits scaled to 8, palettes and CMYK converted; RGB is the image itself."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGB", layered.size, "white")
        white.paste(layered, mask=layered.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")
