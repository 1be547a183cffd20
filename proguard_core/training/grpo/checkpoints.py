"""Checkpoints that a kill cannot break: each has a seal, written last, without which it does not count."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proguard_core.training.grpo.files import RunError, digest, read_json, write_json

SEAL = "seal.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def place(folder: Path, step: int) -> Path:
    """Where the trainer writes the checkpoint of an update."""
    return folder / f"checkpoint-{step}"


def seal(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Declare a checkpoint whole. state: JSON values to go on from, beside the trainer's own."""
    write_json(checkpoint / SEAL, {"files": _digest(checkpoint), "state": state})


def newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The last whole checkpoint and its state; None where there is none. Removes those that are not whole."""
    for _, path in sorted(_all(folder), reverse=True):
        try:
            sealed = read_json(path / SEAL)
            if sealed["files"] == _digest(path):
                return path, dict(sealed["state"])
        except (OSError, RunError, KeyError):
            pass
        shutil.rmtree(path)
    return None


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest."""
    for _, path in sorted(_all(folder), reverse=True)[keep:]:
        shutil.rmtree(path)


def _all(folder: Path) -> list[tuple[int, Path]]:
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("checkpoint-*"))
    return [(int(match[1]), path) for match, path in found if match is not None]


def _digest(checkpoint: Path) -> str:
    return digest(path for path in checkpoint.iterdir() if path.is_file() and not path.name.startswith((SEAL, ".")))
