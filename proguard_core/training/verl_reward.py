"""The reward for verl: `reward.custom_reward_function.path` is this file, `name` is compute_score.

`reward.custom_reward_function.reward_kwargs` may give policy_path (a policy file; ours without) and the numbers of
RewardSettings. verl calls once an answer, from several threads: phrases are embedded once, names as they come.
"""

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from proguard_core.training.descriptions import Descriptions, RewardError, shipped
from proguard_core.training.reward import RewardSettings, rewards
from proguard_core.training.truth import from_json

SETTABLE = frozenset(field.name for field in fields(RewardSettings)) - {"bounds", "names"}
VERL_KEYWORDS = "reward_"


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    *,
    policy_path: str | None = None,
    made: tuple[Policy, Descriptions] | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Total as `score`, and its parts. ground_truth is Truth.to_json of the row.

    made: policy and descriptions of your own, instead of the shipped encoder's. Raises RewardError and TruthError.
    """
    del data_source, extra_info
    # verl adds keywords of its own; a misspelt one of ours must not be lost among them.
    ours = {key: value for key, value in settings.items() if not key.startswith(VERL_KEYWORDS)}
    if unknown := ours.keys() - SETTABLE:
        raise RewardError(f"reward_kwargs has no {sorted(unknown)[0]}: {', '.join(sorted(SETTABLE))}")
    policy, descriptions = made or _made(policy_path)
    scores = rewards([solution_str], [from_json(ground_truth)], policy, descriptions, RewardSettings(**ours))
    parts = scores.part(0)
    return {"score": parts.pop("total"), **parts}


@cache
def _made(policy_path: str | None) -> tuple[Policy, Descriptions]:
    try:
        policy = load_policy(None if policy_path is None else Path(policy_path))
    except ValueError as error:
        raise RewardError(str(error)) from error
    return policy, shipped(policy)
