"""From model, rows and reward to a trainer that is ready to start or to go on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proguard_core.training.grpo.metrics import Gauges
from proguard_core.training.grpo.model import Champion, precision
from proguard_core.training.grpo.plan import Plan
from proguard_core.training.grpo.record import Recorder
from proguard_core.training.grpo.rows import Rows
from proguard_core.training.grpo.settings import GrpoSettings
from proguard_core.training.grpo.trainer import ProGuardTrainer, Watching, config
from proguard_core.training.grpo.watch import watched
from proguard_core.training.trl_reward import trl_reward
from schemas.common import Modality


@dataclass(frozen=True, slots=True)
class Start:
    """asked: what asked.json holds."""

    model: Any
    processor: Any
    rows: Rows
    asked: Mapping[str, Any]
    champion: Champion | None


def prepare(
    start: Start, out: Path, settings: GrpoSettings, reward: Any, gauges: Gauges
) -> tuple[ProGuardTrainer, Watching]:
    """reward: the run's Reward."""
    plan = Plan(start.rows.modalities, settings)
    rollouts = settings.rollouts(len(start.rows))
    function = trl_reward(reward.policy, reward.descriptions, reward.settings)
    trainer = ProGuardTrainer(
        model=start.model,
        reward_funcs=[watched(function, plan, settings.generations)],
        args=config(settings, out, rollouts, vllm=start.asked["engine"] == "vllm"),
        train_dataset=start.rows.table,
        processing_class=start.processor,
    )
    # The trainer insists on a table when it is made, and reads by places afterwards.
    trainer.train_dataset = start.rows
    trainer.plan, trainer.settings, trainer.rollouts = plan, settings, rollouts
    trainer.highest = reward.settings.highest
    recorder = Recorder(out, _facts(start, settings, rollouts), _warnings(start, plan), gauges)
    watching = Watching(trainer, recorder, settings.keep_checkpoints)
    trainer.add_callback(watching)
    return trainer, watching


def _facts(start: Start, settings: GrpoSettings, rollouts: int) -> dict[str, str]:
    counts = {m.value: start.rows.modalities.count(m) for m in Modality}
    plain = settings.model_dump(mode="json")
    return {
        "base": str(start.asked["base"])[:16],
        "champion": "none: a new adapter" if start.champion is None else start.champion.digest[:16],
        "dataset": f"{start.asked['dataset']['version']}: " + ", ".join(f"{n} {m}" for m, n in counts.items()),
        "rollouts": f"{rollouts} of {settings.prompts} prompts x {settings.generations} answers",
        "answers by": str(start.asked["engine"]),
        "precision": precision(settings),
        "settings": ", ".join(f"{key} {value}" for key, value in plain.items()),
    }


def _warnings(start: Start, plan: Plan) -> list[str]:
    found = [str(warning) for warning in start.rows.datasheet.get("warnings", ())]
    found += [f"{count} {m} rows are longer than max_prompt and left out" for m, count in start.rows.too_long.items()]
    found += [f"no {m.value} rows: batches are balanced over the others" for m in Modality if m not in plan.present]
    return found
