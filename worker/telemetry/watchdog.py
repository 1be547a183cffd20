"""The stuck detector: logs where every thread stands when a loop stands still. Stacks name code, never content."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from worker.telemetry.health import Health

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


class Watchdog:
    """Looks once a second on a thread of its own. One dump a standstill; one that turned since may be dumped anew."""

    def __init__(self, health: Health, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._limit_s = limit_s
        self._clock = clock
        self._stuck: set[str] = set()
        self._looked_at = clock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(_LOOK_EVERY_S)

    def look(self) -> None:
        """Dump for every loop that is newly stuck. Nothing before the start is over: an engine may block its loop."""
        now = self._clock()
        frozen = now - self._looked_at > self._limit_s  # the whole process stood still, this thread too
        self._looked_at = now
        if frozen or not self._health.started:
            return
        for name, heart in self._health.hearts.items():
            age = heart.age_s
            if age is None or age <= self._limit_s:
                self._stuck.discard(name)
            elif name not in self._stuck:
                self._stuck.add(name)
                log.error("the %s loop has not turned for %.0f s; all threads:\n%s", name, age, stacks())

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            self.look()


def stacks() -> str:
    """File, line and function of every frame of every thread, the main one first.

    Not by faulthandler: it shows the hundred youngest threads, and the main thread is the oldest.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    lines = []
    for thread, frame in sorted(sys._current_frames().items(), key=lambda each: each[0] != main):
        lines.append(f"Thread {names.get(thread, thread)} (most recent call first):")
        lines += [
            f'  File "{at.f_code.co_filename}", line {line} in {at.f_code.co_name}'
            for at, line in traceback.walk_stack(frame)
        ]
    return "\n".join(lines)
