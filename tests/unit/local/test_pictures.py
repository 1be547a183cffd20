"""The drawn pictures: the same bytes every time, and every one decodes under the worker's own limits."""

from pathlib import Path

from PIL import Image, ImageChops

from worker.local.pictures import PICTURES, make_pictures, text_picture


def test_two_drawings_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = make_pictures(tmp_path / "a"), make_pictures(tmp_path / "b")
    assert [path.name for path in first] == list(PICTURES)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_all_decode_in_formats_that_the_worker_allows(tmp_path: Path) -> None:
    for path in make_pictures(tmp_path):
        with Image.open(path, formats=["PNG", "JPEG", "GIF"]) as image:
            image.load()
            assert image.size == (640, 400)


def test_the_animation_has_frames_that_differ(tmp_path: Path) -> None:
    path = next(path for path in make_pictures(tmp_path) if path.suffix == ".gif")
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 3
        first = image.convert("RGB")
        image.seek(2)
        assert ImageChops.difference(first, image.convert("RGB")).getbbox() is not None


def test_text_stays_inside_its_picture() -> None:
    image = text_picture("Immigrants are vermin. Get out of our town or we will make you.", (255, 255, 255), (0, 0, 0))
    box = ImageChops.invert(image).getbbox()
    assert box is not None
    assert box[0] > 10
    assert box[1] > 10
    assert box[2] < 630
    assert box[3] < 390
