"""Pictures for tests, good and bad, made in memory."""

import io
import struct
import zlib
from collections.abc import Sequence

from PIL import Image


def encoded(image: Image.Image, picture_format: str, **options: object) -> bytes:
    """The file of an image."""
    buffer = io.BytesIO()
    image.save(buffer, picture_format, **options)
    return buffer.getvalue()


def gradient(width: int, height: int) -> Image.Image:
    """An RGB picture that compresses like a photograph rather than like a flat colour."""
    return Image.merge(
        "RGB", [Image.radial_gradient("L"), Image.linear_gradient("L"), Image.radial_gradient("L")]
    ).resize((width, height))


def jpeg(width: int = 320, height: int = 240, **options: object) -> bytes:
    """A JPEG."""
    return encoded(gradient(width, height), "JPEG", **options)


def animation(picture_format: str, frames: int, size: tuple[int, int] = (16, 16)) -> bytes:
    """An animation in which every frame differs from its neighbours; frame i has the colour (i % 256, i // 256, 9)."""
    images = [Image.new("RGB", size, (index % 256, index // 256, 9)) for index in range(frames)]
    options: dict[str, object] = {"save_all": True, "append_images": images[1:], "duration": 20}
    if picture_format == "WEBP":
        options["lossless"] = True
    return encoded(images[0], picture_format, **options)


def gif(colours: Sequence[int], size: tuple[int, int] = (8, 8)) -> bytes:
    """A GIF of flat grey frames, quick to write even with 10,000 of them."""
    images = [Image.new("L", size, colour) for colour in colours]
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=20, optimize=False)


def gif_with_red(red: int, frames: int = 10_000, size: tuple[int, int] = (8, 8)) -> bytes:
    """A GIF of grey frames, one of them red."""
    images = [Image.new("RGB", size, (index % 251,) * 3) for index in range(frames)]
    images[red] = Image.new("RGB", size, "red")
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=20, optimize=False)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width: int, height: int) -> bytes:
    """A PNG that declares width x height white pixels of one bit, in a few kilobytes and without building them here."""
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>1</script></svg>'
HTML = b"<!doctype html><html><body><img src=x onerror=alert(1)></body></html>"
# The container AVIF uses as well; only the brands say which it is.
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + b"\0\0\0\x08meta" + b"\0" * 64
HEIC_GENERIC = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0\0\0\x08meta" + b"\0" * 64
