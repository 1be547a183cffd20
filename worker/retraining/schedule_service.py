"""What `proguard retrain --schedule` serves: its metrics, a probe of liveness and /status."""

from collections.abc import Mapping
from typing import Any

from worker.retraining.schedule import Counts
from worker.settings import FIRST_TELEMETRY_PORT, Settings
from worker.telemetry import schedule_table as table
from worker.telemetry.exporters import RETRAINING
from worker.telemetry.health import Heart
from worker.telemetry.instruments import Observer
from worker.telemetry.small_service import Served, SmallService
from worker.telemetry.table import Metric

# Beside a worker of the same machine and settings, whose own port is the first one.
DEFAULT_PORT = FIRST_TELEMETRY_PORT - 1


class ScheduleService(SmallService):
    """A context: serving inside it. heart: beats at each turn. ConfigurationError on entering: the port is taken."""

    def __init__(self, settings: Settings, counts: Counts, heart: Heart, expression: str) -> None:
        limit_s = settings.telemetry.live_timeout_s
        served = Served(
            *(RETRAINING, DEFAULT_PORT, table.SCHEDULE_METRICS, observers(counts)),
            liveness=lambda: _liveness(heart.age_s, limit_s),
            status=lambda: _status(counts, expression),
        )
        super().__init__(settings, served)


def _liveness(age_s: float | None, limit_s: float) -> str | None:
    return None if age_s is None or age_s <= limit_s else f"the schedule has not been looked at for {age_s:.0f} s"


def _status(counts: Counts, expression: str) -> dict[str, Any]:
    last = counts.last
    return {
        "schedule": expression,
        "time_zone": "UTC",
        "next": counts.due,
        "running_since": counts.began,
        "last": None
        if last is None
        else {"end": last.end, "run": last.run, "at": counts.last_ended, "seconds": counts.last_took_s},
        "rounds": dict(counts.rounds),
        "skipped": dict(counts.skipped),
    }


def observers(counts: Counts) -> Mapping[Metric, Observer]:
    """Of every metric of the table."""
    return {
        table.ROUNDS: lambda: [(count, (end,)) for end, count in counts.rounds.copy().items()],
        table.SKIPPED: lambda: [(count, (why,)) for why, count in counts.skipped.copy().items()],
        table.RUNNING: lambda: [(float(counts.began is not None), ())],
        table.NEXT: lambda: [(counts.due.timestamp(), ())],
        table.LAST: lambda: [(0.0 if (at := counts.last_ended) is None else at.timestamp(), ())],
        table.LAST_DURATION: lambda: [(counts.last_took_s, ())],
    }
