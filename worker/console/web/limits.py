"""How often somebody may ask: a window of a minute, counted in this process."""

import time
from collections import deque
from collections.abc import Callable

_WINDOW_S = 60.0
_MAX_KEYS = 10_000


class RateLimit:
    """At most `per_minute` of a key in any minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._taken: dict[str, deque[float]] = {}

    def take(self, key: str) -> bool:
        """Count one; False where there were too many, and then it is not counted."""
        now = self._clock()
        taken = self._taken.setdefault(key, deque())
        while taken and taken[0] <= now - _WINDOW_S:
            taken.popleft()
        if len(self._taken) > _MAX_KEYS:
            self._taken = {name: times for name, times in self._taken.items() if times and times[-1] > now - _WINDOW_S}
            self._taken.setdefault(key, taken)
        if len(taken) >= self._per_minute:
            return False
        taken.append(now)
        return True
