"""A guard beside the live one: it judges a sample, and where the two disagree a line is written. That is all."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence

from proguard_core.guards.counts import SHADOW, Counts, counts_of
from proguard_core.guards.disagreements import Disagreements
from proguard_core.guards.protocol import Guard, GuardDied, GuardLimits, GuardRequest, Judgement

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
CLOSE_S = 2.0
REMIND_EVERY = 100


class ShadowGuard:
    """Keeps the guard protocol around the live guard, whose name, revision, limits and answers are passed on.

    share: of all requests, sampled. queue: requests that may wait for the second guard, pictures included; what comes
    when it is full is dropped and counted. timeout_s: of one question to the second guard. That one's failures,
    slowness and death change nothing but the counters: judged, disagreed, dropped, failed.
    """

    def __init__(
        self,
        live: Guard,
        second: Guard,
        record: Disagreements,
        *,
        share: float,
        queue: int,
        timeout_s: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._live, self._second = live, second
        self._record = record
        self._share, self._timeout_s = share, timeout_s
        self._draw = draw
        self._waiting: asyncio.Queue[tuple[GuardRequest, Judgement, str]] = asyncio.Queue(queue)
        self._work: asyncio.Task[None] | None = None
        self.judged = self.disagreed = self.dropped = self.failed = 0

    @property
    def name(self) -> str:
        """The live guard's."""
        return self._live.name

    @property
    def revision(self) -> str:
        """The live guard's."""
        return self._live.revision

    @property
    def limits(self) -> GuardLimits:
        """The live guard's."""
        return self._live.limits

    async def start(self) -> None:
        """Start the live guard; the second one starts beside it, in its own time. Raises what the live one raises."""
        await self._live.start()
        if self._work is None:
            self._work = asyncio.create_task(self._run(), name="shadow guard")

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """The live guard's judgements."""
        revision = self._live.revision
        judgements = await self._live.judge(requests)
        for request, judgement in zip(requests, judgements, strict=False):
            if self._draw() < self._share:
                self._put(request, judgement, revision)
        return judgements

    async def probe(self) -> None:
        """The live guard's."""
        await self._live.probe()

    async def swap(self, revision: str) -> None:
        """The live guard's."""
        await self._live.swap(revision)

    async def close(self) -> None:
        """End the second guard within CLOSE_S and close the live one."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                await self._second.close()
        with contextlib.suppress(OSError):
            self._record.close()
        counted = (self.judged, self.disagreed, self.dropped, self.failed)
        log.info("shadow guard: %d judged, %d of them otherwise, %d dropped, %d failed", *counted)
        await self._live.close()

    def counts(self) -> Counts:
        """The live guard's, and what became of the questions to the second one."""
        agreed = self.judged - self.disagreed
        said = {"agreed": agreed, "disagreed": self.disagreed, "dropped": self.dropped, "failed": self.failed}
        return {**counts_of(self._live), SHADOW: said}

    def _put(self, request: GuardRequest, judgement: Judgement, revision: str) -> None:
        try:
            self._waiting.put_nowait((request, judgement, revision))
        except asyncio.QueueFull:
            self.dropped += 1

    async def _run(self) -> None:
        """Start the second guard, again when it died, and ask it about one request after the other."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._second.start()
                pause = FIRST_PAUSE_S
                await self._judge_until_death()
            except Exception as error:  # whatever it does, the live guard must not notice
                self._note_failure(error)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._timeout_s):
                    await self._second.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_S)

    async def _judge_until_death(self) -> None:
        while True:
            request, live, revision = await self._waiting.get()
            before = self._second.revision
            try:
                async with asyncio.timeout(self._timeout_s):
                    (second,) = await self._second.judge([request])
                self.judged += 1
                ours = (live.guard or self.name, live.revision or revision, live)
                theirs = (second.guard or self._second.name, second.revision or before, second)
                if self._record.note(request, ours, theirs):
                    self.disagreed += 1
            except GuardDied:
                raise
            except Exception as error:  # the next question may go better
                self._note_failure(error)

    def _note_failure(self, error: Exception) -> None:
        if self.failed % REMIND_EVERY == 0:
            # The type only: a message may quote the post.
            log.warning(
                "the shadow guard %s failed (%d times so far): %s", self._second.name, self.failed, type(error).__name__
            )
        log.debug("cause", exc_info=error)
        self.failed += 1
