"""A small dataset of all modalities and the settings of short runs, for the tests of GRPO."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from proguard_core.dataset.writers import write_trl
from tests.unit.dataset.builders import QUICK, Shelf, base, item, made, picture

SHELF = Shelf({f"{at}": picture(at) for at in range(24)})
# A prompt of each modality, two updates a rollout. Far from the paper's: a tiny model moves at this rate.
SHORT = {
    "prompts": 3,
    "generations": 4,
    "updates": 2,
    "micro_batch": 2,
    "max_answer": 64,
    "learning_rate": 1e-3,
    "max_prompt": 3500,
    "max_pixels": 28 * 28 * 16,
    "lora_rank": 4,
    "lora_alpha": 8,
    "engine": "transformers",
}


def write_dataset(folder: Path) -> Path:
    """About 30 rows to train on, a third of each modality."""
    codes = ("C9S3", "C7S1", "C10S2", "C6S1")
    pictures = [item(f"p{at}", "", codes[at % 4] if at % 2 else None, images=(f"{at}",)) for at in range(12)]
    both = [item(f"b{at}", code=codes[at % 4][:-2] if at % 2 else None, images=(f"{at}",)) for at in range(12, 24)]
    write_trl(made([*base(12), *pictures, *both], replace(QUICK, held_out=0.1), fetch=SHELF), folder, SHELF)
    return folder


def options(dataset: Path, model: Path, out: Path, **settings: Any) -> list[str]:
    """The command line of a run, without the command."""
    given = {"dataset": dataset, "base": model, "out": out, **SHORT, **settings}
    return [text for key, value in given.items() for text in (f"--{key.replace('_', '-')}", str(value))]


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """The command in a process of its own, with as many threads as the tests have."""
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "proguard_core.training.grpo", *arguments]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **quiet})


def result(out: Path) -> dict[str, Any]:
    """What result.json holds."""
    value: dict[str, Any] = json.loads((out / "result.json").read_text())
    return value


def wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until a file is there while the process runs."""
    while not path.exists():
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
