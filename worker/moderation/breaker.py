"""Stops the stream when so many records fail that something must be broken."""

from collections import deque

from worker.settings import BreakerSettings

Partition = tuple[str, int]


class Breaker:
    """Counts failures in the order in which outcomes leave. Once tripped it stays so: the operator decides.

    A restart starts counting anew, so the same storm trips it again within one run.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._runs: dict[Partition, int] = {}
        self._window: deque[bool] = deque(maxlen=settings.window)
        self._failures = 0
        self.tripped: str | None = None

    def admits(self, partition: Partition, failure: bool) -> bool:
        """Whether this outcome may leave. False trips the breaker: it and all after it stay unpublished."""
        if not self._settings.enabled:
            return True
        if self.tripped is not None:
            return False
        if not failure:
            self._runs[partition] = 0
            self._record(failure=False)
            return True
        run = self._runs.get(partition, 0) + 1
        if run > self._settings.max_run:
            self.tripped = (
                f"{self._settings.max_run} failures in a row in {partition[0]}[{partition[1]}] (breaker.max_run)"
            )
            return False
        full = len(self._window) == self._window.maxlen
        if full and self._failures - self._window[0] + 1 > self._settings.max_ratio * len(self._window):
            self.tripped = (
                f"more than {self._settings.max_ratio:.0%} of {len(self._window)} records failed (breaker.max_ratio)"
            )
            return False
        self._runs[partition] = run
        self._record(failure=True)
        return True

    def _record(self, *, failure: bool) -> None:
        if self._failures and len(self._window) == self._window.maxlen:
            self._failures -= self._window[0]
        self._window.append(failure)
        self._failures += failure
