"""What verl itself makes of the job: its configuration, its dataset, its reward manager. No training runs here."""

import asyncio
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from PIL import Image, ImageChops

from proguard_core.dataset.writers import write_verl
from proguard_core.training.grpo.files import RunRefused
from proguard_core.training.reward import RewardSettings
from proguard_core.training.verl_job.compose import Places, overrides
from proguard_core.training.verl_job.rows import TRAIN, lay_out
from proguard_core.training.verl_job.settings import Cluster, VerlRecipe
from proguard_core.training.verl_job.validate import composed, read_rows
from tests.engines.grpo import SHORT
from tests.unit.dataset.builders import QUICK, Shelf, base, item, made, picture
from tests.unit.training.golden import Case, cases

# A forked worker of `datasets` may hang where torch has threads.
_IN_PROCESS = "data.filter_overlong_prompts_workers=null"
PLACES = Places(PurePosixPath("/shared/run-1"), PurePosixPath("/models/guard"))
RECIPE = VerlRecipe.model_validate({**SHORT, "prompts": 6, "epochs": 2.0})
SHELF = Shelf({f"{at}": picture(at) for at in range(24)})
GOLDEN_REWARD = Path(__file__).with_name("golden_reward.py")


def given(recipe: VerlRecipe, cluster: Cluster | None = None, places: Places = PLACES) -> list[str]:
    return overrides(recipe, cluster or Cluster(), places)


def config(*further: str) -> Any:
    return composed([*given(VerlRecipe()), *further])


def test_verl_has_every_key_and_takes_every_value() -> None:
    from omegaconf import OmegaConf  # type: ignore[import-not-found]

    champion = replace(PLACES, champion=PurePosixPath("/models/champion"))
    policy = PurePosixPath("/shared/policy.yaml")
    wide = Cluster(nodes=2, tensor_parallel=2, policy_path=policy)
    for recipe, cluster, where in ((VerlRecipe(), wide, PLACES), (RECIPE, Cluster(gpus=2), champion)):
        asked = given(recipe, cluster, where)
        found = composed(asked)
        for override in asked:
            key, _, value = override.lstrip("+").partition("=")
            held = OmegaConf.select(found, key)
            wanted = OmegaConf.create(f"value: {value}").value
            assert held == wanted or float(held) == float(wanted), key
    assert found.actor_rollout_ref.model.lora_adapter_path == "/models/champion"
    assert found.data.train_batch_size == 6


@pytest.mark.parametrize(
    ("further", "why"),
    [
        ("actor_rollout_ref.actor.no_such_setting=1", "no_such_setting"),
        ("actor_rollout_ref.actor.ppo_mini_batch_size=512", "mini"),
        ("trainer.nnodes=3", "divisible"),
    ],
)
def test_what_verl_does_not_take_is_refused(further: str, why: str) -> None:
    with pytest.raises(RunRefused, match=why):
        config(further)


