"""Whether a run has gone wrong for good: from what was logged alone, so that a run that went on says the same."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from proguard_core.training.grpo.settings import CollapseSettings

REWARD, FLAT = "reward", "frac_reward_zero_std"
_FINITE = ("loss", "grad_norm", "kl", "entropy", REWARD)


def rollouts(history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Records of the updates whose rollout was judged; the other updates of a rollout have no reward of their own."""
    return [record for record in history if REWARD in record]


def collapse(history: Sequence[Mapping[str, Any]], settings: CollapseSettings, highest: float) -> str | None:
    """Why the run must stop, None while it need not. history: one record an update, as the trainer logs them; highest:
    what an answer can earn.

    Not finite: at once. Reward: the mean of the last window below a part of the best window before. Flat: in a whole
    window nearly every group had equal rewards, so that nothing is learned but what the other terms of the loss say. A
    model that is nearly always right has such groups too, and goes on.
    """
    if history:
        last = history[-1]
        for name in _FINITE:
            value = last.get(name)
            if isinstance(value, int | float) and not math.isfinite(value):
                return f"{name} is {value} at update {last.get('step', len(history))}"
    judged = rollouts(history)
    window = settings.collapse_window
    if len(judged) < window:
        return None
    flat = [float(record.get(FLAT, 0.0)) for record in judged[-window:]]
    rewards = [float(record[REWARD]) for record in judged]
    is_solved = sum(rewards[-window:]) / window >= settings.collapse_solved * highest
    if min(flat) >= settings.collapse_flat and not is_solved:
        return f"in each of the last {window} rollouts at least {min(flat):.0%} of the groups had equal rewards"
    means = [sum(rewards[at : at + window]) / window for at in range(len(rewards) - window + 1)]
    # Windows that overlap the last one would hide a slow fall.
    if earlier := means[: max(0, len(means) - window)]:
        best = max(earlier)
        if best > 0 and means[-1] < settings.collapse_drop * best:
            return f"the mean reward of {window} rollouts fell from {best:.3f} to {means[-1]:.3f}"
    return None
