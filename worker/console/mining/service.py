"""What `proguard console mine` serves: its metrics, a probe of liveness and /status."""

from collections.abc import Mapping
from typing import Any

from worker.console.mining.counts import Counts
from worker.settings import FIRST_TELEMETRY_PORT, Settings
from worker.telemetry import mining_table as table
from worker.telemetry.exporters import MINING
from worker.telemetry.health import Heart
from worker.telemetry.instruments import Observer, Point
from worker.telemetry.small_service import Served, SmallService
from worker.telemetry.table import Metric

# Beside a worker, the first port, and a schedule of retraining, the one below it, of the same machine and settings.
DEFAULT_PORT = FIRST_TELEMETRY_PORT - 2
# All risks are clustered anew in one call that nothing can look into: 50,000 of them take about a minute on one core.
CLUSTERING_S = 900.0


class MiningService(SmallService):
    """A context: serving inside it. heart: beats at each turn. ConfigurationError on entering: the port is taken."""

    def __init__(self, settings: Settings, counts: Counts, heart: Heart) -> None:
        limit_s = settings.telemetry.live_timeout_s
        served = Served(
            *(MINING, DEFAULT_PORT, table.MINING_METRICS, observers(counts)),
            liveness=lambda: _liveness(counts, heart.age_s, limit_s),
            status=lambda: _status(counts),
            histograms=[(counts.batch_s, ()), (counts.encode_s, ()), (counts.clustering_s, ())],
        )
        super().__init__(settings, served)


def _liveness(counts: Counts, age_s: float | None, limit_s: float) -> str | None:
    """A store that is away is no problem here: a restart would not bring it back, and the loop turns while it waits."""
    limit_s = max(limit_s, CLUSTERING_S) if counts.clustering else limit_s
    return None if age_s is None or age_s <= limit_s else f"the loop has not turned for {age_s:.0f} s"


def _status(counts: Counts) -> dict[str, Any]:
    stock = counts.stock
    return {
        "records": dict(counts.records),
        "left_out": dict(counts.left_out),
        "risks": counts.risks,
        "lag": dict(counts.lag),
        "expired": dict(counts.expired),
        "written_at": counts.written_at,
        "store": counts.failure or "answers",
        "clusters": {"open": stock.open, "emerging": stock.emerging, "held": stock.held},
        "clustering": {"under_way": counts.clustering, "ended_at": counts.clustered_at, "risks": counts.clustered},
        "reviews": {"published": counts.published, "waiting": stock.reviews_waiting},
    }


def observers(counts: Counts) -> Mapping[Metric, Observer]:
    """Of every metric of the table but the histograms."""

    def one(value: float) -> list[Point]:
        return [(value, ())]

    def each(values: Mapping[str, int]) -> list[Point]:
        return [(value, (name,)) for name, value in dict(values).items()]

    return {
        table.RECORDS: lambda: each(counts.records),
        table.LEFT_OUT: lambda: each(counts.left_out),
        table.RISKS: lambda: one(counts.risks),
        table.LAG: lambda: each(counts.lag),
        table.EXPIRED: lambda: each(counts.expired),
        table.STORE_FAILURES: lambda: each(counts.store_failures),
        table.CLUSTERED: lambda: one(counts.clustered),
        table.CLUSTERED_TIME: lambda: one(0.0 if (at := counts.clustered_at) is None else at.timestamp()),
        table.MOVED: lambda: each(counts.moved),
        table.CHANGES: lambda: each(counts.changes),
        table.OPEN: lambda: one(counts.stock.open),
        table.EMERGING: lambda: one(counts.stock.emerging),
        table.HELD: lambda: one(counts.stock.held),
        table.REVIEWS_PUBLISHED: lambda: one(counts.published),
        table.REVIEWS_WAITING: lambda: one(counts.stock.reviews_waiting),
    }
