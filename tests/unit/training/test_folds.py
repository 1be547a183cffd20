"""Folds leave whole sources out, and their report shows figures beside each other."""

from pathlib import Path

import numpy as np
import pytest

from proguard_core.training.embedded.fold_report import of_recipe, report, temperatures
from proguard_core.training.embedded.folds import folds, kept_out, measured_examples, save
from proguard_core.training.embedded.rows import Example
from tests.unit.training.test_left_out import folder


def kept(path: Path, name: str, spread: float, seed: int = 5) -> None:
    """A fold of 200 requests and 40 responses whose logits part the labels by `spread`."""
    drawn = np.random.default_rng(seed)
    rows = [Example("davidson", f"{n}", None if n < 200 else "yes", n % 2 == 0, None) for n in range(240)]
    side = np.array([[spread if row.unsafe else -spread] * 2 for row in rows])
    save(path / f"{name}.npz", rows, side + drawn.normal(0, 1, (240, 2)))


def test_no_source_is_in_two_folds() -> None:
    named = [source for sources in folds().values() for source in sources]
    assert len(named) == len(set(named))
    assert len(folds()) >= 3


def test_the_rows_of_a_fold_are_those_that_it_does_not_teach(tmp_path: Path) -> None:
    data = folder(tmp_path)
    left_out, measured = kept_out(data, "two", seed=1)
    assert {row.source for row in measured} == {"davidson"}
    assert not any(left_out.keeps(row) for row in measured)
    assert measured_examples(data, frozenset({"catqa"}), 1)[0].unsafe is True


def test_the_report_has_a_line_a_source_and_recipe(tmp_path: Path) -> None:
    kept(tmp_path, "weak.one", 0.3)
    kept(tmp_path, "strong.one", 2.0)
    lines = report(tmp_path, ["weak", "strong"]).splitlines()
    assert [line.split(" | ")[2] for line in lines[2:4]] == ["weak", "strong"]
    weak, strong = (float(line.split(" | ")[4].split()[0]) for line in lines[2:4])
    assert weak < strong
    assert any("| davidson | response |" in line for line in lines)


def test_temperatures_come_from_all_folds_of_a_recipe(tmp_path: Path) -> None:
    kept(tmp_path, "both.one", 1.0)
    kept(tmp_path, "both.two", 1.0, seed=6)
    found = of_recipe(tmp_path, "both")
    assert len(found["unsafe"]) == 480
    confident = {**found, "logit": found["logit"] * 3}
    assert temperatures(confident)["request"] > 2 * temperatures(found)["request"]
    with pytest.raises(FileNotFoundError, match="nothing"):
        of_recipe(tmp_path, "nothing")
