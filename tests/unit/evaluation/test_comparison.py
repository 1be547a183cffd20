"""Differences between two guards on the same rows: real ones are found, chance is not mistaken for one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from proguard_core.evaluation import comparison
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Row
from schemas.common import CategoryKind, Outcome

SAFE, UNSAFE = Outcome.SAFE, Outcome.UNSAFE
ROWS = [
    Row(str(at), f"post {at}", request_label=UNSAFE if at % 2 else SAFE, categories=("C8S1",) if at % 2 else ())
    for at in range(400)
]


def answers(right: float, seed: int) -> dict[str, Answer]:
    """A guard that is right so often."""
    chooser = np.random.default_rng(seed)
    said = {}
    for row in ROWS:
        is_right = chooser.random() < right
        unsafe = row.unsafe == is_right
        code = "C8S1" if is_right else "C2S1"
        said[row.id] = Answer(UNSAFE, kind=CategoryKind.KNOWN, code=code) if unsafe else Answer(SAFE)
    return said


def kept(name: str, said: dict[str, Answer]) -> comparison.Kept:
    lines = comparison.lines(name, "mine", ROWS, said)
    return comparison.Kept(name, {(str(line["set"]), str(line["id"])): line for line in lines})


def test_a_real_difference_is_larger_than_chance() -> None:
    found = comparison.compare(kept("worse", answers(0.7, 1)), kept("better", answers(0.9, 2)))
    assert [(line["question"], line["larger_than_chance"]) for line in found] == [("request", True), ("category", True)]
    difference = found[0]["difference"]
    assert isinstance(difference, dict)
    assert 0.1 < difference["low"] < difference["value"] < difference["high"] < 0.3


def test_equally_good_guards_differ_by_chance_only() -> None:
    found = [
        comparison.compare(kept("a", answers(0.8, 2 * at)), kept("b", answers(0.8, 2 * at + 1))) for at in range(40)
    ]
    alarms = sum(any(line["larger_than_chance"] for line in lines) for lines in found)
    assert alarms <= 6  # 5 % of 40 are expected over all lines of a comparison


def test_a_guard_against_itself() -> None:
    line, _ = comparison.compare(kept("a", answers(0.8, 1)), kept("a", answers(0.8, 1)))
    assert (line["p_value"], line["difference"]) == (1.0, {"value": 0.0, "low": 0.0, "high": 0.0})


def test_rows_of_another_content_are_not_compared() -> None:
    others = [replace(row, request=f"another {row.request}") if row.id == "7" else row for row in ROWS]
    lines = comparison.lines("other", "mine", others, answers(0.8, 1))
    other = comparison.Kept("other", {(str(line["set"]), str(line["id"])): line for line in lines})
    with pytest.raises(comparison.NothingToCompare, match=r"1 of 400 rows with the same id .* such as 7 of mine"):
        comparison.compare(kept("a", answers(0.8, 1)), other)
    for line in other.lines.values():  # as runs before the hash was kept
        line.pop("content")
    assert comparison.compare(kept("a", answers(0.8, 1)), other)


def test_nothing_of_what_is_near_minors_is_kept_but_its_label() -> None:
    row = Row("1", "x", request_label=UNSAFE, categories=("C11S1",))
    (line,) = comparison.lines("a", "mine", [row], {"1": Answer(UNSAFE)})
    assert "content" not in line


def test_undetermined_counts_against_whoever_says_it() -> None:
    nothing = {row.id: Answer(Outcome.UNDETERMINED) for row in ROWS}
    line, _ = comparison.compare(kept("a", answers(1.0, 1)), kept("none", nothing))
    assert (line["first"], line["second"]) == (1.0, 0.0)


def test_lines_hold_no_content_and_no_names() -> None:
    said = {row.id: Answer(UNSAFE, kind=CategoryKind.NOVEL, name="Ticket scalping") for row in ROWS}
    text = json.dumps(list(comparison.lines("a", "mine", ROWS, said)))
    assert "post" not in text
    assert "scalping" not in text


def test_folders_of_earlier_runs(tmp_path: Path) -> None:
    lines = [
        *comparison.lines("a", "mine", ROWS, answers(0.7, 1)),
        *comparison.lines("b", "mine", ROWS, answers(0.9, 2)),
    ]
    (tmp_path / comparison.ANSWERS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = (comparison.read(*comparison.locate(f"{tmp_path}:{guard}")) for guard in "ab")
    assert comparison.compare(first, second)[0]["larger_than_chance"]
    assert comparison.locate(f"{tmp_path}:package.module:factory") == (tmp_path, "package.module:factory")
    with pytest.raises(comparison.NothingToCompare, match="holds a, b: say which"):
        comparison.read(tmp_path)
    with pytest.raises(comparison.NothingToCompare, match="no guard 'c'"):
        comparison.read(tmp_path, "c")
    with pytest.raises(comparison.NothingToCompare, match="no answers of an evaluation"):
        comparison.read(tmp_path / "nowhere")
    with pytest.raises(comparison.NothingToCompare, match="no row in common"):
        comparison.compare(first, comparison.Kept("other", {}))
