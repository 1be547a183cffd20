"""Heads from a folder: loaded whole and for their own artefact or not at all; what they add, and what they may not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proguard_core.guards.embedded.graph import with_features
from proguard_core.guards.embedded.heads import WEIGHTS, HeadsError, Learned, key_of, load, none_yet
from proguard_core.guards.embedded.placing import place
from proguard_core.guards.embedded.scoring import Scoring
from proguard_core.guards.embedded.text_model import Calibration, Reading, sigmoid
from tests.support.embedded_heads import write_heads
from tests.unit.guards.embedded.policies import policy

CODES = ("C3S1", "C9S1", "C11S1", "C11S2", "other")
CALIBRATION = Calibration(2.0, 1.0, 0.5, 0.3, 160, CODES)
BASE = {"model.onnx": "a" * 64, "tokenizer.json": "b" * 64, "calibration.json": "c" * 64}
WIDTH = 3
ROWS = 2 + len(CODES)


def weights(learned: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.zeros((ROWS + learned, WIDTH + 1), np.float32)


def scoring(rows: np.ndarray[Any, np.dtype[np.float32]], *keys: str) -> Scoring:
    heads = none_yet(CALIBRATION, WIDTH)
    return Scoring(CALIBRATION, type(heads)(rows, tuple(map(Learned, keys)), 0.3), keys)


def reading(*logits: float) -> Reading:
    return Reading(np.array(logits), np.array([1.0, -1.0, 0.5], np.float32))


def test_heads_are_loaded_as_they_were_written(tmp_path: Path) -> None:
    rows = weights(1)
    rows[ROWS, 0] = 2.5
    found = load(write_heads(tmp_path / "r1", BASE, rows, "Match fixing"), BASE, CALIBRATION, WIDTH)
    assert [each.name for each in found.learned] == ["Match fixing"]
    assert found.threshold == 0.3
    assert np.array_equal(found.weights, rows)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"base": {**BASE, "model.onnx": "d" * 64}}, "for another artefact: their model.onnx"),
        ({"base": None}, "does not say which artefact"),
        ({"heads_sha256": "0" * 64}, "half-written, or changed"),
        ({"kind": "adapter"}, "no folder of heads"),
        ({"format": 2}, "no folder of heads"),
        ({"category_threshold": 1.5}, "no probability"),
        ({"learned": [{"name": ""}]}, "no usable name"),
        ({"learned": [{"name": "One"}, {"name": "one"}]}, "two learned categories"),
        ({"learned": [{"name": "One"}, {"name": "Two"}]}, "not float32"),
    ],
)
def test_heads_that_must_not_be_served_are_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    folder = write_heads(tmp_path / "r1", BASE, weights(1), "Match fixing", **fields)
    with pytest.raises(HeadsError, match=said):
        load(folder, BASE, CALIBRATION, WIDTH)


def test_a_file_that_was_cut_or_is_no_number_is_refused(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cut", BASE, weights())
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-8])
    with pytest.raises(HeadsError, match="half-written"):
        load(folder, BASE, CALIBRATION, WIDTH)
    with pytest.raises(HeadsError, match="cannot be read"):
        load(tmp_path / "missing", BASE, CALIBRATION, WIDTH)
    with pytest.raises(HeadsError, match="no number"):
        load(write_heads(tmp_path / "nan", BASE, weights() + np.nan), BASE, CALIBRATION, WIDTH)


def test_rows_of_zeros_are_the_artefact_itself() -> None:
    found = scoring(weights()).score(reading(2.0, -1.0, 1.0, 0.0, -3.0, -3.0, 0.5))
    assert (found.request, found.response) == (sigmoid(1.0), sigmoid(-1.0))
    assert sum(found.categories.values()) == pytest.approx(1)
    assert found.categories["C3S1"] / found.categories["C9S1"] == pytest.approx(np.exp(1.0 / 0.5))


def test_a_learned_category_begins_as_other_and_grows_with_its_row() -> None:
    said = reading(0.0, 0.0, -2.0, -2.0, -4.0, -4.0, 1.0)
    even = scoring(weights(1), "C12").score(said).categories
    assert even["C12"] == pytest.approx(even["other"])
    rows = weights(1)
    rows[ROWS] = [1.0, -1.0, 0.0, 0.5]
    grown = scoring(rows, "C12").score(said).categories
    assert grown["C12"] / grown["other"] == pytest.approx(np.exp(2.5), rel=1e-5)


def test_law_11_what_the_artefact_finds_sexual_keeps_its_place_and_never_becomes_safer() -> None:
    rows = weights(1)
    rows[:2, -1], rows[ROWS, -1] = -50.0, 50.0
    said = reading(3.0, 1.0, 0.0, 0.0, 4.0, 1.0, 2.0)
    own, taught = scoring(weights()).score(said), scoring(rows, "C12").score(said)
    assert taught == own
    rows[0, -1] = 50.0
    assert scoring(rows, "C12").score(said).request > own.request


def test_a_learned_category_is_a_code_where_the_policy_lists_it_by_name_or_synonym() -> None:
    listing = policy("C12", "C12S1")
    assert key_of(Learned("name of c12"), listing) == "C12"
    assert key_of(Learned("Something else", ("Name of C12S1 content",)), listing) == "C12S1"
    assert key_of(Learned("Match fixing"), listing) == "unlisted:Match fixing"


def test_where_a_learned_category_is_placed() -> None:
    shares = {"C3S1": 0.1, "C11S1": 0.01, "other": 0.2}
    listed = place({**shares, "C12": 0.69}, policy("C3", "C3S1", "C12", "C12S1"), 0.3)
    assert (listed.code, listed.name) == ("C12", None)
    novel = place({**shares, "unlisted:Match fixing": 0.69}, policy("C3", "C3S1"), 0.3)
    assert (novel.code, novel.nearest, novel.name) == (None, "C3S1", "Match fixing")
    unsure = place({"C3S1": 0.2, "other": 0.2, "unlisted:Match fixing": 0.25}, policy("C3", "C3S1"), 0.3)
    assert (unsure.code, unsure.name) == (None, None)


def test_bytes_that_are_no_network_are_refused() -> None:
    for data in (b"", b"\x00\x01\x02", b"not a model at all", b"\x3a\x7f"):
        with pytest.raises(ValueError, match=r"model\.onnx"):
            with_features(data)
