"""What is far from all that was taught is novel, by distances that held-out texts have."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proguard_core.guards.embedded.familiar import FAMILIAR, Familiar
from proguard_core.guards.embedded.text_model import CALIBRATION, FOLDER, MANIFEST, MODEL, TOKENIZER
from proguard_core.guards.factory import create
from proguard_core.guards.protocol import GuardOptions
from proguard_core.policy.loader import load_policy
from proguard_core.training.embedded.familiar import few_of_each, fitted
from proguard_core.training.embedded.rows import Example, digest

WIDTH = 16
NUMBERS = np.random.default_rng(7)
NPY = io.BytesIO()
np.save(NPY, np.ones(4))


def around(place: int, rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows near to one axis."""
    made = NUMBERS.normal(0, 0.05, (rows, WIDTH)).astype(np.float32)
    made[:, place] += 1.0
    return made


def three_kinds() -> Familiar:
    taught, held_out = (np.concatenate([around(place, rows) for place in (0, 1, 2)]) for rows in (60, 40))
    arrays = fitted(taught, held_out, kinds=3)
    assert arrays["middles"].dtype == np.int8
    return Familiar(arrays["centre"], arrays["middles"].astype(np.float32), arrays["steps"].astype(np.float64))


def test_novelty_is_the_share_of_held_out_texts_that_lie_nearer() -> None:
    familiar = three_kinds()
    near = [familiar.novelty(each) for each in np.concatenate([around(place, 100) for place in (0, 1, 2)])]
    assert 0.35 < np.mean(near) < 0.65
    assert 0.02 < np.mean(np.array(near) >= 0.9) < 0.25
    assert min(familiar.novelty(each) for each in around(9, 50)) == 1.0
    assert familiar.novelty(np.zeros(WIDTH, np.float32)) <= 1.0


def test_the_middle_of_everything_is_no_error() -> None:
    familiar = three_kinds()
    assert 0.0 <= familiar.novelty(familiar._centre.copy()) <= 1.0


def test_it_is_not_made_of_nothing() -> None:
    two = np.stack([around(0, 1)[0], around(1, 1)[0]])
    for taught, held_out, said in (
        (two[:0], two, "not 0 and 2 windows"),
        (two, two[:0], "not 2 and 0 windows"),
        (two[:1], two, "without a direction"),
    ):
        with pytest.raises(ValueError, match=said):
            fitted(taught, held_out)
    centred = np.concatenate([two, two.mean(axis=0, keepdims=True)])
    assert np.isfinite(fitted(centred, two, kinds=2)["steps"]).all()


def wrong(**others: Any) -> dict[str, Any]:
    right = {"centre": np.zeros(4), "middles": np.ones((2, 4)), "steps": np.array([0.0, 1.0])}
    return {name: array for name, array in {**right, **others}.items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (wrong(centre=None), "lacks centre"),
        (wrong(middles=np.ones(4)), "other shapes"),
        (wrong(middles=np.ones((0, 4))), "other shapes"),
        (wrong(middles=np.array([[1, 0, 0, 0], [0, 0, 0, 0]])), "without a direction"),
        (wrong(middles=np.array([["a"] * 4])), "could not convert"),
        (wrong(centre=np.zeros(5)), "other shapes"),
        (wrong(steps=np.array([0.0])), "other shapes"),
        (wrong(steps=np.array([1.0, 0.0])), "steps that fall"),
        (wrong(centre=np.full(4, np.nan)), "numbers that are none"),
        (wrong(), "features of 4, the network has 768"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / FAMILIAR, **arrays)
    with pytest.raises(ValueError, match=said):
        Familiar.read(tmp_path, 768)


def saved(arrays: dict[str, Any]) -> bytes:
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"version https://git-lfs.github.com/spec/v1\n",
        saved(wrong())[:300],
        saved(wrong())[:-30],
        saved(wrong()).replace(np.ones(8).tobytes(), np.zeros(8).tobytes()),
        NPY.getvalue(),
    ],
    ids=["empty", "pointer", "cut early", "cut late", "changed", "one array"],
)
def test_a_file_that_is_no_such_file_is_refused_in_plain_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FAMILIAR).write_bytes(content)
    with pytest.raises(ValueError, match=r"familiar\.npz cannot be read: half-written"):
        Familiar.read(tmp_path, 4)


def test_an_artefact_of_before_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for name in (MODEL, TOKENIZER, CALIBRATION, MANIFEST):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"lacks familiar\.npz; python -m proguard_core\.training\.embedded\.familiar"):
        create("embedded", GuardOptions(model=str(tmp_path)), load_policy())
    (tmp_path / MODEL).unlink()
    with pytest.raises(ValueError, match=r"lacks model\.onnx, familiar\.npz$"):
        create("embedded", GuardOptions(model=str(tmp_path)), load_policy())


def test_no_source_is_most_of_what_is_familiar() -> None:
    rows = [Example("big", str(at), None, at % 2 == 0, None) for at in range(100)]
    rows += [Example("big", "a", "b", True, None), Example("small", "c", None, None, None)]
    drawn = few_of_each(rows, most=10)
    assert len(drawn) == 22
    assert drawn == few_of_each(rows, most=10)


def test_the_shipped_file_is_the_one_that_the_manifest_names() -> None:
    said = json.loads((FOLDER / MANIFEST).read_text())
    assert said["files"] == {name: digest(FOLDER / name) for name in said["files"]}
    assert FAMILIAR in said["files"]
    assert (FOLDER / FAMILIAR).stat().st_size < 400_000
