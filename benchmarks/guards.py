"""Guards that cost nothing, so that what is measured is the stream. `guard.engine = "benchmarks.guards:instant"`."""

import asyncio
from collections.abc import Sequence

from proguard_core.guards.protocol import GuardLimits, GuardOptions, GuardRequest, Judgement
from proguard_core.policy.policy import Policy
from schemas.common import Outcome

_SAFE = Judgement(Outcome.SAFE, request=Outcome.SAFE, rationale="Nothing in the post is harmful.", score=0.01)


class InstantGuard:
    """Says safe at once, or after `delay_ms` a batch."""

    name = "instant"
    limits = GuardLimits()
    answer = _SAFE

    def __init__(self, options: GuardOptions) -> None:
        # Benchmarks tell workers apart by it.
        self.revision = str(options.settings.get("revision", "1"))
        self._delay_s = float(str(options.settings.get("delay_ms", 0))) / 1000

    async def start(self) -> None:
        """Nothing to load."""

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """Safe."""
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        return [_SAFE] * len(requests)

    async def probe(self) -> None:
        """Always up."""

    async def swap(self, revision: str) -> None:
        """Another name."""
        self.revision = revision

    async def close(self) -> None:
        """Nothing to release."""


def instant(options: GuardOptions, _policy: Policy) -> InstantGuard:
    """The factory."""
    return InstantGuard(options)
