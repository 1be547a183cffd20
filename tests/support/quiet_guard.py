"""A guard for which everything is safe, to be told apart from the scripted one: `tests.support.quiet_guard:quiet`."""

from collections.abc import Sequence

from proguard_core.guards.protocol import GuardOptions, GuardRequest, Judgement
from proguard_core.policy.policy import Policy
from schemas.common import Outcome
from tests.support.guards import ScriptedGuard


class QuietGuard(ScriptedGuard):
    """Never alarmed."""

    def __init__(self, options: GuardOptions) -> None:
        super().__init__(options)
        self.name = "quiet"

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """Safe."""
        return [Judgement(Outcome.SAFE, request=Outcome.SAFE) for _request in requests]


def quiet(options: GuardOptions, _policy: Policy) -> QuietGuard:
    """The factory."""
    return QuietGuard(options)
