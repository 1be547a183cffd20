"""What `proguard retrain --schedule` serves: its metrics, a probe of liveness and /status."""

from collections.abc import Mapping
from threading import Thread
from types import TracebackType
from typing import Any, Self

from worker.retraining.schedule import Counts
from worker.settings import FIRST_TELEMETRY_PORT, Settings
from worker.telemetry import schedule_table as table
from worker.telemetry.exporters import RETRAINING, MetricExporters, resource_of
from worker.telemetry.health import Heart
from worker.telemetry.instruments import Observer
from worker.telemetry.server import TelemetryServer, document, probe
from worker.telemetry.table import Metric

# Beside a worker of the same machine and settings, whose own port is the first one.
DEFAULT_PORT = FIRST_TELEMETRY_PORT - 1
_CLOSE_S = 3.0


class ScheduleService:
    """A context: serving inside it. heart: beats at each turn. ConfigurationError on entering: the port is taken."""

    def __init__(self, settings: Settings, counts: Counts, heart: Heart, expression: str) -> None:
        self._settings = settings
        self._counts = counts
        self._heart = heart
        self._expression = expression
        self._exporters = MetricExporters(
            settings, resource_of(settings, RETRAINING), (), observers(counts), table.SCHEDULE_METRICS
        )
        self._server: TelemetryServer | None = None

    def __enter__(self) -> Self:
        """Start to serve, at telemetry.port, or at 9463 where that is not set."""
        given = self._settings.telemetry.port
        port = DEFAULT_PORT if given is None else given
        pages = {
            "/metrics": self._exporters.prometheus,
            "/livez": probe(self._liveness),
            "/status": document(self._status),
        }
        if port:
            self._server = TelemetryServer(self._settings.telemetry.host, port, pages)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Send what is left and stop serving; a collector that is away does not hold up the end."""
        closing = Thread(target=self._exporters.close, name="telemetry-end", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        if self._server is not None:
            self._server.close()

    def _liveness(self) -> str | None:
        age, limit = self._heart.age_s, self._settings.telemetry.live_timeout_s
        return None if age is None or age <= limit else f"the schedule has not been looked at for {age:.0f} s"

    def _status(self) -> dict[str, Any]:
        counts, last = self._counts, self._counts.last
        return {
            "schedule": self._expression,
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
