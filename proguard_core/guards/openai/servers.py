"""Several servers in turn. One that fails is left out until it answers the canary question again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from proguard_core.guards.openai.client import Busy, ServerFault
from proguard_core.guards.protocol import GuardUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 10.0
# A server that answered so lately does not refuse a request because of how it is set up.
TRUST_S = 30.0


@dataclass(slots=True, eq=False)
class Server:
    """One address. cause: why it is left out, None while it is used; busy_until and answered_at by the clock.

    loading: held while it loads an adapter.
    """

    url: str
    cause: str | None = None
    busy_until: float = 0.0
    answered_at: float = float("-inf")
    recovering: asyncio.Task[None] | None = None
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Servers:
    """canary: asks one server a question and raises ServerFault if it cannot answer. Lives on one event loop."""

    def __init__(
        self,
        urls: Sequence[str],
        canary: Callable[[Server], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.all = [Server(url) for url in urls]
        self._canary = canary
        self._clock = clock
        self._turn = 0
        self._closed = False
        self._changed = asyncio.Event()

    def next(self, but: Server | None = None) -> Server | None:
        """Whose turn it is among those in use; None if there is none."""
        for _ in self.all:
            server = self.all[self._turn % len(self.all)]
            self._turn += 1
            if server.cause is None and server is not but:
                return server
        return None

    async def wait(self, patience_s: float) -> Server:
        """The next server, waiting for one to come back. Raises GuardUnavailable after patience_s.

        A request that was asked nowhere has to wait here: the worker would count its failure as the post's.
        """
        try:
            async with asyncio.timeout(patience_s):
                while (server := self.next()) is None:
                    self._changed.clear()
                    await self._changed.wait()
                return server
        except TimeoutError:
            raise GuardUnavailable(self.causes()) from None

    def causes(self) -> str:
        """Why servers are left out, one after the other."""
        return "; ".join(f"{server.url}: {server.cause}" for server in self.all if server.cause is not None)

    def answered_lately(self, server: Server) -> bool:
        """Whether it answered anything in the last TRUST_S seconds."""
        return self._clock() - server.answered_at <= TRUST_S

    def answered(self, server: Server) -> None:
        """It answered a question, so it is used again, unless it said meanwhile that it wants to be left alone."""
        server.answered_at = self._clock()
        if not self._is_busy(server):
            self.use(server)

    def use(self, server: Server) -> None:
        """Use it from now on, until it fails."""
        if server.cause is None:
            return
        log.info("guard server %s is used again", server.url)
        server.cause = None
        self._changed.set()
        recovering, server.recovering = server.recovering, None
        if recovering is not None and recovering is not asyncio.current_task():
            recovering.cancel()

    def leave_out(self, server: Server, fault: ServerFault) -> None:
        """Use it no more until the canary question is answered, which is asked again and again from now on."""
        if isinstance(fault, Busy):
            server.busy_until = self._clock() + fault.retry_after_s
        if server.cause is None:
            log.warning("guard server %s is left out: %s", server.url, fault)
        server.cause = str(fault)
        # A question that breaks because all is closed asks for no canary: nothing would ever end it.
        if server.recovering is None and not self._closed:
            server.recovering = asyncio.create_task(self._recover(server), name=f"canary {server.url}")

    async def probe(self) -> None:
        """Ask all at once; return with the first that answers. Raises GuardUnavailable with the causes."""
        asked = [asyncio.create_task(self._ask(server)) for server in self.all if not self._is_busy(server)]
        try:
            for answer in asyncio.as_completed(asked):
                if await answer:
                    return
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise GuardUnavailable(self.causes())

    def open(self) -> None:
        """Before the first question, and again after `close`."""
        self._closed = False

    async def close(self) -> None:
        """End the questions that are on their way."""
        self._closed = True
        tasks = [server.recovering for server in self.all if server.recovering is not None]
        for server in self.all:
            server.recovering = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_busy(self, server: Server) -> bool:
        return server.cause is not None and self._clock() < server.busy_until

    async def _ask(self, server: Server) -> bool:
        try:
            await self._canary(server)
        except ServerFault as fault:
            self.leave_out(server, fault)
            return False
        self.answered(server)
        return True

    async def _recover(self, server: Server) -> None:
        pause = FIRST_PAUSE_S
        while server.cause is not None:
            await asyncio.sleep(max(pause, server.busy_until - self._clock()))
            try:
                await self._ask(server)
            except Exception as error:  # a swap meanwhile, a bug: without another try the server were left out for ever
                log.warning("the canary question to %s failed: %s", server.url, type(error).__name__)
                log.debug("cause", exc_info=error)
            pause = min(2 * pause, MAX_PAUSE_S)
