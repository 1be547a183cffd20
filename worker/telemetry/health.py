"""Whether the worker lives, has started and is ready: what the probes ask. Read by any thread."""

import time
from collections.abc import Callable, Mapping


class Heart:
    """When a loop last came round: the loop calls beat."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: float | None = None

    def beat(self) -> None:
        """The loop came round."""
        self._at = self._clock()

    @property
    def age_s(self) -> float | None:
        """Seconds since the last beat, None before the first."""
        at = self._at
        return None if at is None else self._clock() - at


class Health:
    """A problem is a short sentence, None where there is none.

    Dependencies that are down are no problem here: restarting or not counting this worker would not bring them back.
    """

    def __init__(self, live_timeout_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._live_timeout_s = live_timeout_s
        self.stream = Heart(clock)
        self.judging = Heart(clock)
        self.started = False
        self.joined = False

    @property
    def hearts(self) -> Mapping[str, Heart]:
        """By the name of their loop."""
        return {"stream": self.stream, "judging": self.judging}

    def liveness(self) -> str | None:
        """Loading takes as long as it takes: until the stream runs there is no problem; the start-up probe judges that.

        Only the stream's loop counts: an engine that died may load anew on the other for longer than any limit.
        """
        age = self.stream.age_s
        if age is None or age <= self._live_timeout_s:
            return None
        return f"the loop has not turned for {age:.0f} s"

    def startup(self) -> str | None:
        """Until the broker was found, the guard loaded and the producer initialised."""
        return None if self.started else "the guard is not loaded or the broker not found yet"

    def readiness(self) -> str | None:
        """Started and a member of the group, with partitions or as a spare."""
        return self.startup() or (None if self.joined else "not a member of the consumer group")
