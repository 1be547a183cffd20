"""What says or shows the same is kept once, and what stays alike is on one side."""

from collections import Counter

import pytest
from PIL import Image

from proguard_core.dataset.duplicates import DUPLICATE, distinct
from proguard_core.dataset.items import Origin
from proguard_core.dataset.pictures import fingerprint, training_bytes
from proguard_core.evaluation.rows import Problems
from proguard_core.images import ImageError
from tests.unit.dataset.builders import Shelf, item, made, picture, words

LONG = words("long", 40)


def kept(*items: object, prints: object = None) -> list[str]:
    found = distinct(items, prints or {}, Problems())  # type: ignore[arg-type]
    return [each.row.id for each in found.items]


@pytest.mark.parametrize(
    "other",
    [LONG, LONG.upper(), f"  {LONG}\n", LONG.replace("bread", "breads", 1), f"{LONG} 2", LONG.replace(" ", "  ")],
)
def test_near_texts_are_kept_once(other: str) -> None:
    assert kept(item("a", LONG), item("b", other)) == ["a"]


def test_numbers_make_no_difference() -> None:
    flood = [
        item(f"{at}", f"Win {at * 317} coins at table {at}, come to our hall tonight!", "C6S1") for at in range(500)
    ]
    assert kept(*flood) == ["0"]


def test_other_texts_are_kept() -> None:
    assert len(kept(*(item(str(at)) for at in range(50)))) == 50


def test_the_most_trusted_of_a_kind_is_kept() -> None:
    assert kept(item("base", LONG, "C6S1"), item("own", LONG, "C6S1", origin=Origin.REVIEW)) == ["own"]


def test_alike_but_labelled_differently_both_stay_on_one_side() -> None:
    pairs = [
        (item(f"u{at}", f"How to kill {words(at)}", "C9S3"), item(f"s{at}", f"How to kill {words(at)}?"))
        for at in range(60)
    ]
    dataset = made([each for pair in pairs for each in pair])
    sides = [{sample.item.row.id[1:] for sample in side} for side in (dataset.train, dataset.held_out)]
    assert len(dataset.train) + len(dataset.held_out) == 120
    assert sides[1]
    assert not sides[0] & sides[1]


def test_pictures_are_recognised_when_they_come_back() -> None:
    prints = [fingerprint(picture(seed, quality)) for seed, quality in ((1, None), (1, 90), (1, 60), (2, None))]
    assert prints[0].is_near(prints[1])
    assert prints[0].is_near(prints[2])
    assert not prints[0].is_near(prints[3])
    assert set(prints[0].bands) & set(prints[2].bands)


def test_pictures_are_kept_once_words_with_them_each_time() -> None:
    shelf = Shelf({"a": picture(1), "b": picture(1, 80), "c": picture(2)})
    items = [
        item("a", "", "C10S2", images=("a",)),
        item("b", "", "C10S2", images=("b",)),
        item("c", "", "C10S2", images=("c",)),
        item("a with words", LONG, "C10S2", images=("a",)),
        item("b with the same", LONG, "C10S2", images=("b",)),
        item("b with others", "Look at that", "C10S2", images=("b",)),
    ]
    problems = Problems()
    prints = {name: fingerprint(data) for name, data in shelf.held.items()}
    found = distinct(items, prints, problems)
    assert [each.row.id for each in found.items] == ["a", "c", "a with words", "b with others"]
    assert problems.counts == Counter({DUPLICATE: 2})
    roots = [found.groups.root(at) for at in range(4)]
    assert roots[0] == roots[2] == roots[3] != roots[1]


def test_a_long_text_stays_on_the_side_of_its_picture_rows_a_short_one_does_not() -> None:
    prints = {"a": fingerprint(picture(1))}
    for text, together in ((LONG, True), ("What is this?", False)):
        found = distinct([item("t", text), item("p", text, images=("a",))], prints, Problems())
        assert (found.groups.root(0) == found.groups.root(1)) is together


def test_training_bytes_are_upright_and_small_enough() -> None:
    import io

    plain = picture(1)
    assert training_bytes(plain) == plain
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(plain)).save(buffer, "JPEG", exif=exif)
    turned = Image.open(io.BytesIO(training_bytes(buffer.getvalue())))
    assert turned.size == (98, 126)
    assert not turned.getexif()
    big = io.BytesIO()
    Image.new("RGB", (3000, 2000)).save(big, "PNG")
    small = Image.open(io.BytesIO(training_bytes(big.getvalue())))
    assert small.width * small.height <= 1_003_520
    frames = io.BytesIO()
    pictures = [Image.new("RGB", (20, 20), (at * 80, 0, 0)) for at in range(3)]
    pictures[0].save(frames, "WEBP", save_all=True, append_images=pictures[1:])
    for data in (b"", b"no picture", frames.getvalue()):
        with pytest.raises(ImageError):
            training_bytes(data)
