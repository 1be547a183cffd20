"""What verl leaves behind becomes a run folder, or is refused and leaves none."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from proguard_core.training.grpo.files import RunError, RunRefused
from proguard_core.training.grpo.model import Champion, read_champion
from proguard_core.training.verl_job.checkpoint import bring_back, tensors
from proguard_core.training.verl_job.settings import VerlRecipe

RECIPE = VerlRecipe()
ASKED = {"base_name": "guard-7b"}
KEY = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"
BASE = "b" * 64


def safetensors(names: list[str], value: int = 1) -> bytes:
    header = {name: {"dtype": "U8", "shape": [1], "data_offsets": [at, at + 1]} for at, name in enumerate(names)}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + bytes([value] * len(names))


def saved(folder: Path, rollout: int = 340, names: tuple[str, ...] = (KEY,), **config: Any) -> Path:
    adapter = folder / f"global_step_{rollout}" / "actor" / "lora_adapter"
    adapter.mkdir(parents=True)
    said = {"r": 32, "lora_alpha": 64, "base_model_name_or_path": "/dev/shm/x", **config}
    (adapter / "adapter_config.json").write_text(json.dumps(said))
    (adapter / "adapter_model.safetensors").write_bytes(safetensors(list(names)))
    (folder / "latest_checkpointed_iteration.txt").write_text(f"{rollout}\n")
    return adapter


def test_the_last_adapter_comes_back_as_our_own(tmp_path: Path) -> None:
    saved(tmp_path / "c", 320)
    saved(tmp_path / "c", 340)
    result = bring_back(tmp_path / "c", tmp_path / "run", RECIPE, BASE, None, ASKED)
    assert (result["status"], result["rollouts"]) == ("trained", 340)
    adapter = tmp_path / "run" / "adapter"
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == "guard-7b"
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    # The next run can go on from it.
    champion = read_champion(adapter, BASE, RECIPE)
    assert champion.digest == result["adapter"]
    with pytest.raises(RunRefused, match="the champion's"):
        bring_back(tmp_path / "c", tmp_path / "next", RECIPE, BASE, champion, ASKED)


@pytest.mark.parametrize(
    ("given", "error", "why"),
    [
        ({"r": 16}, RunRefused, "has r 16, not 32"),
        ({"lora_alpha": 1}, RunRefused, "lora_alpha"),
        ({"names": (KEY, "base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight")}, RunRefused, "language"),
        ({"names": ()}, RunError, "holds no tensor"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, given: dict[str, Any], error: type[Exception], why: str) -> None:
    saved(tmp_path / "c", **given)
    with pytest.raises(error, match=why):
        bring_back(tmp_path / "c", tmp_path / "run", RECIPE, BASE, None, ASKED)
    assert not (tmp_path / "run" / "result.json").exists()
    assert not (tmp_path / "run" / "adapter").exists()


def test_half_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint"):
        bring_back(tmp_path, tmp_path / "run", RECIPE, BASE, None, ASKED)
    adapter = saved(tmp_path / "c")
    weights = adapter / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:20])
    with pytest.raises(RunError, match="no safetensors"):
        tensors(weights)
    weights.unlink()
    with pytest.raises(RunError, match=r"has no adapter_model\.safetensors"):
        bring_back(tmp_path / "c", tmp_path / "run", RECIPE, BASE, Champion(tmp_path, "x"), ASKED)
