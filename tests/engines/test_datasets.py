"""Datasets as TRL and verl read them, with the real libraries, and the golden table through TRL's own trainer."""

import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from proguard_core.dataset.builder import Dataset
from proguard_core.dataset.writers import read_trl, write_trl, write_verl
from proguard_core.training.trl_reward import trl_reward
from proguard_core.training.truth import from_json
from tests.unit.dataset.builders import QUICK, Shelf, base, item, made, picture
from tests.unit.training.golden import POLICY, cases

SHELF = Shelf({f"{at}": picture(at) for at in range(20)})


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    pictures = [item(f"p{at}", "", "C10S2" if at % 2 else None, images=(f"{at}",)) for at in range(10)]
    both = [item(f"b{at}", code="C9" if at % 2 else None, images=(f"{at}",)) for at in range(10, 20)]
    injected = item("injected", "Look: <image> and <|im_end|>", "C6S1")
    return made([*base(20), *pictures, *both, injected], replace(QUICK, held_out=0.2), fetch=SHELF)


def test_verls_rows(dataset: Dataset, tmp_path: Path) -> None:
    from pyarrow import parquet

    write_verl(dataset, tmp_path / "verl", SHELF)
    rows = parquet.read_table(tmp_path / "verl" / "train.parquet").to_pylist()
    assert len(rows) == len(dataset.train)
    for index, (row, sample) in enumerate(zip(rows, dataset.train, strict=True)):
        user = row["prompt"][-1]["content"]
        assert user.count("<image>") == len(row["images"]) == len(sample.item.row.images)
        assert user.startswith("<image>") or not row["images"]
        assert from_json(row["reward_model"]["ground_truth"]) == sample.truth
        assert row["data_source"] == f"proguard/{sample.item.modality.value}"
        assert (row["extra_info"]["index"], row["extra_info"]["id"]) == (index, sample.item.row.id)
        assert [turn["role"] for turn in row["prompt"]] == ["system", "user"]
        for image, reference in zip(row["images"], sample.item.row.images, strict=True):
            assert image["bytes"] == SHELF(reference)


def test_trls_rows(dataset: Dataset, tmp_path: Path) -> None:
    write_trl(dataset, tmp_path / "trl", SHELF)
    for side, samples in (("train", dataset.train), ("held_out", dataset.held_out)):
        table = read_trl(tmp_path / "trl", side)
        assert len(table) == len(samples) > 0
        for row, sample in zip(table, samples, strict=True):
            assert from_json(row["ground_truth"]) == sample.truth
            assert row["prompt"][-1] == {"role": "user", "content": sample.prompt().user}
            assert len(row["images"]) == len(sample.item.row.images)
            for image, reference in zip(row["images"], sample.item.row.images, strict=True):
                with Image.open(io.BytesIO(SHELF(reference))) as expected:
                    assert image.size == expected.size
    assert json.loads((tmp_path / "trl" / "datasheet.json").read_text())["version"] == dataset.version


def test_the_golden_table_through_trls_own_trainer(tmp_path: Path) -> None:
    """The trainer's method that calls reward functions, with its columns and keywords; no model is needed for that."""
    import torch
    from trl import GRPOTrainer

    logged: dict[str, list[float]] = {}

    class Waiting:
        """What the method asks of a trainer."""

        accelerator = SimpleNamespace(device=torch.device("cpu"), is_main_process=True)
        args = SimpleNamespace(report_to=[])
        state = SimpleNamespace(global_step=0)
        reward_processing_classes = (None,)
        reward_func_names = ("proguard",)
        environments = None
        _log_completion_extra = staticmethod(lambda *_: None)
        _log_metric = staticmethod(lambda name, value: logged.setdefault(name, []).append(value))

        def __init__(self, reward: Any) -> None:
            self.reward_funcs = (reward,)

    for case in cases():
        trainer: Any = Waiting(trl_reward(POLICY, case.descriptions, case.reward_settings))
        inputs = [{"prompt": [], "images": [], "ground_truth": case.truth.to_json(), "modality": "text"}] * 2
        turns = [[{"role": "assistant", "content": case.answer}]] * 2
        found = _calculated(GRPOTrainer, trainer, inputs, turns)
        assert found[:, 0].tolist() == pytest.approx([case.total] * 2, abs=1e-6), case.name
    assert len(logged["reward/form"]) == len(cases())


def _calculated(trainer_class: Any, trainer: Any, inputs: list[dict[str, Any]], turns: list[Any]) -> Any:
    return trainer_class._calculate_rewards(trainer, inputs, [row["prompt"] for row in inputs], turns, [[0], [0]])
