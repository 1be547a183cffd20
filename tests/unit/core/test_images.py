"""Law 8: bytes from strangers become pictures within limits, or a reason. Nothing is guessed, nothing hangs."""

import hashlib
import io
import struct
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from proguard_core.gif_work import is_too_much
from proguard_core.images import DecodedImage, ImageError, ImageLimits, decode, fitted
from schemas.common import Reason
from tests.support import pictures

LIMITS = ImageLimits(50_000_000, 100_000, 8, ("JPEG", "PNG", "WEBP", "GIF", "AVIF"))


def reason_of(data: bytes, limits: ImageLimits = LIMITS) -> Reason:
    with pytest.raises(ImageError) as caught:
        decode(data, limits)
    return caught.value.reason


def only(decoded: DecodedImage) -> Image.Image:
    assert decoded.frames == 1
    (picture,) = decoded.pictures
    assert picture.image.mode == "RGB"
    return picture.image


def near(image: Image.Image, position: tuple[int, int], colour: tuple[int, int, int], tolerance: int = 6) -> bool:
    found = image.getpixel(position)
    assert isinstance(found, tuple)
    return all(abs(one - other) <= tolerance for one, other in zip(found, colour, strict=True))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_every_allowed_format_is_decoded_below_the_limit_with_its_shape_kept(name: str) -> None:
    data = pictures.encoded(pictures.gradient(1200, 600), name)
    decoded = decode(data, LIMITS)
    image = only(decoded)
    assert 0.9 * LIMITS.max_pixels < image.width * image.height <= LIMITS.max_pixels
    assert image.width / image.height == pytest.approx(2, rel=0.02)
    assert decoded.pictures[0].digest == hashlib.sha256(data).hexdigest()
    assert decoded.pixels == image.width * image.height


def test_a_small_picture_is_not_enlarged() -> None:
    assert only(decode(pictures.jpeg(32, 20), LIMITS)).size == (32, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_after_draft_decoding(orientation: int) -> None:
    stored = Image.new("RGB", (1600, 800), "blue")
    stored.paste("red", (0, 0, 400, 200))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = only(decode(pictures.encoded(stored, "JPEG", exif=exif, quality=95), LIMITS))
    assert (image.width > image.height) == (orientation <= 4)
    right, bottom = image.width - 3, image.height - 3
    corner = {1: (2, 2), 2: (right, 2), 3: (right, bottom), 4: (2, bottom), 5: (2, 2), 6: (right, 2)}
    corner |= {7: (right, bottom), 8: (2, bottom)}
    assert near(image, corner[orientation], (254, 0, 0), 20)


def test_broken_exif_does_not_hide_the_picture() -> None:
    assert only(decode(pictures.jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40), LIMITS)).size == (320, 240)


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    half = Image.new("RGBA", (20, 20), (0, 0, 0, 128))
    assert near(only(decode(pictures.encoded(clear, "PNG"), LIMITS)), (3, 3), (255, 255, 255))
    assert near(only(decode(pictures.encoded(half, "PNG"), LIMITS)), (3, 3), (127, 127, 127))
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert near(only(decode(pictures.encoded(palette, "PNG", transparency=0), LIMITS)), (3, 3), (255, 255, 255))


def test_other_modes_become_rgb() -> None:
    deep = Image.new("I;16", (20, 20), 32_768)
    assert near(only(decode(pictures.encoded(deep, "PNG"), LIMITS)), (3, 3), (128, 128, 128))
    inks = Image.new("CMYK", (20, 20), (0, 255, 255, 0))
    assert near(only(decode(pictures.encoded(inks, "JPEG", quality=95), LIMITS)), (9, 9), (254, 0, 0), 12)
    assert near(only(decode(pictures.encoded(Image.new("1", (20, 20), 1), "PNG"), LIMITS)), (3, 3), (255, 255, 255))
    grey_alpha = Image.new("LA", (20, 20), (0, 0))
    assert near(only(decode(pictures.encoded(grey_alpha, "PNG"), LIMITS)), (3, 3), (255, 255, 255))


def test_no_bytes() -> None:
    assert reason_of(b"") is Reason.IMAGE_EMPTY


@pytest.mark.parametrize(
    "data", [pictures.SVG, pictures.HTML, pictures.HEIC, pictures.HEIC_GENERIC, b"%PDF-1.7", b"\0", b"RIFF\0\0\0\0WAVE"]
)
def test_what_is_no_allowed_picture(data: bytes) -> None:
    assert reason_of(data) is Reason.IMAGE_FORMAT


