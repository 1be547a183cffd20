"""What rows teach the heads, with drawn features: new categories, frozen ones, and no change without need."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proguard_core.evaluation.rows import Row
from proguard_core.guards.embedded.heads import Learned, none_yet
from proguard_core.guards.embedded.text_model import Calibration
from proguard_core.policy.loader import load_policy
from proguard_core.training.embedded.heads.features import Windows
from proguard_core.training.embedded.heads.fit import STAYS, FitSettings, Fitted, fit
from proguard_core.training.embedded.heads.taught import DatasetError, Taught, in_policy, new_categories, read
from schemas.common import Outcome
from tests.unit.guards.embedded.policies import policy

POLICY = load_policy()
CODES = ("C3S1", "C9S1", "C11S1", "C11S2", "other")
CALIBRATION = Calibration(1.0, 1.0, 1.0, 0.3, 160, CODES)
WIDTH = 8
SETTINGS = FitSettings(pulls=(1.0, 30.0))
NEW = Learned("Match fixing")


def rows_of(count: int) -> tuple[list[Taught], Windows]:
    """A third safe, a third C3S1, a third of the new category; the artefact knows the first two and calls all else
    `other`. A feature of its own marks each third."""
    chance = np.random.default_rng(5)
    rows, logits, features = [], [], []
    for at in range(count):
        third = at % 3
        label = Outcome.SAFE if third == 0 else Outcome.UNSAFE
        row = Row(
            id=str(at),
            request="x",
            request_label=label,
            categories=("C3S1",) if third == 1 else (),
            ood_name="match  FIXING" if third == 2 else None,
        )
        rows.append(Taught(row, str(at)))
        marked = chance.normal(size=WIDTH) * 0.3
        marked[third] += 2.0
        features.append(marked)
        places = [4.0 if third == 1 else 0.0, 0.0, -4.0, -4.0, 4.0 if third == 2 else 0.0]
        logits.append([-2.0 if third == 0 else 0.3, 0.0, *places])
    numbers = np.arange(count)
    return rows, Windows(numbers, np.zeros(count, np.int64), np.array(logits), np.array(features))


def fitted(count: int = 90, learned: tuple[Learned, ...] = (NEW,), settings: FitSettings = SETTINGS) -> Fitted:
    rows, windows = rows_of(count)
    return fit(rows, windows, CALIBRATION, none_yet(CALIBRATION, WIDTH), learned, settings)


def test_a_new_category_is_told_from_the_known_ones() -> None:
    made = fitted()
    _, windows = rows_of(90)
    added = windows.features @ made.heads.weights[:, :-1].T + made.heads.weights[:, -1]
    logits = np.column_stack([windows.logits, windows.logits[:, -1]]) + added
    assert (logits[2::3, 2:].argmax(1) == len(CODES)).mean() > 0.95
    assert (logits[1::3, 2:].argmax(1) == 0).mean() > 0.95
    assert (logits[2::3, 0] > 0.3).mean() > 0.95


def test_codes_without_rows_and_the_sexual_ones_stay() -> None:
    weights = fitted().heads.weights
    assert not weights[1].any()  # no row has a response
    assert not weights[2 + CODES.index("C9S1")].any()
    assert not weights[2 + CODES.index("C11S1")].any()
    assert not weights[2 + CODES.index("C11S2")].any()
    assert weights[2 + len(CODES)].any()


def test_rows_of_new_names_can_be_kept_from_the_label_heads() -> None:
    rows, windows = rows_of(90)
    only_new = [each for each in rows if each.row.safe or each.row.ood_name]
    at = [int(each.row.id) for each in only_new]
    part = Windows(np.arange(len(at)), windows.turns[at], windows.logits[at], windows.features[at])
    champion, settings = none_yet(CALIBRATION, WIDTH), replace(SETTINGS, label_new=False)
    kept = fit(only_new, part, CALIBRATION, champion, (NEW,), settings).heads.weights
    assert not kept[0].any()
    assert kept[2 + len(CODES)].any()
    assert fit(only_new, part, CALIBRATION, champion, (NEW,), SETTINGS).heads.weights[0].any()


def test_few_rows_change_nothing() -> None:
    made = fitted(24, ())
    assert set(made.pulls.values()) == {STAYS}
    assert not made.heads.weights.any()
    assert made.heads.threshold == 0.3


def test_labels_that_say_nothing_new_leave_the_head_as_it_is() -> None:
    rows, windows = rows_of(300)
    chance = np.random.default_rng(1)
    shuffled = [
        Taught(replace(each.row, request_label=Outcome.UNSAFE if chance.random() < 0.5 else Outcome.SAFE), each.group)
        for each in rows
    ]
    even = Windows(windows.rows, windows.turns, windows.logits * 0, windows.features)
    made = fit(shuffled, even, CALIBRATION, none_yet(CALIBRATION, WIDTH), (), SETTINGS)
    assert made.pulls["request"] == STAYS


def test_it_goes_on_from_the_champion_and_is_the_same_every_time() -> None:
    first = fitted()
    assert np.array_equal(first.heads.weights, fitted().heads.weights)
    rows, windows = rows_of(90)
    second = fit(rows, windows, CALIBRATION, first.heads, (NEW,), SETTINGS)
    without = fit(
        rows[:6], Windows(*(part[:6] for part in _parts(windows))), CALIBRATION, first.heads, (NEW,), SETTINGS
    )
    assert np.array_equal(without.heads.weights, first.heads.weights)
    assert second.losses["category"] <= first.losses["category"]


def _parts(windows: Windows) -> tuple[NDArray[Any], ...]:
    return windows.rows, windows.turns, windows.logits, windows.features


def test_which_names_become_categories() -> None:
    rows = rows_of(90)[0]
    learned, counts = new_categories(rows, (), POLICY, 15)
    assert [each.name for each in learned] == ["match  FIXING"]
    assert counts == {"match  FIXING": 30}
    assert new_categories(rows, (), POLICY, 31)[0] == ()
    assert new_categories(rows, (Learned("Rigging", ("Match fixing",)),), POLICY, 15)[0] == (
        Learned("Rigging", ("Match fixing",)),
    )


def _write(folder: Path, lines: list[dict[str, object]]) -> Path:
    folder.mkdir()
    for name in ("train.jsonl", "held_out.jsonl"):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_rows_of_a_folder(tmp_path: Path) -> None:
    unsafe = {"request_label": "unsafe"}
    folder = _write(
        tmp_path / "dataset",
        [
            {"id": "1", "request": "good morning", "request_label": "safe", "author": "ada"},
            {"id": "2", "request": "thrown game", "category": "C12", **unsafe},
            {"id": "3", "request": "thrown game too", "ood_name": "Other risk", "synonyms": ["Odd risk"], **unsafe},
            {"id": "4", "request": "with a picture", "images": ["pictures/a"], **unsafe},
            {"id": "5", "request": "no such code", "category": "C13", **unsafe},
        ],
    )
    listing = policy("C3", "C3S1", "C12")
    found = read(folder, listing)
    assert [(each.row.id, each.group, each.row.ood_name) for each in found.train] == [
        ("1", "ada", None),
        ("2", "2", "Name of C12"),
        ("3", "3", "Other risk"),
    ]
    assert in_policy(found.train[1].row, listing).categories == ("C12",)
    assert sum(found.problems.counts.values()) == 4
    assert [each.row.id for each in read(folder, listing, ("name of c12", "odd risk")).train] == ["1"]
    with pytest.raises(DatasetError, match="no dataset"):
        read(tmp_path, listing)
