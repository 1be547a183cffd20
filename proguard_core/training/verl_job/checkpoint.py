"""The adapter out of verl's last checkpoint, into a run folder as `training.grpo` leaves it."""

import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

from proguard_core.guards.adapters import CONFIG_FILE, WEIGHTS_FILE
from proguard_core.training.grpo.files import RunError, RunRefused, digest, read_json, write_json
from proguard_core.training.grpo.model import Champion, write_origin
from proguard_core.training.verl_job.settings import VerlRecipe

LATEST = "latest_checkpointed_iteration.txt"
_LANGUAGE = ".language_model."
_FILES = (CONFIG_FILE, WEIGHTS_FILE)


def last(checkpoints: Path) -> tuple[int, Path]:
    """The last rollout that verl saved, and the adapter in it. Raises RunError."""
    try:
        number = int((checkpoints / LATEST).read_text().strip())
    except (OSError, ValueError) as error:
        raise RunError(f"verl left no checkpoint in {checkpoints}: {error}") from error
    adapter = checkpoints / f"global_step_{number}" / "actor" / "lora_adapter"
    if missing := [name for name in _FILES if not (adapter / name).is_file()]:
        raise RunError(f"{adapter} has no {missing[0]}")
    return number, adapter


def bring_back(
    checkpoints: Path, out: Path, recipe: VerlRecipe, base: str, champion: Champion | None, asked: dict[str, Any]
) -> dict[str, Any]:
    """Copy, check, and write result.json, whose content is returned. base: digest of the base.

    Raises RunRefused where the adapter is not of the recipe, changes layers that no engine serves, or is the champion.
    """
    number, source = last(checkpoints)
    config = read_json(source / CONFIG_FILE)
    for key, wanted in (("r", recipe.lora_rank), ("lora_alpha", recipe.lora_alpha)):
        if config.get(key) != wanted:
            raise RunRefused(f"the adapter in {source} has {key} {config.get(key)}, not {wanted}")
    if others := [name for name in tensors(source / WEIGHTS_FILE) if _LANGUAGE not in name]:
        raise RunRefused(f"{len(others)} tensors in {source} are not of the language model, such as {others[0]}")
    partial = out / ".adapter.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(source / name, partial / name)
    if digest(partial / name for name in _FILES) != digest(source / name for name in _FILES):
        raise RunError(f"{source} changed while it was copied")
    write_json(partial / CONFIG_FILE, {**config, "base_model_name_or_path": asked["base_name"]})
    own = write_origin(partial, base, champion)
    if champion is not None and _same_weights(partial, champion.folder):
        raise RunRefused("the adapter is the champion's: nothing was trained")
    shutil.rmtree(out / "adapter", ignore_errors=True)
    os.replace(partial, out / "adapter")
    result = {"status": "trained", "why": None, "rollouts": number, "asked": asked, "adapter": own}
    write_json(out / "result.json", result)
    return result


def tensors(path: Path) -> list[str]:
    """Names in a safetensors file, from its header. Raises RunError where it is none."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > path.stat().st_size:
                raise ValueError("it is cut")
            header = json.loads(file.read(size))
    except (OSError, ValueError, struct.error) as error:
        raise RunError(f"{path} is no safetensors file: {error}") from error
    names = [name for name in header if name != "__metadata__"]
    if not names:
        raise RunError(f"{path} holds no tensor")
    return names


def _same_weights(one: Path, other: Path) -> bool:
    return digest([one / WEIGHTS_FILE]) == digest([other / WEIGHTS_FILE])
