"""A guard behind an OpenAI-compatible server such as vLLM's. docs/guards.md says when, and which settings."""

from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.policy import Policy


def create(options: GuardOptions, policy: Policy) -> Guard:
    """The guard, not yet started. ValueError names what is wrong with the options."""
    from proguard_core.guards.openai.guard import OpenAIGuard

    return OpenAIGuard(options, policy)
