"""Pictures of rows: fetched by whoever has them, decoded as the guard decodes them, recognised when they come back."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from proguard_core.guards.protocol import GuardLimits
from proguard_core.images import ImageError, ImageLimits, decode

LIMITS = ImageLimits(
    max_source_pixels=40_000_000, max_pixels=GuardLimits().max_pixels, max_frames=1, formats=("JPEG", "PNG", "WEBP")
)
JPEG_QUALITY = 95
_SIDE = 16
# Re-encoded copies of a picture differ in up to 10 of 256 bits, different placards of text in 10 and more (measured).
NEAR_BITS = 10
_BANDS = 16

Fetch = Callable[[str], bytes]


class PictureGone(Exception):
    """There is no such picture any more, or it may not be read."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """digest: SHA-256 of the bytes. bits: difference hash, 32 bytes."""

    digest: str
    bits: bytes

    def is_near(self, other: "Fingerprint") -> bool:
        """Whether both show the same picture, possibly re-encoded or scaled."""
        if self.digest == other.digest:
            return True
        differing = np.frombuffer(self.bits, np.uint8) ^ np.frombuffer(other.bits, np.uint8)
        return int(np.bitwise_count(differing).sum()) <= NEAR_BITS

    @property
    def bands(self) -> list[tuple[int, bytes]]:
        """Near pictures share at least one of these: their 16 bands cannot all differ by 10 bits."""
        size = len(self.bits) // _BANDS
        return [(band, self.bits[band * size : (band + 1) * size]) for band in range(_BANDS)]


def local(reference: str) -> bytes:
    """Bytes of a file. Raises PictureGone."""
    try:
        return Path(reference).read_bytes()
    except (OSError, ValueError) as error:
        raise PictureGone(type(error).__name__) from error


def fingerprint(data: bytes) -> Fingerprint:
    """Of a still picture. Raises ImageError."""
    image = _still(data).convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    shades: NDArray[np.int16] = np.asarray(image, np.int16)
    bits = np.packbits((shades[:, 1:] > shades[:, :-1]).ravel())
    return Fingerprint(hashlib.sha256(data).hexdigest(), bits.tobytes())


def training_bytes(data: bytes) -> bytes:
    """The picture as a trainer may decode it without further care: as it is, or upright and scaled as a JPEG.

    Raises ImageError.
    """
    image = _still(data)
    with Image.open(io.BytesIO(data), formats=LIMITS.formats) as original:
        is_plain = original.size == image.size and original.mode in {"RGB", "L"} and not original.getexif()
    if is_plain:
        return data
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _still(data: bytes) -> Image.Image:
    decoded = decode(data, LIMITS)
    if decoded.frames > 1:
        from schemas.common import Reason

        raise ImageError(Reason.FRAMES_SKIPPED, "an animation: which frame the label speaks of is not known")
    return decoded.pictures[0].image
