"""Looks over the reward's shoulder: what each group earned, by modality, goes to the log and to the plan."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean, pvariance
from typing import Any

from proguard_core.training.grpo.plan import Plan
from schemas.common import Modality

Reward = Callable[..., list[float]]
VARIANCE, FLAT, SHARE = "variance", "flat", "share"
"""Logged as `variance/text` and so on: mean variance within groups, groups without any, share of the prompts."""


def watched(reward: Reward, plan: Plan, generations: int) -> Reward:
    """The same reward for TRL. Answers of one prompt stand together, `generations` of them."""

    def proguard(
        completions: Sequence[Any],
        modality: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float]:
        totals = reward(completions=completions, log_metric=log_metric, **columns)
        variances: dict[Modality, list[float]] = defaultdict(list)
        for begin in range(0, len(totals), generations):
            variances[Modality(modality[begin])].append(pvariance(totals[begin : begin + generations]))
        plan.observe({each: fmean(found) for each, found in variances.items()})
        if log_metric is not None:
            groups = len(totals) // generations
            for each, found in variances.items():
                log_metric(f"{VARIANCE}/{each.value}", fmean(found))
                log_metric(f"{FLAT}/{each.value}", sum(value == 0 for value in found) / len(found))
                log_metric(f"{SHARE}/{each.value}", len(found) / groups)
        return totals

    return proguard