def test_a_format_outside_the_allow_list_is_not_even_opened() -> None:
    assert reason_of(pictures.encoded(pictures.gradient(9, 9), "TIFF")) is Reason.IMAGE_FORMAT
    only_png = ImageLimits(10_000, 10_000, 8, ("PNG",))
    assert reason_of(pictures.jpeg(), only_png) is Reason.IMAGE_FORMAT


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("kept", [0.5, 0.05])
def test_truncated_pictures(name: str, kept: float) -> None:
    data = pictures.encoded(pictures.gradient(700, 500), name)
    assert reason_of(data[: max(24, int(len(data) * kept))]) is Reason.IMAGE_UNREADABLE


def test_a_corrupt_png_body() -> None:
    data = bytearray(pictures.encoded(pictures.gradient(100, 100), "PNG"))
    data[60:90] = b"\xff" * 30
    assert reason_of(bytes(data)) is Reason.IMAGE_UNREADABLE


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 12_000), (50_001, 1_000)])
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    bomb = pictures.png_bomb(*size)
    begun = time.process_time()
    assert reason_of(bomb) is Reason.IMAGE_TOO_MANY_PIXELS
    assert time.process_time() - begun < 0.5


def test_bombs_are_refused_from_threads_whatever_the_warning_filters() -> None:
    bomb, good = pictures.png_bomb(12_000, 12_000), pictures.jpeg()

    def outcome(data: bytes) -> Reason | None:
        try:
            decode(data, LIMITS)
        except ImageError as error:
            return error.reason
        return None

    with warnings.catch_warnings(), ThreadPoolExecutor(4) as threads:
        warnings.simplefilter("ignore")
        outcomes = list(threads.map(outcome, [bomb, good] * 20))
    assert outcomes == [Reason.IMAGE_TOO_MANY_PIXELS, None] * 20


def test_a_gif_that_is_html_too_is_judged_as_the_gif_it_is() -> None:
    data = pictures.encoded(Image.new("RGB", (12, 12), "red"), "GIF") + pictures.HTML
    assert near(only(decode(data, LIMITS)), (3, 3), (255, 0, 0))
    assert reason_of(b"GIF89a/*" + pictures.HTML * 9) is Reason.IMAGE_UNREADABLE


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF"])
def test_frames_are_sampled_evenly_from_first_to_last(name: str) -> None:
    data = pictures.animation(name, 30)
    decoded = decode(data, LIMITS)
    digest = hashlib.sha256(data).hexdigest()
    assert decoded.frames == 30
    assert [picture.digest for picture in decoded.pictures] == [
        f"{digest}#{at}" for at in (0, 4, 8, 12, 17, 21, 25, 29)
    ]
    reds = [picture.image.getpixel((4, 4)) for picture in decoded.pictures]
    assert [red[0] for red in reds if isinstance(red, tuple)] == pytest.approx([0, 4, 8, 12, 17, 21, 25, 29], abs=3)


def test_a_short_animation_is_seen_whole_and_one_frame_is_the_first() -> None:
    data = pictures.animation("GIF", 5)
    assert len(decode(data, LIMITS).pictures) == 5
    one = decode(data, ImageLimits(10_000, 10_000, 1, ("GIF",)))
    assert (len(one.pictures), one.frames) == (1, 5)


def test_ten_thousand_frames_do_not_hang_and_are_reported() -> None:
    data = pictures.gif([index % 251 for index in range(10_000)])
    begun = time.process_time()
    decoded = decode(data, LIMITS)
    assert time.process_time() - begun < 5
    assert decoded.frames == 10_000
    assert len(decoded.pictures) == 8
    assert decoded.pictures[-1].digest.endswith("#9999")


def test_work_on_an_animation_is_bounded_whatever_its_size() -> None:
    data = pictures.gif([index % 251 for index in range(60)], (200, 200))
    decoded = decode(data, ImageLimits(50_000, 50_000, 8, ("GIF",)))  # work for four frames of 200 x 200
    assert decoded.frames == 60
    assert [int(picture.digest.rpartition("#")[2]) for picture in decoded.pictures] == [0, 1, 2, 3]


