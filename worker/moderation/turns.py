"""Who may decode a picture now: many posts side by side, or one suspect with nothing else in a decoder or the guard.

Belongs to the pipeline, on its event loop. Fetching is not part of it: an S3 that is down must not hold up the others.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from worker.moderation.poison import Coordinates, Journal


class Turns:
    """decoding: pictures under way of posts that nobody suspects; alone: whether a suspect decodes."""

    def __init__(self, journal: Journal, reserved: Callable[[], bool], pump: Callable[[], None]) -> None:
        """reserved: whether a suspect has the guard or waits for it. pump: looks for what may start now."""
        self._journal = journal
        self._reserved = reserved
        self._pump = pump
        self.decoding = 0
        self.alone = False
        self._suspects: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @property
    def wanted(self) -> bool:
        """Whether a suspect waits for its turn; nothing else may start until it has had it."""
        while self._suspects and self._suspects[0].done():  # its partition is gone
            self._suspects.popleft()
        return bool(self._suspects)

    def give(self) -> None:
        """The suspect that waits longest has its turn."""
        self.alone = True
        self._suspects.popleft().set_result(None)

    def open(self) -> None:
        """No suspect waits any more: those that were held back go on."""
        while self._others:
            turn = self._others.popleft()
            if not turn.done():
                self.decoding += 1
                turn.set_result(None)

    @asynccontextmanager
    async def decoder(self, source: Coordinates) -> AsyncIterator[None]:
        """Wait for a turn to decode one picture of a post, and note it in the journal meanwhile."""
        suspect = self._journal.is_suspect(source)
        await self._turn(suspect)
        try:
            with self._journal.in_flight([source], alone=suspect):
                yield
        finally:
            self._leave(suspect)

    async def _turn(self, suspect: bool) -> None:
        if not suspect and not (self.alone or self.wanted or self._reserved()):
            self.decoding += 1
            return
        turn = asyncio.get_running_loop().create_future()
        (self._suspects if suspect else self._others).append(turn)
        self._pump()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # given and cancelled in the same turn of the loop
                self._leave(suspect)
            raise

    def _leave(self, suspect: bool) -> None:
        if suspect:
            self.alone = False
        else:
            self.decoding -= 1
        self._pump()
