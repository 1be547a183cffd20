"""vLLM's own OpenAI server for this folder: a start takes a minute on two idle cores, so one serves all."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.vllm_server import VllmServer


@pytest.fixture(scope="package")
def server(tiny_random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """With random weights: nothing that it says makes sense. A test that kills it starts it again."""
    with VllmServer(tmp_path_factory.mktemp("vllm"), tiny_random_model) as running:
        yield running


@pytest.fixture(scope="package")
def random_adapter(tiny_random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the random model, as PEFT writes it: other weights, no more sense."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(1)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(tiny_random_model)
    names = ["q_proj", "v_proj"]  # of the language model alone: the vision tower has others
    config = LoraConfig(r=8, lora_alpha=64, target_modules=names, init_lora_weights=False, task_type="CAUSAL_LM")
    folder = tmp_path_factory.mktemp("adapter")
    get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.fixture
def adapters(random_adapter: Path, tmp_path: Path) -> Path:
    """The adapter under a name of this test's own; beside it `too-wide`, of a rank that the server does not take."""
    folder = tmp_path / "adapters"
    name = f"adapter-of-{tmp_path.name}"
    shutil.copytree(random_adapter, folder / name)
    shutil.copytree(random_adapter, folder / "too-wide")
    config = folder / "too-wide" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 512}))
    return folder / name
