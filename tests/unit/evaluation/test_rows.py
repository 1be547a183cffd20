"""The row form: what is read, what is refused, and what is said of rows that cannot be scored."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from proguard_core.evaluation.rows import Problems, Row, RowError, examine, parse, read_rows
from schemas.common import Modality, Outcome

SAFE, UNSAFE = Outcome.SAFE, Outcome.UNSAFE
FULL = {
    "id": "1",
    "modality": "text-image",
    "request": "What is this?",
    "response": "A cat.",
    "images": ["cat.png"],
    "request_label": "safe",
    "response_label": "safe",
    "category": None,
    "ood_name": None,
}


def test_a_row() -> None:
    row = parse(FULL)
    assert row == Row("1", "What is this?", "A cat.", ("cat.png",), SAFE, SAFE)
    assert row.modality is Modality.TEXT_IMAGE
    several = parse({**FULL, "request_label": "unsafe", "category": ["C7S1", "C9S3"], "source": "part"})
    assert (several.categories, several.source) == (("C7S1", "C9S3"), "part")
    assert parse({**FULL, "category": "C8"}).categories == ("C8",)


def test_codes_that_a_policy_lists_beside_the_taxonomy() -> None:
    row = {**FULL, "request_label": "unsafe"}
    assert parse({**row, "category": ["C12S1", "C9S3"]}, {"C12", "C12S1"}).categories == ("C12S1", "C9S3")
    with pytest.raises(RowError, match="'C13' is not in the taxonomy, and the policy does not list it"):
        parse({**row, "category": "C13"}, {"C12", "C12S1"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": None}, "no id"),
        ({"modality": "text"}, "its parts make it text-image"),
        ({"request_label": "harmful"}, "request_label is neither"),
        ({"category": "C99"}, "is not in the taxonomy"),
        ({"category": 7}, "category is neither"),
        ({"images": "cat.png"}, "no list of paths"),
        ({"request": 5}, "request is no text"),
        ({"request": "", "response": None, "images": [], "modality": None}, "neither request, response nor images"),
    ],
    ids=str,
)
def test_rows_that_are_none(change: dict[str, Any], why: str) -> None:
    with pytest.raises(RowError, match=why):
        parse({**FULL, **change})


def test_what_is_wrong_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.gz"
    lines = ["not json", "[1]", "", json.dumps(FULL), json.dumps({**FULL, "request_label": "bad"})]
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    problems = Problems()
    assert [row.id for row in read_rows(file, problems)] == ["1"]
    assert dict(problems.counts) == {
        "not JSON": 1,
        "not an object": 1,
        "request_label is neither safe, unsafe nor null": 1,
    }
    assert problems.examples["not JSON"] == ["line 1"]
    assert "not json" not in json.dumps(problems.as_json())


def test_rows_that_cannot_be_scored_are_left_out_and_named() -> None:
    rows = [
        Row("a", "one", request_label=SAFE),
        Row("b", "one", request_label=UNSAFE),
        Row("c", "two"),
        Row("d", "three", request_label=SAFE, response_label=UNSAFE),
        Row("e", "four", request_label=SAFE, categories=("C7S1",)),
        Row("f", "five", request_label=UNSAFE),
        Row("f", "six", request_label=UNSAFE),
        Row("g", "five", request_label=UNSAFE),
    ]
    problems = Problems()
    kept = examine(rows, problems)
    assert [row.id for row in kept] == ["d", "e", "f", "f#2", "g"]
    assert kept[0].response_label is None
    assert kept[1].categories == ()
    assert dict(problems.counts) == {
        "the same content has both labels (left out)": 2,
        "no label (left out)": 1,
        "a response label without a response (label ignored)": 1,
        "safe, yet with a category (category ignored)": 1,
        "an id that was used before (numbered)": 1,
        "repeats another row (kept)": 1,
    }
    assert problems.examples["repeats another row (kept)"] == ["g"], "what is left out repeats nothing"


def test_a_numbered_id_is_never_another_rows_own() -> None:
    rows = [Row(name, name + str(at), request_label=SAFE) for at, name in enumerate(("1", "1", "1#2", "1"))]
    assert [row.id for row in examine(rows, Problems())] == ["1", "1#3", "1#2", "1#4"]


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    file = tmp_path / "marked.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"id": "1", "request": "x", "request_label": "safe"}\n')
    problems = Problems()
    assert [row.id for row in read_rows(file, problems)] == ["1"]
    assert not problems.counts


def test_one_content_may_have_a_label_for_each_turn() -> None:
    rows = [Row("a", "x", "y", request_label=UNSAFE), Row("b", "x", "y", response_label=SAFE)]
    assert len(examine(rows, Problems())) == 2