def test_a_frame_cannot_enlarge_the_canvas_beyond_the_limit() -> None:
    data = bytearray(pictures.gif([1, 200, 90]))
    second = data.index(b"\x2c", data.index(b"\x2c") + 12)  # image descriptor: left, top, width, height
    struct.pack_into("<HHHH", data, second + 1, 0, 0, 60_000, 60_000)
    assert reason_of(bytes(data)) in {Reason.IMAGE_TOO_MANY_PIXELS, Reason.IMAGE_UNREADABLE}


def test_an_animation_with_a_broken_frame_is_unreadable_not_half_judged() -> None:
    data = pictures.animation("PNG", 6, (64, 64))
    assert reason_of(data[: len(data) // 2]) is Reason.IMAGE_UNREADABLE


def test_a_second_picture_behind_a_jpeg_is_a_still() -> None:
    buffer = io.BytesIO()
    pictures.gradient(64, 64).save(buffer, "MPO", save_all=True, append_images=[pictures.gradient(8, 8)])
    assert only(decode(buffer.getvalue(), LIMITS)).size == (64, 64)


def test_messages_hold_no_content() -> None:
    with pytest.raises(ImageError) as caught:
        decode(b"a secret sentence of a stranger", LIMITS)
    assert "secret" not in str(caught.value)


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(1, 2_000_000))
def test_fitted_never_exceeds_the_limit_nor_vanishes(width: int, height: int, most: int) -> None:
    narrow, low = fitted(width, height, most)
    assert 1 <= narrow <= width
    assert 1 <= low <= height
    assert narrow * low <= most


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\1\0\0WEBPVP8 "]),
)
def test_any_bytes_give_a_picture_or_a_reason(data: bytes, head: bytes) -> None:
    limits = ImageLimits(1_000_000, 10_000, 4, LIMITS.formats)
    with suppress(ImageError):
        assert decode(head + data, limits).pictures


GIF_HEAD = b"GIF89a\x08\0\x08\0\x80\0\0" + b"\0\0\0\xff\xff\xff"
GIF_FRAME = b",\0\0\0\0\x01\0\x01\0\0" + b"\x02\x02L\x01\0"


@pytest.mark.parametrize(
    "body",
    [GIF_FRAME * 1_300_000, b"!\xfe" + b"\x01x" * 10_000_000 + b"\0" + GIF_FRAME, GIF_FRAME + b"\0" * 20_000_000],
    ids=["frames", "comment", "junk"],
)
def test_a_gif_of_endless_small_blocks_is_refused_before_they_are_counted(body: bytes) -> None:
    """20 MB of it held Python's lock for up to 10 s a picture, before any other bound applied."""
    begun = time.process_time()
    assert reason_of(GIF_HEAD + body + b";") is Reason.IMAGE_TOO_MANY_PIXELS
    assert time.process_time() - begun < 2


@given(st.binary(max_size=300))
def test_counting_the_work_of_a_gif_never_raises(body: bytes) -> None:
    for data in (GIF_HEAD + body, GIF_HEAD[: len(body)], GIF_HEAD + b"," + body):
        assert not is_too_much(data, 10_000)


def test_a_room_is_asked_for_what_decoding_holds() -> None:
    """A JPEG is decoded small, unless it is progressive; other formats hold every pixel as stored."""
    asked: list[int] = []

    def room(pixels: int) -> AbstractContextManager[None]:
        asked.append(pixels)
        return nullcontext()

    decode(pictures.jpeg(1600, 800), LIMITS, room)
    decode(pictures.jpeg(1600, 800, progressive=True), LIMITS, room)
    decode(pictures.encoded(pictures.gradient(1600, 800), "PNG"), LIMITS, room)
    decode(pictures.animation("GIF", 5, (20, 10)), LIMITS, room)
    assert asked[0] <= 400 * 200 * 4
    assert asked[1:] == [1_280_000, 1_280_000, 200]


def test_a_jpeg_cannot_repeat_its_scans_without_end() -> None:
    buffer = io.BytesIO()
    Image.new("L", (2000, 2000), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    scan = data[data.rfind(b"\xff\xda") : -2]
    few = ImageLimits(4_000_000, 1_000_000, 4, ("JPEG",))
    assert decode(data[:-2] + scan * 10 + b"\xff\xd9", few).frames == 1
    started = time.monotonic()
    with pytest.raises(ImageError) as refused:
        decode(data[:-2] + scan * 100_000 + b"\xff\xd9", few)
    assert refused.value.reason is Reason.IMAGE_TOO_MANY_PIXELS
    assert time.monotonic() - started < 5
