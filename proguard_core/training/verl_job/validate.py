"""Whether verl itself understands the configuration and reads the rows. Runs where verl is installed."""

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proguard_core.training.grpo.files import RunRefused
from proguard_core.training.verl_job.compose import CONFIG

_RANK = "actor_rollout_ref.model.lora_rank"


def can_validate() -> bool:
    """Whether verl is in this environment."""
    return all(importlib.util.find_spec(name) is not None for name in ("verl", "hydra"))


def unchecked() -> str | None:
    """What verl cannot check in this environment, or None. With an adapter it asks vLLM whether its rank is served."""
    try:
        importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        return "but for the adapter's rank, which it compares with vLLM's list: vLLM is not in this environment"
    return None


def composed(overrides: Sequence[str]) -> Any:
    """The configuration as verl's trainer would have it. Raises RunRefused with verl's own words.

    What `unchecked` says is left out of the check, not of the configuration.
    """
    from hydra import compose, initialize_config_module  # type: ignore[import-not-found]
    from verl.utils.config import validate_config  # type: ignore[import-not-found]

    try:
        with initialize_config_module(config_module="verl.trainer.config", version_base=None):
            config = compose(CONFIG, overrides=list(overrides))
            asked = config if unchecked() is None else compose(CONFIG, overrides=[*overrides, f"{_RANK}=0"])
        validate_config(config=asked, use_reference_policy=True, use_critic=False)
    except Exception as error:  # Hydra's, OmegaConf's and verl's own have no common class
        raise RunRefused(f"verl refuses the configuration: {error}") from error
    return config


def read_rows(config: Any, path: Path, processor: Any, expected: int) -> int:
    """Rows that verl's own dataset keeps. Raises RunRefused where it drops any, which it does in silence."""
    from verl.utils.dataset.rl_dataset import RLHFDataset  # type: ignore[import-not-found]

    found = len(RLHFDataset(str(path), processor.tokenizer, config.data, processor=processor))
    if found != expected:
        raise RunRefused(f"verl keeps {found} of {expected} rows of {path}: is qwen_vl_utils installed?")
    return found
