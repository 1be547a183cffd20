"""`proguard retrain --schedule`: rounds at the times of a cron expression, never two at once, none made up for.

What is due while a round is under way is skipped, and so is what was due while the machine slept. Times are UTC's: on
the night when clocks change, a local time comes twice or not at all.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cronsim import CronSim, CronSimError

log = logging.getLogger(__name__)

SLICE_S = 0.2
# A wait ends a moment late. What is later than this was slept through.
LATE = timedelta(seconds=60)
# Other ends are what the round itself said: worker.retraining.run.End.
BUSY, FAILED, INTERRUPTED = "busy", "failed", "interrupted"
UNDER_WAY, MISSED = "under way", "missed"


class Times:
    """When a round is due."""

    def __init__(self, expression: str, now: datetime | None = None) -> None:
        """expression: cron's five fields, or six with seconds first. Raises ValueError for what never comes due."""
        self.expression = " ".join(expression.split())
        try:
            self.after(now or utc_now())
        except CronSimError as error:
            raise ValueError(
                f"{expression!r} is no cron expression ({error}): minute, hour, day of the month, month and day of the "
                "week, such as '17 3 * * *' for every night at 03:17 UTC"
            ) from None
        except StopIteration:
            raise ValueError(f"{expression!r} does not come due in the next 50 years") from None

    def after(self, moment: datetime) -> datetime:
        """The first time after a moment."""
        return next(CronSim(self.expression, moment.astimezone(UTC)))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a round ended. said: why, for people."""

    end: str
    said: str = ""
    run: str | None = None


class UnderWay(Protocol):
    """A round that was begun."""

    def ended(self) -> Ended | None:
        """None while it goes on; does not wait."""

    def stop(self) -> Ended:
        """Break it off; the next round goes on behind its last step. Waits until it has ended."""


@dataclass(slots=True)
class Counts:
    """What metrics and /status read, from any thread. Rounds by how they ended; times that passed without one."""

    due: datetime
    began: datetime | None = None
    last: Ended | None = None
    last_ended: datetime | None = None
    last_took_s: float = 0.0
    rounds: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Scheduler:
    """Begins rounds. begin: starts one; clock: UTC, which is what a cron expression speaks of; beat: hears each turn.

    One thread.
    """

    def __init__(
        self,
        times: Times,
        begin: Callable[[], UnderWay],
        clock: Callable[[], datetime] = utc_now,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._times = times
        self._begin = begin
        self._clock = clock
        self._beat = beat
        self._round: UnderWay | None = None
        self.counts = Counts(times.after(clock()))

    def run(self, stop: Callable[[], bool], pause: Callable[[float], None] = time.sleep) -> None:
        """Until stop. A round that is under way then is broken off."""
        self._say_next()
        while not stop():
            self.turn()
            pause(SLICE_S)
        if self._round is not None:
            log.info("the round that is under way is broken off; the next one goes on behind its last step")
            self._note(self._round.stop())

    def turn(self) -> None:
        """What is to be done now; does not wait."""
        self._beat()
        if self._round is not None and (ended := self._round.ended()) is not None:
            self._note(ended)
            self._say_next()
        now = self._clock()
        if now < self.counts.due:
            return
        due, self.counts.due = self.counts.due, self._times.after(now)
        if self._round is not None:
            self._skip(UNDER_WAY, due, "the round before is still under way")
        elif now - due > LATE:
            self._skip(MISSED, due, "it was due while this process did not run")
        else:
            log.info("a round begins", extra={"due": _said(due)})
            self.counts.began = now
            self._round = self._begin()

    def _skip(self, why: str, due: datetime, said: str) -> None:
        self.counts.skipped[why] += 1
        log.warning("a round is skipped: %s", said, extra={"due": _said(due), "next": _said(self.counts.due)})

    def _note(self, ended: Ended) -> None:
        counts, now = self.counts, self._clock()
        began, self._round, counts.began = counts.began or now, None, None
        counts.rounds[ended.end] += 1
        counts.last, counts.last_ended, counts.last_took_s = ended, now, (now - began).total_seconds()
        level = logging.ERROR if ended.end == FAILED else logging.INFO
        fields = {"end": ended.end, "run": ended.run, "seconds": round(counts.last_took_s, 1)}
        log.log(level, "a round ended: %s", ended.said or ended.end, extra=fields)

    def _say_next(self) -> None:
        log.info("the next round is due", extra={"next": _said(self.counts.due), "schedule": self._times.expression})


def _said(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
