"""More workers: does the drain rate grow with them?"""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import PROGUARD, Ground, start
from benchmarks.load import backlog
from benchmarks.measure import GroupWatch, between, samples
from benchmarks.topics import create_stream
from tests.support.kafka_cluster import KafkaCluster
from tests.support.topics import TopicNames
from worker.local.child import Child

_DELAY_MS = 50
# 32 posts a batch, two in flight, 50 ms each: 1,280 posts/s a worker, which two cores carry four times over.
_WAITING_GUARD: dict[str, dict[str, Any]] = {
    "guard": {"settings": {"delay_ms": _DELAY_MS}},
    "batching": {"max_posts": 32, "in_flight": 2},
    "kafka": {"max_posts": 4000},
}
_SETTLE_S = 6.0
_MEASURED_S = 20.0


@dataclass(frozen=True, slots=True)
class Scale:
    """Drain rate of so many workers, the cores they kept busy together, and what their transactions cost the brokers:
    markers in the verdicts topic and records of the coordinators' log, each a second."""

    workers: int
    posts_per_second: float
    cores: float
    markers_per_second: float
    appends_per_second: float


def scaling(cluster: KafkaCluster, directory: Path, counts: tuple[int, ...] = (1, 2, 4)) -> list[Scale]:
    """Workers with a guard that only waits, on a backlog that outlasts the measurement."""
    found = []
    for count in counts:
        posts = int(count * 1400 * (_SETTLE_S + _MEASURED_S + 8))
        topics = _topics(cluster, posts)
        workers = [_start(cluster, directory, topics, slot) for slot in range(count)]
        try:
            found.append(_drain_rate(cluster, topics, workers))
        finally:
            for worker in workers:
                worker.stop()
    return found


def _topics(cluster: KafkaCluster, posts: int) -> TopicNames:
    topics = create_stream(cluster.client_config(), f"scaling-{uuid.uuid4().hex[:8]}")
    backlog(cluster.client_config(), topics.posts, posts)
    return topics


def _start(cluster: KafkaCluster, directory: Path, topics: TopicNames, slot: int) -> Child:
    return start(PROGUARD, Ground(cluster.bootstrap_servers, topics, topics.posts, directory, _WAITING_GUARD, slot))


def _drain_rate(cluster: KafkaCluster, topics: TopicNames, workers: list[Child]) -> Scale:
    """Between two moments when all workers have long been at work."""
    watch = _watch(cluster, topics, topics.posts)
    settled: float | None = None
    pids = [worker.pid for worker in workers]
    watched = samples(watch, pids, lambda: all(worker.returncode is None for worker in workers), 120)
    for sample in watched:
        if settled is None and sample.committed > 0:
            settled = sample.at + _SETTLE_S
        if settled is not None and sample.at >= settled:
            break
    # Only now: before the first transaction the coordinators have no log.
    verdicts, coordinators = _watch(cluster, topics, topics.verdicts), _watch(cluster, topics, "__transaction_state")
    try:
        first = next(watched)
        ends = verdicts.end(), coordinators.end()
        last = next(each for each in watched if each.at >= first.at + _MEASURED_S)
        rate = between(first, last)
        # A post has one verdict; the other offsets of the topic are markers.
        markers = (verdicts.end() - ends[0] - rate.posts) / rate.seconds
        appends = (coordinators.end() - ends[1]) / rate.seconds
        return Scale(len(workers), rate.posts_per_second, sum(rate.cpu) / rate.seconds, markers, appends)
    finally:
        for each in (watch, verdicts, coordinators):
            each.close()


def _watch(cluster: KafkaCluster, topics: TopicNames, topic: str) -> GroupWatch:
    return GroupWatch(cluster.client_config(), topics.posts, topic)


def scaling_table(found: list[Scale]) -> list[str]:
    """Markdown; linear is the rate of one worker times their number."""
    one = found[0].posts_per_second / found[0].workers
    return [
        "| workers | posts/s | of linear | cores of all workers | markers/s in verdicts | appends/s of coordinators |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {each.workers} | {each.posts_per_second:,.0f} | {each.posts_per_second / (one * each.workers):.3f} | "
            f"{each.cores:.2f} | {each.markers_per_second:.0f} | {each.appends_per_second:.0f} |"
            for each in found
        ),
    ]
