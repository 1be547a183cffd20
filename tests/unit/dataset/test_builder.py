"""The whole way: what never gets in, what stays apart, what a poor dataset says of itself, and the files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proguard_core.dataset.builder import Dataset
from proguard_core.dataset.datasheet import as_markdown, datasheet, warnings
from proguard_core.dataset.duplicates import normal
from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.sources import Form, read_items
from proguard_core.dataset.splits import split
from proguard_core.dataset.stream import label_hits
from proguard_core.dataset.writers import WriteError, write_own
from proguard_core.evaluation.rows import Problems
from schemas.common import Modality
from schemas.review import Decision
from tests.unit.dataset.builders import POLICY, QUICK, Shelf, base, everything, hit, item, made, picture, review, words


def ids(dataset: Dataset) -> set[str]:
    return {sample.item.row.id for sample in (*dataset.train, *dataset.held_out)}


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["safe", "C6S1", "C8S1"])), max_size=120),
    st.floats(0.05, 0.5),
    st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_no_group_is_on_both_sides(drawn: list[tuple[int, str]], share: float, seed: int) -> None:
    items = [item(f"{at}", "x", None if label == "safe" else label) for at, (_, label) in enumerate(drawn)]
    groups = [group for group, _ in drawn]
    train, aside = split(items, groups, share, seed)
    assert sorted([*train, *aside]) == list(range(len(items)))
    assert not {groups[at] for at in train} & {groups[at] for at in aside}
    assert len(aside) <= share * len(items) + 3


def test_every_row_has_an_id_of_its_own() -> None:
    given = [item(name, words(str(at))) for at, name in enumerate(("a", "a", "a#2", "a"))]
    assert ids(made([*given, *base(40)])) >= {"a", "a#2", "a#3", "a#4"}


def test_sides_share_no_author_no_picture_and_no_near_text() -> None:
    shelf = Shelf({f"p{at}": picture(at // 2, None if at % 2 else 80) for at in range(40)})
    items = [
        *(item(f"a{at}", code="C6S1" if at % 3 else None, author=f"{at // 4}", origin=Origin.OWN) for at in range(160)),
        *(item(f"w{at}", f"Look: {words(f'w{at}')}", images=(f"p{at % 40}",)) for at in range(80)),
        *base(200),
    ]
    dataset = made(items, fetch=shelf)
    train, aside = ([sample.item for sample in side] for side in (dataset.train, dataset.held_out))
    assert len(aside) > 10
    assert not {each.author for each in train if each.author} & {each.author for each in aside if each.author}
    shown = [{int(image[1:]) // 2 for each in side for image in each.row.images} for side in (train, aside)]
    assert not shown[0] & shown[1]
    assert not {normal(each.row.request) for each in train} & {normal(each.row.request) for each in aside}
    unsafe = [[each.row.unsafe for each in side if each.modality is Modality.TEXT] for side in (train, aside)]
    assert sum(unsafe[1]) / len(unsafe[1]) == pytest.approx(sum(unsafe[0]) / len(unsafe[0]), abs=0.15)


def test_erased_posts_and_minors_are_in_no_dataset() -> None:
    items = [
        item("erased", "A post that its author took back", post_id="erased"),
        item("minors", "A mild stand-in for what is never kept", "C11S1"),
        item("which part", "Another mild stand-in", "C11"),
        item("named", "A third mild stand-in", name="under-age sex"),
        item("kept", code="C11S2"),
        *base(20),
    ]
    dataset = made(items, erased={"erased", "never seen"})
    text = everything(dataset) + json.dumps(datasheet(dataset)) + str(dataset.problems.as_json())
    assert "kept" in ids(dataset)
    for absent in ("took back", "stand-in", "'minors'", "'erased'"):
        assert absent not in text
    assert dataset.problems.counts["erased (left out)"] == 1
    assert dataset.problems.counts["about minors, or near to it (law 11: left out)"] == 3


def test_five_thousand_novel_posts_of_one_author_give_twenty_rows() -> None:
    hits = [hit(f"f{at}", author="one", name="Salad recipes") for at in range(5000)]
    cluster = {"cluster 1": {each.post_id for each in hits}}
    reviews = [review("cluster 1", Decision.CONFIRM, name="Salad recipes")]
    labelled = label_hits(hits, reviews, cluster, POLICY, Problems())
    dataset = made([*labelled.items, *base(200)], additions=labelled.additions)
    assert sum(sample.item.author == "one" for sample in (*dataset.train, *dataset.held_out)) == 20
    sheet = datasheet(dataset)
    assert sheet["left_out"]["beyond the rows that one author may give (left out)"] == 4980  # type: ignore[index]


def test_what_contradicts_the_base_set_is_left_out_with_it() -> None:
    text = "The bread is still warm this morning"
    assert not ids(made([item("base", text), item("hit", text, "C8S2", origin=Origin.CONSENSUS)]))


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], "not fit to be trained on: it is empty"),
        ([item(f"{at}") for at in range(30)], "not fit to be trained on: every row is safe"),
        ([item(f"{at}", code="C6S1") for at in range(30)], "not fit to be trained on: every row is unsafe"),
        ([item(f"{at}", code=None if at % 2 else "C6S1") for at in range(30)], "one category only: C6S1"),
        (base(60), "no image rows to replay: the ratio is kept without them"),
        (base(60), "no text-image rows at all"),
    ],
)
def test_a_poor_dataset_says_so(items: list[Item], said: str) -> None:
    dataset = made(items)
    assert said in warnings(dataset)
    assert said in as_markdown(datasheet(dataset))


def test_pictures_that_are_gone_broken_or_many_are_counted() -> None:
    shelf = Shelf({"good": picture(1), "broken": b"no picture", "empty": b""})
    items = [
        item("good", "", "C10S2", images=("good",)),
        item("gone", "", "C10S2", images=("gone",)),
        item("broken", "", "C10S2", images=("broken",)),
        item("empty", "With words", images=("empty",)),
        item("many", "", "C10S2", images=("good", "gone")),
        item("long", "word " * 1000),
    ]
    dataset = made(items, fetch=shelf)
    assert ids(dataset) == {"good"}
    assert set(dataset.problems.counts) == {
        "its picture is gone (left out)",
        "its picture cannot be used: image_format (left out)",
        "its picture cannot be used: image_empty (left out)",
        "several pictures: which one the label speaks of is not known (left out)",
        "longer than one question (left out)",
    }


def test_all_pictures_gone_leaves_a_dataset_of_text() -> None:
    items = [*base(60), *(item(f"p{at}", "", images=(f"{at}",)) for at in range(20))]
    dataset = made(items, fetch=Shelf({}))
    assert {sample.item.modality for sample in dataset.train} == {Modality.TEXT}
    assert "no image rows at all" in warnings(dataset)


def test_the_same_items_and_seed_give_the_same_dataset_another_seed_another() -> None:
    items = base(80)
    assert made(items).version == made(list(items)).version
    assert made(items).version != made(items, replace(QUICK, seed=1)).version


def test_our_own_rows_come_back_as_they_went(tmp_path: Path) -> None:
    shelf = Shelf({"s3://bucket/a": picture(1), "s3://bucket/b": picture(2)})
    items = [
        *base(40),
        item(
            "hit",
            name="Illegal gambling",
            synonyms=("Secret casinos",),
            author="ada",
            post_id="p",
            origin=Origin.REVIEW,
        ),
        item("picture", "", "C10S2", images=("s3://bucket/a",)),
        item("both", "Look at that", images=("s3://bucket/b",), observed_at="2026-11-01T00:00:00+00:00"),
    ]
    dataset = made(items, fetch=shelf)
    folder = tmp_path / "datasets" / "one"
    write_own(dataset, folder, shelf)
    problems = Problems()
    back = {
        each.row.id: each
        for side in ("train", "held_out")
        for each in read_items(folder / f"{side}.jsonl", Form.OWN, Origin.BASE, problems)
    }
    assert not problems.counts
    assert set(back) == ids(dataset)
    for sample in (*dataset.train, *dataset.held_out):
        again = replace(back[sample.item.row.id], origin=sample.item.origin)
        for image in again.row.images:
            assert Path(image).read_bytes() == shelf(sample.item.row.images[0])
        row = replace(again.row, images=sample.item.row.images)
        assert replace(again, row=row) == sample.item
    sheet = json.loads((folder / "datasheet.json").read_text())
    assert sheet["version"] == dataset.version
    assert sheet["train"]["licence"] == {"CC0": len(dataset.train)}
    with pytest.raises(WriteError, match="never changed"):
        write_own(dataset, folder, shelf)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    shelf = Shelf({"a": picture(1)})
    dataset = made([item("picture", "", "C10S2", images=("a",)), *base(10)], fetch=shelf)
    with pytest.raises(Exception, match="a"):
        write_own(dataset, tmp_path / "one", Shelf({}))
    assert not list(tmp_path.iterdir())


def test_files_of_public_sets_and_of_the_authors(tmp_path: Path) -> None:
    lines = [
        {
            "id": "1",
            "source": "catqa",
            "license": "Apache-2.0",
            "request": "How is a gun made?",
            "response": None,
            "request_label": "unsafe",
            "response_label": None,
            "source_category": "Physical Harm / Weapon making: x",
        },
        {"id": "2", "request": "Hello", "request_label": "safe", "licence": "MIT", "author": "ada", "post_id": "p2"},
        {"id": "3", "request": "Hello", "request_label": "bad"},
        {"id": "4", "request": "Hello", "request_label": "safe", "author": 7},
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    problems = Problems()
    first, second = read_items(file, Form.OWN, Origin.BASE, problems)
    assert (first.row.categories, first.licence, first.row.source) == (("C8S1",), "Apache-2.0", "catqa")
    assert (second.licence, second.author, second.post_id, second.row.source) == ("MIT", "ada", "p2", "mine")
    assert set(problems.counts) == {"request_label is neither safe, unsafe nor null", "author is no text"}
    authors = tmp_path / "authors.jsonl"
    said = {"query": "Look", "images": ["a.png"], "query_label": "unsafe", "response_label": "safe", "category": "C8"}
    authors.write_text(
        json.dumps(said) + "\n" + json.dumps({**said, "category": "", "original_category": "Gambling dens"})
    )
    known, new = read_items(authors, Form.PROGUARD, Origin.BASE, problems, licence="as published")
    assert (known.row.categories, known.licence) == (("C8",), "as published")
    assert known.row.images == (str(tmp_path / "a.png"),)
    assert new.row.ood_name == "Gambling dens"


def test_the_authors_rows_are_known_among_our_own(tmp_path: Path) -> None:
    """As `retraining.replay` is read."""
    theirs = {"query": "Look", "images": [], "query_label": "unsafe", "response_label": "safe", "category": "C8"}
    named = {**theirs, "category": "", "original_category": "Gambling dens"}
    lines = [theirs, {"extra_info": theirs}, named, {"request": "Hi", "request_label": "safe"}]
    file = tmp_path / "both.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    problems = Problems()
    rows = [each.row for each in read_items(file, Form.OWN, Origin.BASE, problems)]
    said = [(row.request, row.categories, row.ood_name) for row in rows]
    assert said == [
        ("Look", ("C8",), None),
        ("Look", ("C8",), None),
        ("Look", (), "Gambling dens"),
        ("Hi", (), None),
    ]
    assert not problems.counts
