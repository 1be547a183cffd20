"""The reward as verl's manager loads it from a file, with the similarities that a case of the golden table states.

The shipped function does the work; only the encoder and the settings of a case are put in, which a configuration cannot
carry.
"""

from typing import Any

from proguard_core.training import verl_reward
from tests.unit.training.golden import POLICY, cases

_CASES = {case.name: case for case in cases()}


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any], **keywords: Any
) -> dict[str, float]:
    """`extra_info["case"]` names the case."""
    case = _CASES[extra_info["case"]]
    return verl_reward.compute_score(
        data_source,
        solution_str,
        ground_truth,
        extra_info,
        made=(POLICY, case.descriptions),
        **case.settings,
        **keywords,
    )
