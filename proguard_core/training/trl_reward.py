"""The reward for TRL's GRPOTrainer: `reward_funcs=[trl_reward(policy, descriptions)]`, and a column `ground_truth`."""

from collections.abc import Callable, Sequence
from typing import Any

from proguard_core.policy.policy import Policy
from proguard_core.training.descriptions import Descriptions
from proguard_core.training.reward import DEFAULTS, RewardSettings, rewards
from proguard_core.training.truth import from_json

PARTS = ("form", "request", "response", "category", "bonus")


def trl_reward(
    policy: Policy, descriptions: Descriptions, settings: RewardSettings = DEFAULTS
) -> Callable[..., list[float]]:
    """A reward function. Raises RewardError and TruthError through the trainer, which then stops.

    ground_truth is Truth.to_json of each row. Logged are the means of the parts, the total's by modality, and the share
    of answers whose name broke a rule.
    """

    def proguard(
        completions: Sequence[Any],
        ground_truth: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **_columns: Any,
    ) -> list[float]:
        truths = [from_json(text) for text in ground_truth]
        scores = rewards([_text(completion) for completion in completions], truths, policy, descriptions, settings)
        if log_metric is not None and truths:
            for part in PARTS:
                log_metric(f"reward/{part}", float(getattr(scores, part).mean()))
            log_metric("reward/name_faults", len(scores.faults) / len(truths))
            for kind in {truth.kind for truth in truths}:
                members = [at for at, truth in enumerate(truths) if truth.kind is kind]
                log_metric(f"reward/{kind.value}", float(scores.total[members].mean()))
        return [float(total) for total in scores.total]

    return proguard


def _text(completion: Any) -> str:
    """A completion as text: TRL gives a text, or a turn in a list where the prompt is a conversation."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
