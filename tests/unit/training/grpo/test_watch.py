"""What the reward of each group tells plan and log."""

from typing import Any

from proguard_core.training.grpo.plan import Plan
from proguard_core.training.grpo.settings import GrpoSettings
from proguard_core.training.grpo.watch import watched
from schemas.common import Modality

SETTINGS = GrpoSettings(prompts=3, generations=2, updates=1, micro_batch=2)


def test_groups_are_compared_within_themselves() -> None:
    plan = Plan(list(Modality), SETTINGS)
    seen: dict[str, Any] = {}
    logged: dict[str, float] = {}

    def earned(**columns: Any) -> list[float]:
        seen.update(columns)
        return [0.0, 2.0, 3.0, 3.0, 1.0, 2.0]

    def note(name: str, value: float) -> None:
        logged[name] = value

    reward = watched(earned, plan, 2)
    kinds = ["text", "text", "text", "text", "image", "image"]
    found = reward(completions=["x"] * 6, modality=kinds, log_metric=note, ground_truth=["{}"] * 6)
    assert found == [0.0, 2.0, 3.0, 3.0, 1.0, 2.0]
    assert set(seen) == {"completions", "log_metric", "ground_truth"}
    assert logged == {
        "variance/text": 0.5,
        "flat/text": 0.5,
        "share/text": 2 / 3,
        "variance/image": 0.25,
        "flat/image": 0.0,
        "share/image": 1 / 3,
    }
    assert plan.state()["variances"] == {"text": 0.5, "image": 0.25}
