"""Marks know a row again, keep nothing of it, and read nothing that is not theirs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.pictures import Fingerprint
from proguard_core.evaluation.rows import Row
from proguard_core.training import marks
from proguard_core.training.marks import MarksError
from schemas.common import Outcome
from tests.unit.dataset.builders import words


def item(identity: str, text: str | None = None, image: str | None = None, **others: object) -> Item:
    row = Row(identity, words(identity) if text is None else text, images=(image,) if image else ())
    return replace(Item(row, Origin.REVIEW), **others)  # type: ignore[arg-type]


def shown(*bits: int) -> Fingerprint:
    """A print with some bits set."""
    whole = np.zeros(256, np.uint8)
    whole[list(bits)] = 1
    return Fingerprint("x", np.packbits(whole).tobytes())


def test_texts_are_known_again_where_little_was_changed() -> None:
    trained = marks.of([item(f"t{at}") for at in range(200)], {})
    asked = [
        item("same", words("t3")),
        item("capitals", words("t4").upper()),
        item("longer", words("t5") + " now"),
        item("new", words("somebody else")),
        item("empty", ""),
    ]
    assert marks.near(trained, asked, {}) == {"same", "capitals", "longer"}


def test_pictures_are_known_again() -> None:
    prints = {"a": shown(), "b": shown(*range(10)), "c": shown(*range(11))}
    trained = marks.of([item("t", "", "a")], prints)
    assert marks.near(trained, [item("b", "", "b"), item("c", "", "c"), item("gone", "", "gone")], prints) == {"b"}


def test_a_short_text_beside_a_picture_tells_nothing() -> None:
    trained = marks.of([item("t", "look at this"), item("u", words("long one"))], {})
    prints = {"p": shown(1)}
    asked = [item("short", "look at this", "p"), item("long", words("long one"), "p"), item("text", "look at this")]
    assert marks.near(trained, asked, prints) == {"long", "text"}


def test_nothing_marked_nothing_near() -> None:
    assert marks.near(marks.NOTHING, [item("a", image="p")], {"p": shown()}) == set()
    assert marks.near(marks.of([item("a")], {}), [], {}) == set()


def test_a_file_holds_marks_and_no_content(tmp_path: Path) -> None:
    row = Row("x", words("x"), request_label=Outcome.UNSAFE, categories=("C3S1",))
    named = Row("y", words("y"), request_label=Outcome.UNSAFE, ood_name="Ghost  gun kits")
    items = [
        replace(item("x"), row=row, author="Somebody", observed_at="2026-11-01T00:00:00Z", post_id="post-1"),
        replace(item("y"), row=named, author="Else", observed_at="2026-11-02T00:00:00Z"),
    ]
    made = marks.of(items, {})
    made.write(tmp_path / marks.FILE)
    read = marks.read(tmp_path / marks.FILE)
    assert np.array_equal(read.texts, made.texts)
    assert read.authors == {marks.author_mark("Somebody"), marks.author_mark("Else")}
    assert read.latest == {"C3S1": "2026-11-01T00:00:00Z", marks.category_key("ghost gun kits"): "2026-11-02T00:00:00Z"}
    assert marks.near(read, items, {}) == {"x", "y"}
    held = (tmp_path / marks.FILE).read_bytes()
    assert not any(secret in held for secret in (b"Somebody", b"post-1", words("x").encode()[:12]))


def test_marks_are_joined() -> None:
    early, late = (
        marks.of([item(f"{when}", author=when, observed_at=f"2026-11-0{when}T00:00:00Z")], {}) for when in ("1", "2")
    )
    both = marks.joined([early, late, early])
    assert len(both.texts) == 2
    assert both.authors == early.authors | late.authors


def test_latest_is_the_latest() -> None:
    def seen(when: str) -> Item:
        row = Row(when, words(when), request_label=Outcome.UNSAFE, categories=("C5",))
        return Item(row, Origin.REVIEW, observed_at=when)

    one, two, three = (seen(f"2026-11-0{at}T00:00:00Z") for at in (1, 2, 3))
    assert marks.of([two, three, one], {}).latest == {"C5": "2026-11-03T00:00:00Z"}
    assert marks.joined([marks.of([three], {}), marks.of([one, two], {})]).latest == {"C5": "2026-11-03T00:00:00Z"}


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04", b"x" * 100])
def test_what_is_no_file_of_marks(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "marks.npz").write_bytes(body)
    with pytest.raises(MarksError):
        marks.read(tmp_path / "marks.npz")


def test_marks_of_another_format(tmp_path: Path) -> None:
    said = np.frombuffer(b'{"format": 2}', np.uint8)
    np.savez(tmp_path / "marks.npz", texts=marks.NOTHING.texts, pictures=marks.NOTHING.pictures, said=said)
    with pytest.raises(MarksError, match="format 2"):
        marks.read(tmp_path / "marks.npz")
    with pytest.raises(MarksError):
        marks.read(tmp_path / "none.npz")
