"""Engines whose answers have a fixed length: how fast a model writes does not depend on what it says.

`guard.engine = "benchmarks.fixed_output:openai"`; `output_cap` is the length in tokens.
"""

from typing import Any

from proguard_core.guards.openai.guard import OpenAIGuard
from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.policy import Policy


class FixedOutputGuard(OpenAIGuard):
    """The openai engine, but the end of a text does not end it (vLLM's own `ignore_eos`)."""

    def _more(self) -> dict[str, Any]:
        return {"ignore_eos": True}


def openai(options: GuardOptions, policy: Policy) -> Guard:
    """The factory."""
    return FixedOutputGuard(options, policy)
