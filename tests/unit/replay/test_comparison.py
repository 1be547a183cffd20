"""What a replay would change: joined by the record, counted by aspect, without content."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from worker.replay.comparison import EXAMPLES, Comparison, Said, Table, said
from worker.replay.ranges import Range

SAFE = Said("safe", "allow", "none")
DRUGS = Said("unsafe", "remove", "C8S3")


def verdict(kind: str, code: str | None = None, nearest: str | None = None, name: str | None = None) -> dict[str, Any]:
    return {
        "outcome": "unsafe",
        "action": "remove",
        "category": {"kind": kind, "code": code, "name": name, "nearest": nearest, "similarity": None},
    }


def test_a_category_is_its_code_or_its_kind_and_never_a_name() -> None:
    assert said(verdict("known", "C8S3", name="Drugs")) == DRUGS
    assert said(verdict("novel", None, "C3S1", "moon dust")).category == "novel"
    assert said(verdict("hallucinated", "C99", None, "made up")).category == "hallucinated"


def test_minors_are_known_as_such() -> None:
    assert said(verdict("known", "C11S1")).minors
    assert said(verdict("novel", None, "C11S1")).minors
    assert not said(verdict("known", "C8S3")).minors


def test_a_place_is_taken_once_and_the_last_put_counts() -> None:
    table = Table([Range(0, 100, 110), Range(3, 0, 5)])
    table.put(0, 100, SAFE)
    table.put(0, 100, DRUGS)
    table.put(3, 4, SAFE)
    assert table.filled == 2
    assert table.take(0, 100) == DRUGS
    assert table.take(0, 100) is None
    assert table.take(0, 101) is None
    assert table.filled == 1


def test_what_lies_outside_belongs_to_another_replay() -> None:
    table = Table([Range(0, 100, 110)])
    for partition, offset in ((0, 99), (0, 110), (1, 100)):
        table.put(partition, offset, SAFE)
        assert table.take(partition, offset) is None
    assert table.filled == 0


@given(st.dictionaries(st.integers(50, 80), st.sampled_from([SAFE, DRUGS])))
def test_a_table_gives_back_what_was_put(cells: dict[int, Said]) -> None:
    table = Table([Range(2, 50, 81)])
    for offset, what in cells.items():
        table.put(2, offset, what)
    assert table.filled == len(cells)
    assert {offset: found for offset in range(50, 81) if (found := table.take(2, offset))} == cells


def test_each_aspect_is_counted_and_changes_come_first() -> None:
    comparison = Comparison()
    for number in range(10):
        comparison.add(SAFE, SAFE, f"same-{number}", f"0:{number}")
    for number in range(EXAMPLES + 2):
        comparison.add(DRUGS, Said("unsafe", "review", "C8S3"), f"drugs-{number}", f"1:{number}")
    comparison.add(SAFE, DRUGS, "new", "2:0")
    assert (comparison.compared, comparison.changed) == (18, 8)
    actions = [(row["old"], row["new"], row["count"]) for row in comparison.rows("action")]
    assert actions == [("remove", "review", 7), ("allow", "remove", 1), ("allow", "allow", 10)]
    assert [row["count"] for row in comparison.rows("outcome")] == [1, 10, 7]
    examples = comparison.rows("action")[0]["examples"]
    assert examples == [{"source": f"1:{n}", "post_id": f"drugs-{n}"} for n in range(EXAMPLES)]
    assert comparison.rows("outcome")[1]["examples"] == []


def test_examples_that_concern_minors_name_the_place_only() -> None:
    comparison = Comparison()
    minors = Said("unsafe", "escalate", "C11S1", minors=True)
    comparison.add(SAFE, minors, "secret-a", "0:1")
    comparison.add(minors, SAFE, "secret-b", "0:2")
    text = json.dumps(comparison.as_json())
    assert "secret" not in text
    assert '"0:1"' in text
    assert '"0:2"' in text
