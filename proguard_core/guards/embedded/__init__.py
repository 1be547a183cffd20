"""The embedded guard: runs anywhere, no torch. docs/embedded-guard.md says what it has learned and cannot judge."""

from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.policy import Policy


def create(options: GuardOptions, policy: Policy) -> Guard:
    """The guard, not yet started. ValueError names what is wrong with the options."""
    from proguard_core.guards.embedded.guard import EmbeddedGuard

    return EmbeddedGuard(options, policy)
