"""Asks the guard about micro-batches and never gives up on the wrong one.

A failure belongs to the guard while its canary question fails too: then the batch waits. It belongs to the batch when
the canary is answered: then the batch is halved until the post at fault is alone, and undetermined after a few tries.
What was with an engine that died is asked again one at a time, or a post would be blamed for the death beside another.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from proguard_core.guards.protocol import Guard, GuardDied, GuardRequest, Judgement
from schemas.common import Outcome, Reason
from worker.moderation.dependency import Dependency
from worker.moderation.revision_watch import RevisionWatch
from worker.settings import GuardSettings
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

# Below what the judging thread has for its whole end.
_CLOSE_S = 5.0


class Judge:
    """One guard with its probe. All methods run on one event loop; several batches may be in flight."""

    def __init__(
        self,
        guard: Guard,
        settings: GuardSettings,
        telemetry: Telemetry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.guard = guard
        self._telemetry = telemetry or Telemetry()
        self._clock = clock
        self._settings = settings
        self._dead = False
        self._reviving = asyncio.Lock()
        self._one_suspect = asyncio.Lock()
        self.dependency = Dependency("guard", self._probe)
        self.watch: RevisionWatch | None = None

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request. Never raises but on cancellation; may wait as long as the guard is down."""
        return await self._judge(requests, suspect=False)

    async def _judge(self, requests: Sequence[GuardRequest], *, suspect: bool) -> list[Judgement]:
        attempts = 0
        while True:
            # Held until the engine is up again: whoever asked a dead one would be blamed too.
            async with self._one_suspect if suspect else nullcontext():
                try:
                    return await self._ask(requests)
                except Exception as error:  # whatever an engine raises, it is a failure of its batch
                    reason = Reason.GUARD_TIMEOUT if isinstance(error, TimeoutError) else Reason.GUARD_FAILED
                    self._dead = self._dead or isinstance(error, GuardDied)
                    self._telemetry.guard_failures[type(error).__name__] += 1
                    # The type only: an engine's message may quote the post.
                    log.warning("a batch of %d failed: %s", len(requests), type(error).__name__)
                    log.debug("cause", exc_info=error)
                died = self._dead
                up = await self.dependency.check()
                if not up:
                    await self.dependency.wait_until_up()
            suspect = suspect or died
            if not up and not died:
                continue
            if len(requests) > 1:
                middle = len(requests) // 2
                first = await self._judge(requests[:middle], suspect=suspect)
                return first + await self._judge(requests[middle:], suspect=suspect)
            attempts += 1
            if attempts >= self._settings.max_attempts:
                return [Judgement(Outcome.UNDETERMINED, reason)]

    async def close(self) -> None:
        """The end: release the guard and stop asking it the canary question. Never raises."""
        await self.dependency.close()
        if self.watch is not None:
            await self.watch.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.guard.close()
        except Exception as error:  # whatever an engine raises: nothing depends on it any more
            log.warning("the guard did not close: %s", type(error).__name__)

    async def _ask(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        began = self._clock()
        async with asyncio.timeout(self._settings.timeout_s):
            judgements = await self.guard.judge(requests)
        if len(judgements) != len(requests):
            raise ValueError(f"{len(requests)} requests got {len(judgements)} judgements")
        self._telemetry.inference_duration(self._clock() - began)
        return judgements

    async def _probe(self) -> None:
        """The canary question, after a restart of the engine if it died."""
        async with self._reviving:
            if self._dead:
                await self.guard.close()
                await self.guard.start()
                self._dead = False
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self.guard.probe()
        except GuardDied:
            self._dead = True  # found by the canary: without a restart it would be waited for in vain
            raise
