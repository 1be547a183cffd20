"""The pipeline on a thread and an event loop of its own, so that polling never waits for inference."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from worker.moderation.partitions import Outcome
from worker.moderation.pipeline import Work

Delivery = list[tuple[object, Outcome]]

_CLOSE_TIMEOUT_S = 10.0
_BEAT_EVERY_S = 1.0


class Runnable(Protocol):
    """What runs on the loop: the pipeline."""

    def submit(self, works: Sequence[Work]) -> None: ...

    @property
    def fetching(self) -> int: ...

    async def close(self) -> None: ...


class JudgingThread:
    """start() returns once the guard is loaded; submit and collect are called by the stream's thread."""

    def __init__(
        self,
        build: Callable[[Callable[[Delivery], None]], Awaitable[Runnable]],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """build runs on the new loop: it loads the guard and returns the pipeline that delivers to its argument.

        beat is called on the loop once a second, as long as nothing blocks it.
        """
        self._build = build
        self._beat = beat
        self._done: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="judging", daemon=True)
        self._pipeline: Runnable | None = None
        self._broken: BaseException | None = None

    def start(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Load. False if stopped said so meanwhile; raises what loading raised."""
        self._loop.set_exception_handler(self._on_exception)
        self._thread.start()
        building = asyncio.run_coroutine_threadsafe(self._building(), self._loop)
        while not building.done():
            if stopped():
                building.cancel()
                return False
            try:
                building.exception(timeout=0.1)
            except TimeoutError:
                continue
        self._pipeline = building.result()
        return True

    def submit(self, works: Sequence[Work]) -> None:
        """Hand posts over; does not block."""
        assert self._pipeline is not None
        self._loop.call_soon_threadsafe(self._pipeline.submit, works)

    def collect(self) -> Delivery:
        """Everything done since the last call; raises what broke the pipeline."""
        if self._broken is not None:
            raise RuntimeError("the pipeline broke") from self._broken
        done: Delivery = []
        while True:
            try:
                done += self._done.get_nowait()
            except queue.Empty:
                return done

    @property
    def fetching(self) -> int:
        """Posts that wait for their pictures."""
        return 0 if self._pipeline is None else self._pipeline.fetching

    def close(self) -> None:
        """Cancel what is under way and end the thread."""
        if self._pipeline is not None:
            closing = asyncio.run_coroutine_threadsafe(self._pipeline.close(), self._loop)
            try:
                closing.result(_CLOSE_TIMEOUT_S)
            except TimeoutError:
                closing.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_TIMEOUT_S)

    async def _building(self) -> Runnable:
        return await self._build(self._done.put)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._tick)
        self._loop.run_forever()

    def _tick(self) -> None:
        self._beat()
        self._loop.call_later(_BEAT_EVERY_S, self._tick)

    def _on_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self._broken = error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))
