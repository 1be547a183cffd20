"""Says how the stream is doing, every few seconds, and alarms while the breaker or a partition stands still."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from worker.moderation.partitions import PartitionTrack

log = logging.getLogger(__name__)


class Progress:
    """Counters of one worker. interval_s: seconds between two lines."""

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._said_at = clock()
        self._judged_then = 0
        self._alarmed: set[str] = set()
        self.judged = 0
        self.erasures = 0
        self.dead_letters: Counter[str] = Counter()

    def tick(
        self,
        tracks: Collection[PartitionTrack],
        unconfirmed: int,
        tripped: str | None,
        stopped: Mapping[tuple[str, int], str],
    ) -> None:
        """Call once a turn of the loop."""
        due = self._clock() - self._said_at >= self._interval_s
        if tripped is not None and (due or "breaker" not in self._alarmed):
            self._alarmed.add("breaker")
            log.error(
                "intake is paused: %s. Nothing beyond is published or committed. Look at dead letters and guard, "
                "then raise the limit, or name the records in kafka.skip (a post becomes undetermined, what is no post "
                "a dead letter that no longer counts), and restart",
                tripped,
            )
        if due:
            for what in stopped.values():
                log.error("stopped: %s", what)
            self.say(tracks, unconfirmed)

    def say(self, tracks: Collection[PartitionTrack], unconfirmed: int, *, final: bool = False) -> None:
        """One line of progress; nothing when nothing happened, unless it is the last."""
        now = self._clock()
        rate = (self.judged - self._judged_then) / max(now - self._said_at, 1e-9)
        held = sum(track.held_posts for track in tracks)
        if final or held or self.judged != self._judged_then:
            log.info(
                "%s: %d posts judged (%.0f/s), %d dead letters, %d erasures, %d held, %d waiting for their commit",
                "end" if final else "progress",
                self.judged,
                rate,
                sum(self.dead_letters.values()),
                self.erasures,
                held,
                unconfirmed,
            )
        self._said_at = now
        self._judged_then = self.judged
