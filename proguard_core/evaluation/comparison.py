"""`--compare A B`: which differences between two guards on the same rows are larger than chance."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proguard_core.evaluation import category_tables, figures, intervals
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.binary_tables import TURNS
from proguard_core.evaluation.cache import content_key, near_minors
from proguard_core.evaluation.figures import Booleans
from proguard_core.evaluation.rows import Row
from schemas.common import Outcome

ANSWERS_FILE = "answers.jsonl"
SIGNIFICANT = 0.05
_HASH_DIGITS = 16


class NothingToCompare(ValueError):
    """A guard or folder that is not there, or no row in common."""


def lines(guard: str, name: str, rows: Sequence[Row], answers: Mapping[str, Answer]) -> Iterable[dict[str, object]]:
    """What is kept of a guard's answers for later comparisons: ids, labels and what was said, no content, no names.

    content: a hash by which two runs tell whether a row is the same; none of what is near minors.
    """
    for row in rows:
        if (answer := answers.get(row.id)) is None:
            continue
        line: dict[str, object] = {"guard": guard, "set": name, "id": row.id}
        if not near_minors(row, answer):
            line["content"] = content_key(row, row.images)[:_HASH_DIGITS]
        for turn in TURNS:
            label = row.request_label if turn == "request" else row.response_label
            if label is not None:
                line[f"{turn}_label"] = label
                line[turn] = answer.request if turn == "request" else answer.response
        if row.unsafe and row.categories:
            line["category_right"] = category_tables.is_right(row, answer)
        yield line


@dataclass(frozen=True, slots=True)
class Kept:
    """The lines of one guard, by set and row id."""

    name: str
    lines: dict[tuple[str, str], dict[str, Any]]


def locate(place: str) -> tuple[Path, str | None]:
    """FOLDER, or FOLDER:GUARD where it holds several guards, as folder and guard; a guard's label may hold colons."""
    for at, letter in enumerate(place):
        if letter == ":" and Path(place[:at]).is_dir():
            return Path(place[:at]), place[at + 1 :]
    return Path(place), None


def read(folder: Path, guard: str | None = None) -> Kept:
    """The answers of an earlier run. Raises NothingToCompare."""
    try:
        text = (folder / ANSWERS_FILE).read_text(encoding="utf-8")
        found = [json.loads(line) for line in text.splitlines() if line]
    except (OSError, ValueError) as error:
        raise NothingToCompare(f"{folder}: no answers of an evaluation there ({type(error).__name__})") from None
    if not all(isinstance(line, dict) and {"guard", "set", "id"} <= set(line) for line in found):
        raise NothingToCompare(f"{folder}: {ANSWERS_FILE} is none of an evaluation")
    guards = sorted({line["guard"] for line in found})
    if not guards:
        raise NothingToCompare(f"{folder}: that evaluation answered no row")
    if guard is None and len(guards) != 1:
        raise NothingToCompare(f"{folder} holds {', '.join(guards)}: say which, as {folder}:{guards[0]}")
    own = guards[0] if guard is None else guard
    if own not in guards:
        raise NothingToCompare(f"{folder}: there is no guard {own!r}, only {', '.join(guards)}")
    lines = {(line["set"], line["id"]): line for line in found if line["guard"] == own}
    return Kept(own if guard is None else f"{folder}:{own}", lines)


