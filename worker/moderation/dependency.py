"""Something outside that may be down: one prober, many waiters, and it is said aloud."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, retry_if_result, wait_random_exponential

from worker.logs import mask

_LOG = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 5.0
REMIND_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class DependencyStatus:
    """For a status page. down_for_s and cause are set while it is down; the cause never holds post content."""

    name: str
    up: bool
    down_for_s: float | None
    cause: str | None
    waiting: int


class Dependency:
    """A service that we need, and whether its probe succeeds. Lives on one event loop.

    probe: returns when the service answers, raises anything when it does not. Its exception's text is logged as the
    cause, so it must not hold post content or secrets. It must bound its own time.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        *,
        max_backoff_s: float = MAX_BACKOFF_S,
        remind_every_s: float = REMIND_EVERY_S,
    ) -> None:
        self.name = name
        self._probe = probe
        self._clock = clock
        self._max_backoff_s = max_backoff_s
        self._remind_every_s = remind_every_s
        self._down_since: float | None = None
        self._up_since: float | None = None
        self._cause: str | None = None
        self._reminded_at = 0.0
        self._checking: asyncio.Task[bool] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._waiters = 0

    @property
    def down_since(self) -> float | None:
        """The clock's time when a probe first failed, None while it is up (or was never asked)."""
        return self._down_since

    def failed_since(self, began: float) -> bool:
        """Whether it was down at some time since `began` (of the clock): what failed then may be its fault."""
        return self._down_since is not None or (self._up_since is not None and self._up_since >= began)

    @property
    def cause(self) -> str | None:
        """Why the last probe failed."""
        return self._cause

    def snapshot(self) -> DependencyStatus:
        """What a status page says."""
        since = self._down_since  # may be asked from any thread
        down_for = None if since is None else self._clock() - since
        return DependencyStatus(self.name, since is None, down_for, self._cause, self._waiters)

    async def check(self) -> bool:
        """Whether the service answers now. Callers that ask at the same time share one probe."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check(), name=f"probe {self.name}")
        return await asyncio.shield(self._checking)

    async def wait_until_up(self) -> None:
        """Return once a probe succeeds. All waiters share one prober with growing pauses and leave together."""
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.create_task(self._probe_until_up(), name=f"wait for {self.name}")
        prober = self._waiting
        self._waiters += 1
        try:
            await asyncio.shield(prober)
        finally:
            self._waiters -= 1
            if self._waiters == 0 and not prober.done():
                prober.cancel()  # nobody is interested any more
                self._waiting = None  # whoever comes next must not join a prober that is being cancelled

    async def close(self) -> None:
        """End the prober. Idempotent."""
        tasks = [task for task in (self._checking, self._waiting) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe_until_up(self) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_result(lambda up: not up),
            wait=wait_random_exponential(multiplier=FIRST_BACKOFF_S, max=self._max_backoff_s),
        )
        await retrying(self.check)

    async def _check(self) -> bool:
        try:
            await self._probe()
        except Exception as error:  # whatever goes wrong in a probe, the service is of no use
            self._note_down(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            return False
        self._note_up()
        return True

    def _note_down(self, cause: str) -> None:
        now = self._clock()
        self._cause = cause = mask(cause)  # /status shows it
        if self._down_since is None:
            self._down_since = self._reminded_at = now
            _LOG.warning("%s is down, waiting: %s", self.name, cause)
        elif now - self._reminded_at >= self._remind_every_s:
            self._reminded_at = now
            _LOG.warning("%s is still down after %.0f s: %s", self.name, now - self._down_since, cause)

    def _note_up(self) -> None:
        if self._down_since is not None:
            self._up_since = self._clock()
            _LOG.info("%s is up again after %.1f s", self.name, self._up_since - self._down_since)
        self._down_since = self._cause = None
