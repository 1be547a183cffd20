"""When a run stops by itself, and when it does not."""

from typing import Any

import pytest

from proguard_core.training.grpo.collapse import collapse
from proguard_core.training.grpo.settings import CollapseSettings

SETTINGS = CollapseSettings(collapse_window=4, collapse_drop=0.5, collapse_flat=0.9)


def history(rewards: list[float], flat: float = 0.2) -> list[dict[str, Any]]:
    """Two updates a rollout: the second has no reward of its own."""
    records: list[dict[str, Any]] = []
    for reward in rewards:
        records.append({"loss": 0.1, "reward": reward, "frac_reward_zero_std": flat, "step": len(records) + 1})
        records.append({"loss": 0.1, "step": len(records) + 1})
    return records


@pytest.mark.parametrize(
    "rewards",
    [
        [],
        [2.0, 0.0, 2.0],
        [0.0] * 20,
        [2.0, 1.9, 2.1, 2.0, 1.8, 1.2, 1.9, 1.3, 1.2, 1.1, 1.2],
        # One bad rollout is no trend.
        [2.0] * 8 + [0.0] + [2.0] * 3,
        # Overlapping windows are not compared: too early to say.
        [2.0, 2.0, 2.0, 2.0, 0.1, 0.1, 0.1],
    ],
)
def test_goes_on(rewards: list[float]) -> None:
    assert collapse(history(rewards), SETTINGS, 3.0) is None


def test_a_reward_that_fell() -> None:
    why = collapse(history([1.0, 2.0, 2.0, 2.0, 2.0, 0.9, 0.8, 0.7, 0.6]), SETTINGS, 3.0)
    assert why == "the mean reward of 4 rollouts fell from 2.000 to 0.750"


def test_a_slow_fall_is_seen() -> None:
    rewards = [2.0 * 0.9**at for at in range(30)]
    stopped = next(at for at in range(30) if collapse(history(rewards[:at]), SETTINGS, 3.0))
    assert stopped == 11


def test_groups_that_are_all_alike() -> None:
    assert collapse(history([2.0] * 3, flat=0.95), SETTINGS, 3.0) is None
    assert "95%" in str(collapse(history([2.0] * 4, flat=0.95), SETTINGS, 3.0))
    mixed = history([2.0] * 3, flat=0.95) + history([2.0], flat=0.5)
    assert collapse(mixed, SETTINGS, 3.0) is None


def test_a_model_that_is_nearly_always_right_has_not_collapsed() -> None:
    assert collapse(history([2.9] * 9, flat=1.0), SETTINGS, 3.0) is None
    assert collapse(history([2.9] * 9, flat=1.0), SETTINGS, 6.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["loss", "grad_norm", "kl", "reward"])
def test_not_finite(name: str, value: float) -> None:
    records = [*history([2.0]), {"loss": 0.1, "step": 3, name: value}]
    assert f"{name} is {value} at update 3" == collapse(records, SETTINGS, 3.0)
