"""Puts the revision that is wanted in force while posts flow: what is wanted is asked for again and again.

Today a file says it (`guard.revision_file`); anything else that can name a revision, such as a registry's champion,
is another `wanted`. Failure keeps what is in force, is counted and is said; the same revision is tried again later.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from proguard_core.guards.protocol import Guard
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

EVERY_S = 1.0
RETRY_S = 30.0
MAX_NAME_BYTES = 200

Wanted = Callable[[], Awaitable[str | None]]
"""The name of the revision to serve; None where nothing is said now, which changes nothing. Must not raise."""


class RevisionWatch:
    """One guard and who says what it is to serve. Lives on the guard's event loop, beside its batches."""

    def __init__(
        self, guard: Guard, wanted: Wanted, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._guard = guard
        self._wanted = wanted
        self._telemetry = telemetry
        self._clock = clock
        self._served: str | None = None
        self._failed: str | None = None
        self._retry_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, so that a worker begins with what is wanted, and then every EVERY_S."""
        await self.look()
        self._task = asyncio.create_task(self._run(), name="revision watch")

    async def close(self) -> None:
        """Stop looking; a swap under way is given up, and the old revision stays. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self) -> None:
        """Swap if something else is wanted than what was swapped in last. Never raises but on cancellation."""
        name = await self._wanted()
        if name is None or name == self._served or (name == self._failed and self._clock() < self._retry_at):
            return
        before = self._guard.revision
        try:
            await self._guard.swap(name)
        except Exception as error:  # whatever an engine raises: what was served goes on
            self._telemetry.swap_failures += 1
            self._retry_at = self._clock() + RETRY_S
            if name != self._failed:
                log.error("the revision %r is not served, %s stays: %s", name, before, error)
            self._failed = name
            return
        self._served, self._failed = name, None
        if self._guard.revision != before:
            log.info("the guard serves %s now, before it %s", self._guard.revision, before)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()


def file(path: Path) -> Wanted:
    """The first line of a file. A missing, empty or unreadable file says nothing: it may be about to be replaced."""

    def read() -> str | None:
        try:
            with path.open("rb") as opened:
                line = opened.readline(MAX_NAME_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            return None
        return line or None

    async def wanted() -> str | None:
        return await asyncio.to_thread(read)

    return wanted