def test_a_dry_run_is_validated_by_verl(tiny_random_model: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    write_verl(made(base(40), replace(QUICK, held_out=0.1)), dataset, SHELF)
    options = ["--dataset", dataset, "--base", tiny_random_model, "--out", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-m", "proguard_core.training.verl_job", *map(str, options), "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "validated by verl" in done.stdout
    assert "NOT VALIDATED" not in done.stdout
    assert "ray job submit" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory, tiny_random_model: Path) -> tuple[Path, Any, dict[str, Any]]:
    """Folder of a run's rows, the processor, and what was said of them. One post's words look like marks of verl."""
    from proguard_core.training.grpo.model import load_processor

    folder = tmp_path_factory.mktemp("verl")
    pictures = [item(f"p{at}", "", "C10S2" if at % 2 else None, images=(f"{at}",)) for at in range(12)]
    both = [item(f"b{at}", code="C9" if at % 2 else None, images=(f"{at}",)) for at in range(12, 23)]
    foul = [
        item("foul text", "Look: <image> and <video> <|im_end|>", "C6S1"),
        item("foul both", "See <image><audio> here", "C9", images=("23",)),
    ]
    dataset = made([*base(30), *pictures, *both, *foul], replace(QUICK, held_out=0.1), fetch=SHELF)
    write_verl(dataset, folder / "dataset", SHELF)
    processor = load_processor(tiny_random_model, RECIPE)
    return folder, processor, lay_out(folder / "dataset", folder / "run", RECIPE, processor)


def test_verls_own_dataset_has_every_row_and_every_picture(laid_out: tuple[Path, Any, dict[str, Any]]) -> None:
    from pyarrow import parquet
    from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn  # type: ignore[import-not-found]

    folder, processor, said = laid_out
    path = folder / "run" / TRAIN
    rows = parquet.read_table(path).to_pylist()
    found = composed(given(RECIPE))
    assert read_rows(found, path, processor, said["rows"]) == said["rows"] == len(rows)
    with pytest.raises(RunRefused, match=f"verl keeps {len(rows)} of {len(rows) + 1} rows"):
        read_rows(found, path, processor, len(rows) + 1)
    # Also where verl filters: it drops in silence what it cannot open or finds too long.
    filtering = composed([*given(RECIPE), "data.filter_overlong_prompts=True", _IN_PROCESS])
    assert read_rows(filtering, path, processor, said["rows"]) == said["rows"]
    dataset = RLHFDataset(str(path), processor.tokenizer, found.data, processor=processor)
    shown: Counter[str] = Counter()
    for at, row in enumerate(rows):
        held = dataset[at]
        turns = held["raw_prompt"]
        pictures = [part["image"] for turn in turns for part in _parts(turn) if part["type"] == "image"]
        shown[row["extra_info"]["modality"]] += len(pictures)
        for opened, kept in zip(pictures, row["images"], strict=True):
            assert _same_picture(opened, kept["bytes"])
        assert held["reward_model"]["ground_truth"] == row["reward_model"]["ground_truth"]
        assert held["extra_info"]["id"] == row["extra_info"]["id"]
    assert shown == {"text": 0, "image": len(rows) // 3, "text-image": len(rows) // 3}
    batch = collate_fn([dataset[at] for at in range(RECIPE.prompts)])
    assert Counter(info["modality"] for info in batch["extra_info"]) == {"text": 2, "text-image": 2, "image": 2}


def test_verl_gives_the_model_what_serving_would(laid_out: tuple[Path, Any, dict[str, Any]]) -> None:
    """The pictures' tokens are where the prompt has them, and as many as the processor makes of the pixels."""
    from verl.utils.dataset.rl_dataset import RLHFDataset

    folder, processor, _ = laid_out
    found = composed(given(RECIPE))
    dataset = RLHFDataset(str(folder / "run" / TRAIN), processor.tokenizer, found.data, processor=processor)
    mark = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    for at in range(RECIPE.prompts):
        row = dataset[at]
        text = processor.apply_chat_template(row["raw_prompt"], add_generation_prompt=True, tokenize=False)
        images, _, _ = dataset._process_multi_modal_info(row["raw_prompt"], dataset.image_patch_size, found.data)
        made_of = processor(text=[text], images=images, return_tensors="pt")
        marks = int((made_of["input_ids"] == mark).sum())
        if row["extra_info"]["modality"] == "text":
            assert (images, marks) == (None, 0)
        else:
            assert len(images) == 1
            assert marks == int(made_of["image_grid_thw"].prod()) // 4 > 0


def test_the_golden_table_through_verls_reward_manager(tiny_random_model: Path) -> None:
    """Every case, by the function that verl loads from the file and the manager that its trainer would ask."""
    found = config(f"reward.custom_reward_function.path={GOLDEN_REWARD}")
    scores = _rewards(found, tiny_random_model, cases())
    assert len(scores) == len(cases()) >= 60
    for case, (score, parts) in zip(cases(), scores, strict=True):
        assert score == pytest.approx(case.total, abs=1e-6), case.name
        assert parts["form"] == pytest.approx(case.expected[0], abs=1e-6), case.name


def test_the_shipped_file_is_what_verl_calls(tiny_random_model: Path) -> None:
    """With the shipped encoder: cases whose reward no similarity decides."""
    plain = [case for case in cases() if not case.settings and not case.truth.phrases]
    assert len(plain) >= 20
    scores = _rewards(config(), tiny_random_model, plain)
    for case, (score, _) in zip(plain, scores, strict=True):
        assert score == pytest.approx(case.total, abs=1e-6), case.name


def test_a_misspelt_argument_of_the_reward_is_refused_by_it(tiny_random_model: Path) -> None:
    assert "gated" in RewardSettings.__slots__
    found = config("+reward.custom_reward_function.reward_kwargs.gatted=false")
    with pytest.raises(Exception, match="reward_kwargs has no gatted"):
        _rewards(found, tiny_random_model, cases()[:1])


def _parts(turn: dict[str, Any]) -> list[dict[str, Any]]:
    content = turn["content"]
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _same_picture(opened: Image.Image, kept: bytes) -> bool:
    with Image.open(io.BytesIO(kept)) as own:
        return (
            opened.size == own.size
            and ImageChops.difference(opened.convert("RGB"), own.convert("RGB")).getbbox() is None
        )


def _rewards(found: Any, model: Path, asked: Sequence[Case]) -> list[tuple[float, dict[str, Any]]]:
    """Answers as tokens, as a rollout would leave them, through verl's manager."""
    import numpy as np
    import torch
    from transformers import AutoTokenizer
    from verl import DataProto  # type: ignore[import-not-found]
    from verl.trainer.ppo.reward import load_reward_manager  # type: ignore[import-not-found]

    tokenizer = AutoTokenizer.from_pretrained(model)

    async def all_of_them() -> list[tuple[float, dict[str, Any]]]:
        manager = load_reward_manager(found, tokenizer)
        scores = []
        for case in asked:
            answer = tokenizer(case.answer, return_tensors="pt", add_special_tokens=False)["input_ids"].long()
            length = answer.shape[1]
            data = DataProto.from_dict(
                tensors={
                    "prompts": answer,
                    "responses": answer,
                    "input_ids": torch.cat([answer, answer], 1),
                    "attention_mask": torch.ones(1, 2 * length, dtype=torch.long),
                },
                non_tensors={
                    "data_source": np.array(["proguard/text"], dtype=object),
                    "reward_model": np.array([{"ground_truth": case.truth.to_json()}], dtype=object),
                    "extra_info": np.array([{"case": case.name}], dtype=object),
                },
            )
            result = await manager.run_single(data)
            scores.append((float(result["reward_score"]), result["reward_extra_info"]))
        return scores

    return asyncio.run(all_of_them())
