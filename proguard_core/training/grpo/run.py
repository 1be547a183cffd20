"""One run in one folder: what was asked for, checkpoints, page, adapter, result. The same call again goes on from
where it was killed, and changes nothing where the run has ended."""

import importlib.metadata
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proguard_core.policy.policy import Policy
from proguard_core.training.descriptions import Descriptions
from proguard_core.training.grpo import checkpoints
from proguard_core.training.grpo.collapse import collapse
from proguard_core.training.grpo.files import RunError, RunRefused, alone_in, base_digest, read_json, write_json
from proguard_core.training.grpo.metrics import Gauges
from proguard_core.training.grpo.settings import Engine, GrpoSettings
from proguard_core.training.reward import DEFAULTS, RewardSettings

log = logging.getLogger(__name__)

ASKED, RESULT, ADAPTER = "asked.json", "result.json", "adapter"
TRAINED, COLLAPSED = "trained", "collapsed"
_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "vllm")


@dataclass(frozen=True, slots=True)
class Job:
    """dataset: a folder of `write_trl`. base: a checkpoint's folder. champion: an adapter's, None for the first."""

    dataset: Path
    base: Path
    out: Path
    champion: Path | None = None


@dataclass(frozen=True, slots=True)
class Reward:
    """What answers earn: the whole policy, its phrases as vectors, and the constants."""

    policy: Policy
    descriptions: Descriptions
    settings: RewardSettings = DEFAULTS


def train(job: Job, settings: GrpoSettings, reward: Reward, gauges: Gauges | None = None) -> dict[str, Any]:
    """Train until the end or a collapse; the content of result.json.

    `status` is `trained`, and then the adapter is in `adapter/`, or `collapsed`, and then there is none. Blocks for
    as long as it takes. gauges: OpenTelemetry's global ones without. Raises RunRefused, RunError, RewardError, and
    OSError where the disk is full: the same call goes on from the last checkpoint then.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RunRefused("this trains in one process on one device; many are for verl")
    with alone_in(job.out):
        base = base_digest(job.base)
        if (job.out / RESULT).is_file():
            _same_run(job.out, {"base": base, "settings": settings.model_dump(mode="json")})
            return read_json(job.out / RESULT)
        return _trained(job, settings, reward, base, gauges or Gauges())


def engine(settings: GrpoSettings) -> Engine:
    """What writes the answers on this machine. Raises RunRefused where vLLM is wanted and missing."""
    import importlib.util

    import torch

    can = torch.cuda.is_available() and importlib.util.find_spec("vllm") is not None
    if settings.engine == "vllm" and not can:
        raise RunRefused('engine = "vllm" needs a GPU and vLLM')
    return "vllm" if can and settings.engine != "transformers" else "transformers"


def _trained(job: Job, settings: GrpoSettings, reward: Reward, base: str, gauges: Gauges) -> dict[str, Any]:
    # TRL pings its hub at each start otherwise.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from proguard_core.training.grpo.model import load_model, load_processor, read_champion
    from proguard_core.training.grpo.rows import Rows
    from proguard_core.training.grpo.starting import Start, prepare
    from proguard_core.training.grpo.trainer import updates

    champion = None if job.champion is None else read_champion(job.champion, base, settings)
    processor = load_processor(job.base, settings)
    rows = Rows(job.dataset, processor, settings)
    asked = {
        "base": base,
        "dataset": {"version": rows.datasheet.get("version"), "train": rows.digest},
        "champion": None if champion is None else champion.digest,
        "settings": settings.model_dump(mode="json"),
        "engine": engine(settings),
    }
    _same_run(job.out, asked)
    start = Start(load_model(job.base, champion, settings), processor, rows, asked, champion)
    trainer, watching = prepare(start, job.out, settings, reward, gauges)
    found = checkpoints.newest(job.out)
    history: list[Mapping[str, Any]] = []
    if found is not None:
        history = updates(watching.go_on(*found))
    watching.collapsed = collapse(history, settings, trainer.highest)
    if watching.collapsed is None:
        trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
        history = updates(trainer.state.log_history)
    return _ended(job.out, start, trainer, watching, history)


def _same_run(out: Path, asked: dict[str, Any]) -> None:
    """Write down what was asked for, or see that it is what was asked for before: half a run of each is neither."""
    path = out / ASKED
    if not path.is_file():
        write_json(path, asked)
        return
    before = read_json(path)
    if changed := [key for key in asked if asked[key] != before.get(key)]:
        raise RunRefused(f"{out} is the folder of another run: {', '.join(changed)} differ")


def _ended(out: Path, start: Any, trainer: Any, watching: Any, history: list[Mapping[str, Any]]) -> dict[str, Any]:
    from proguard_core.training.grpo import weights
    from proguard_core.training.grpo.model import save_adapter, write_origin

    after = weights.fingerprint(trainer.model)
    result: dict[str, Any] = {
        "status": COLLAPSED if watching.collapsed else TRAINED,
        "why": watching.collapsed,
        "updates": len(history),
        "rollouts": len(history) // trainer.settings.updates,
        "asked": start.asked,
        "weights": {"before": watching.untrained, "after": after},
        "too_long": dict(start.rows.too_long),
        "passes": trainer.plan.passes(len(history) // trainer.settings.updates),
        "last": dict(history[-1]) if history else {},
        "versions": _versions(),
    }
    if watching.collapsed is None:
        if after == watching.untrained:
            raise RunError("the adapter is what it was before the first update: nothing was trained")
        partial = out / f".{ADAPTER}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        save_adapter(trainer.accelerator.unwrap_model(trainer.model), partial)
        result["adapter"] = write_origin(partial, start.asked["base"], start.champion)
        shutil.rmtree(out / ADAPTER, ignore_errors=True)
        os.replace(partial, out / ADAPTER)
    watching.recorder.record(history, f"{result['status']}: {watching.collapsed}" if watching.collapsed else TRAINED)
    # Last: whoever finds it finds the adapter too.
    write_json(out / RESULT, result)
    log.info("%s after %d updates: %s", result["status"], len(history), out)
    return result


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        for distribution in (name, f"{name}-cpu"):
            try:
                found[distribution] = importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
    return found