def compare(first: Kept, second: Kept) -> list[dict[str, object]]:
    """A line a set and question, with p-values corrected for their number. Raises NothingToCompare.

    Rows are paired by set and id; a row whose content is another one in the other run stops the comparison.
    """
    shared = [key for key in first.lines if key in second.lines]
    others = [key for key in shared if _is_another(first.lines[key], second.lines[key])]
    if others:
        raise NothingToCompare(
            f"{first.name} and {second.name}: {len(others)} of {len(shared)} rows with the same id are not the same "
            f"content, such as {others[0][1]} of {others[0][0]}; compare runs of one file"
        )
    if not shared:
        raise NothingToCompare(f"{first.name} and {second.name} have no row in common")
    found: list[dict[str, object]] = []
    for name in dict.fromkeys(key[0] for key in shared):
        pairs = [(first.lines[key], second.lines[key]) for key in shared if key[0] == name]
        for turn in TURNS:
            found += _turn(name, turn, pairs)
        found += _category(name, pairs)
    corrected = intervals.holm([float(str(line["p_value"])) for line in found])
    for line, p_value in zip(found, corrected, strict=True):
        line["p_value_corrected"] = round(p_value, 6)
        line["larger_than_chance"] = p_value < SIGNIFICANT
    return found


def _is_another(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    contents = {line["content"] for line in (first, second) if "content" in line}
    return len(contents) > 1


def _turn(name: str, turn: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, object]]:
    key = f"{turn}_label"
    both = [pair for pair in pairs if key in pair[0] and pair[0][key] == pair[1].get(key)]
    if not both:
        return []
    truth = np.array([first[key] == Outcome.UNSAFE for first, _ in both], bool)
    said = [_predicted([pair[at][turn] for pair in both], truth) for at in (0, 1)]
    joint = np.array(
        [np.sum((truth == unsafe) & (said[0] == a) & (said[1] == b)) for unsafe, a, b in _CELLS], dtype=np.float64
    )
    seed = intervals.generator("compare", name, turn)
    drawn = intervals.resampled(joint, seed)
    values = [figures.weighted_f1(drawn @ _marginal(at)) for at in (1, 2)]
    exact = [float(figures.weighted_f1(joint @ _marginal(at))) for at in (1, 2)]
    difference = intervals.interval(exact[1] - exact[0], values[1] - values[0])
    right = [said[at] == truth for at in (0, 1)]
    return [_line(name, turn, "weighted F1", len(both), exact, difference, right)]


def _category(name: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, object]]:
    both = [pair for pair in pairs if "category_right" in pair[0] and "category_right" in pair[1]]
    if not both:
        return []
    right = [np.array([pair[at]["category_right"] for pair in both], bool) for at in (0, 1)]
    seed = intervals.generator("compare", name, "category")
    difference = intervals.of_mean(right[1].astype(float) - right[0].astype(float), seed)
    exact = [float(each.mean()) for each in right]
    return [_line(name, "category", "accuracy", len(both), exact, difference, right)]


def _line(
    name: str,
    question: str,
    figure: str,
    rows: int,
    values: Sequence[float],
    difference: intervals.Interval,
    right: Sequence[Booleans],
) -> dict[str, object]:
    only_first, only_second = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    return {
        "set": name,
        "question": question,
        "figure": figure,
        "rows": rows,
        "first": round(values[0], 5),
        "second": round(values[1], 5),
        "difference": difference.as_json(),
        "only_first_right": only_first,
        "only_second_right": only_second,
        "p_value": round(intervals.mcnemar(only_first, only_second), 6),
    }


# Truth, first and second guard's label; True is unsafe.
_CELLS = [(unsafe, a, b) for unsafe in (True, False) for a in (True, False) for b in (True, False)]


def _marginal(at: int) -> figures.Floats:
    """(8, 4): from joint cells to the confusion counts of the first (1) or second (2) guard."""
    made = np.zeros((len(_CELLS), 4))
    for index, cell in enumerate(_CELLS):
        unsafe, said = cell[0], cell[at]
        kind = (figures.TP if said else figures.FN) if unsafe else (figures.FP if said else figures.TN)
        made[index, kind] = 1.0
    return made


def _predicted(said: Sequence[str | None], truth: Booleans) -> Booleans:
    """True is unsafe; undetermined stands as the opposite of what is true."""
    pairs = zip(said, truth, strict=True)
    return np.array(
        [label == Outcome.UNSAFE if label in ("safe", "unsafe") else not true for label, true in pairs], bool
    )
