"""What metrics and /status say, read from the worker's parts by the server's threads. Nothing here blocks or changes.

Parts come up one after another; what is not there yet has no points.
"""

import os
import resource
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from proguard_core.guards import counts
from proguard_core.guards.protocol import Guard
from proguard_core.policy.policy import Policy
from worker.moderation.dependency import Dependency
from worker.moderation.fetch import Fetcher
from worker.moderation.partitions import PartitionTrack
from worker.moderation.pipeline import Pipeline
from worker.moderation.publisher import Publisher
from worker.moderation.source import Source
from worker.moderation.stream import Stream
from worker.settings import Settings
from worker.telemetry import table
from worker.telemetry.instruments import Observer, Point
from worker.telemetry.table import Metric
from worker.telemetry.telemetry import Telemetry

_KAFKA = "kafka"
_STATM = "/proc/self/statm"


class Observation:
    """One worker's parts, set by whoever makes them."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self.settings = settings
        self.telemetry = telemetry
        self.policy: Policy | None = None
        self.guard: Guard | None = None
        self.pipeline: Pipeline | None = None
        self.fetcher: Fetcher | None = None
        self.guard_dependency: Dependency | None = None
        self.publisher: Publisher | None = None
        self.stream: Stream | None = None
        self.source: Source | None = None

    @property
    def dependencies(self) -> list[Dependency]:
        """The guard, and each bucket."""
        guard = [] if self.guard_dependency is None else [self.guard_dependency]
        return guard if self.fetcher is None else [*guard, *self.fetcher.dependencies]

    @property
    def tracks(self) -> list[PartitionTrack]:
        """The partitions that are ours now."""
        return [] if self.stream is None else self.stream.tracks

    def observers(self) -> dict[Metric, Observer]:
        """One for every metric of the table that is not a histogram."""
        return {**self._counts(), **self._judging(), **self._guard(), **self._stream(), **self._process()}

    def status(self) -> dict[str, Any]:
        """The JSON of /status."""
        telemetry, kafka, stream = self.telemetry, self.settings.kafka, self.stream
        health = telemetry.health
        problems = {"live": health.liveness(), "started": health.startup(), "ready": health.readiness()}
        guard, policy = self.guard, self.policy
        return {
            **{name: problem is None for name, problem in problems.items()},
            "problems": sorted({problem for problem in problems.values() if problem is not None}),
            "draining": stream is not None and stream.draining,
            "heartbeats_s": {name: heart.age_s for name, heart in health.hearts.items()},
            "group": {"id": kafka.group_id, "joined": health.joined, "delivery": kafka.delivery, "slot": kafka.slot},
            "guard": None if guard is None else {"name": guard.name, "revision": guard.revision},
            "policy": None if policy is None else {"name": policy.name, "version": policy.version},
            "breaker": {"tripped": None if stream is None else stream.tripped},
            "dependencies": [asdict(dependency.snapshot()) for dependency in self.dependencies],
            "partitions": self._partitions(),
            "posts": {
                "received": telemetry.consumed,
                "verdicts": sum(dict(telemetry.outcomes).values()),
                "dead_letters": sum(dict(telemetry.dead_letters).values()),
                "erasures": telemetry.erasures,
                "held": sum(track.held_posts for track in self.tracks),
                "unconfirmed": 0 if self.publisher is None else self.publisher.unconfirmed,
            },
            "commits": telemetry.commits,
            "aborts": telemetry.aborts,
            "recoveries": telemetry.recoveries,
        }

    def _partitions(self) -> list[dict[str, Any]]:
        lags, stopped = self._lags, {} if self.source is None else dict(self.source.stopped)
        return [
            {
                "topic": track.topic,
                "partition": track.partition,
                "next_offset": max(0, track.last_delivered + 1),
                "lag": lags.get(track.key),
                "held": track.held_posts,
                "paused": track.paused,
                "stopped": stopped.get(track.key),
            }
            for track in self.tracks
        ]

    @property
    def _lags(self) -> Mapping[tuple[str, int], int]:
        group = None if self.stream is None else self.stream.group
        return {} if group is None else group.lags

    def _counts(self) -> dict[Metric, Observer]:
        telemetry, kafka = self.telemetry, self.settings.kafka
        consumed = (_KAFKA, "poll", self.settings.topics.posts, kafka.group_id)
        return {
            table.CONSUMED: lambda: [(telemetry.consumed, consumed)],
            table.SENT: lambda: [(count, (_KAFKA, "send", topic)) for topic, count in dict(telemetry.sent).items()],
            table.OUTCOMES: lambda: _summed((key[:4], count) for key, count in dict(telemetry.outcomes).items()),
            table.LANGUAGES: lambda: _summed(
                ((key[0], key[5]), count) for key, count in dict(telemetry.outcomes).items()
            ),
            table.UNDETERMINED: lambda: _summed(
                ((key[4],), count) for key, count in dict(telemetry.outcomes).items() if key[0] == "undetermined"
            ),
            table.DEAD_LETTERS: lambda: [(count, key) for key, count in dict(telemetry.dead_letters).items()],
            table.ERASURES: lambda: [(telemetry.erasures, ())],
            table.GUARD_FAILURES: lambda: [(count, (key,)) for key, count in dict(telemetry.guard_failures).items()],
            table.SWAP_FAILURES: lambda: [(telemetry.swap_failures, ())],
            table.FETCHED_BYTES: lambda: [(telemetry.fetched_bytes, ())],
            table.FETCH_ERRORS: lambda: [(count, (key,)) for key, count in dict(telemetry.fetch_errors).items()],
            table.REBALANCES: lambda: [(count, (event,)) for event, count in dict(telemetry.rebalances).items()],
            table.COMMITS: lambda: [(telemetry.commits, ())],
            table.ABORTS: lambda: [(telemetry.aborts, ())],
            table.RECOVERIES: lambda: [(telemetry.recoveries, ())],
        }

    def _judging(self) -> dict[Metric, Observer]:
        def of_pipeline(name: str) -> Observer:
            return lambda: [] if self.pipeline is None else [(getattr(self.pipeline, name), ())]

        def of_budget(name: str) -> Observer:
            return lambda: [] if self.fetcher is None else [(getattr(self.fetcher.budget, name), ())]

        def versions() -> Iterable[Point]:
            if self.guard is not None and self.policy is not None:
                yield 1, (self.guard.name, self.guard.revision, self.policy.name, self.policy.version)

        return {
            table.BATCHES_IN_FLIGHT: of_pipeline("in_flight"),
            table.QUESTIONS_WAITING: of_pipeline("waiting"),
            table.IMAGE_BYTES_HELD: of_budget("held_bytes"),
            table.IMAGE_PIXELS_HELD: of_budget("held_pixels"),
            table.IMAGE_WAITING: of_budget("waiting"),
            table.DEPENDENCY_UP: lambda: [(int(each.down_since is None), (each.name,)) for each in self.dependencies],
            table.VERSIONS: versions,
        }

    def _guard(self) -> dict[Metric, Observer]:
        """What the guard and its wrappers count; 0 for a wrapper that is not there, so that nothing looks forgotten."""

        def of(name: str) -> Observer:
            def points() -> Iterator[Point]:
                if self.guard is not None:
                    found = counts.counts_of(self.guard).get(name, {})
                    yield from ((found.get(kind, 0), (kind,)) for kind in counts.KINDS[name])

            return points

        return {
            table.GUARD_TOKENS: of(counts.TOKENS),
            table.CACHE_LOOKUPS: of(counts.CACHE),
            table.SHADOW_QUESTIONS: of(counts.SHADOW),
            table.CASCADE_QUESTIONS: of(counts.CASCADE),
            table.CASCADE_UNSAFE: of(counts.CASCADE_UNSAFE),
        }

    def _stream(self) -> dict[Metric, Observer]:
        def lags() -> Iterator[Point]:
            for (topic, partition), lag in self._lags.items():
                yield lag, (topic, str(partition), self.settings.kafka.group_id)

        return {
            table.POSTS_HELD: lambda: [(sum(track.held_posts for track in self.tracks), ())],
            table.BYTES_HELD: lambda: [(sum(track.held_bytes for track in self.tracks), ())],
            table.UNCONFIRMED: lambda: [(0 if self.publisher is None else self.publisher.unconfirmed, ())],
            table.LAG: lags,
            table.PARTITIONS: lambda: [(len(self.tracks), ())],
            table.PAUSED: lambda: [(sum(track.paused for track in self.tracks), ())],
            table.STOPPED: lambda: [(0 if self.source is None else len(self.source.stopped), ())],
            table.BREAKER: lambda: [(int(self.stream is not None and self.stream.tripped is not None), ())],
            table.READY: lambda: [(int(self.telemetry.health.readiness() is None), ())],
            table.HEARTBEAT: self._heartbeats,
        }

    def _heartbeats(self) -> Iterator[Point]:
        for name, heart in self.telemetry.health.hearts.items():
            if (age := heart.age_s) is not None:
                yield age, (name,)

    def _process(self) -> dict[Metric, Observer]:
        return {table.CPU_TIME: _cpu_time, table.MEMORY: _memory}


def _summed(points: Iterable[tuple[tuple[str, ...], int]]) -> list[Point]:
    sums: dict[tuple[str, ...], int] = {}
    for key, count in points:
        sums[key] = sums.get(key, 0) + count
    return [(count, key) for key, count in sums.items()]


def _cpu_time() -> Iterator[Point]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield used.ru_utime, ("user",)
    yield used.ru_stime, ("system",)


def _memory() -> Iterator[Point]:
    try:
        with open(_STATM, encoding="ascii") as file:
            yield int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"), ()
    except OSError:  # not Linux: the most that was ever resident is all there is to know
        yield resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, ()
