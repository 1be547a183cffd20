"""A guard in this process by plain transformers, for machines without vLLM. docs/guards.md says when."""

import importlib.util

from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.policy import Policy


def create(options: GuardOptions, policy: Policy) -> Guard:
    """The guard, not yet started. ValueError names what is wrong with the options, or the package that is missing."""
    if missing := [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]:
        raise ValueError(
            f'guard.engine = "transformers" needs {", ".join(missing)}: install the extra `train` '
            "(requirements/trainer-gpu.lock, or `make engines` for a CPU)"
        )
    from proguard_core.guards.transformers.guard import TransformersGuard

    return TransformersGuard(options, policy)
