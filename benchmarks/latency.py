"""From a post's acknowledgement to its verdict, as a read_committed reader sees it, at a steady rate."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.contenders import COMMIT_INTERVAL_MS, PROGUARD, Ground, start
from benchmarks.load import ACKNOWLEDGED, backlog, start_steady
from benchmarks.measure import GroupWatch, Rate, Sample, between, cpu_seconds
from benchmarks.reader import VerdictReader
from benchmarks.topics import create_stream
from tests.support.kafka_cluster import KafkaCluster

_FIRST_POSTS = 100
_WARM_UP_S = 5.0
_PATIENCE_S = 60.0
_WATCHED_A_SECOND = 500


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of the watched posts; cores kept busy by worker, broker and load generator."""

    rate: float
    watched: int
    p50: float
    p95: float
    p99: float
    most: float
    busy: tuple[float, float, float]


def latency(cluster: KafkaCluster, directory: Path, rate: float, seconds: float) -> Latency:
    """A worker that has nothing to wait for, at `rate` posts a second for so long after warming up."""
    config = cluster.client_config()
    names = create_stream(config, f"latency-{uuid.uuid4().hex[:8]}")
    ground = Ground(cluster.bootstrap_servers, names, names.posts, directory, {"batching": {"max_wait_ms": 5}})
    every = max(1, int(rate / _WATCHED_A_SECOND))
    worker = start(PROGUARD, ground)
    reader = VerdictReader(config, names.verdicts, every)
    watch = GroupWatch(config, ground.group, names.posts)
    try:
        _wait_for_first_commit(cluster, names.posts, watch)
        generator = start_steady(
            cluster.bootstrap_servers, names.posts, rate, seconds + _WARM_UP_S, directory, every=every
        )
        time.sleep(_WARM_UP_S)
        pids = [worker.pid, cluster.pid(1), generator.pid]
        first = Sample(time.monotonic(), watch.committed(), tuple(map(cpu_seconds, pids)))
        time.sleep(seconds - 1)
        last = Sample(time.monotonic(), watch.committed(), tuple(map(cpu_seconds, pids)))
        generator.process.wait(60)
        _wait_for_the_rest(watch)
        return _result(directory / ACKNOWLEDGED, reader.seen, first, between(first, last))
    finally:
        worker.stop()
        reader.close()
        watch.close()


def _wait_for_first_commit(cluster: KafkaCluster, topic: str, watch: GroupWatch) -> None:
    """Until the worker has joined its group and answered a few posts: starting is not what is measured."""
    backlog(cluster.client_config(), topic, _FIRST_POSTS)
    _wait(lambda: watch.committed() == _FIRST_POSTS)


def _wait_for_the_rest(watch: GroupWatch) -> None:
    """Until every post is committed, and a little for the reader."""
    end = watch.end()
    _wait(lambda: watch.committed() >= end)
    time.sleep(2 * COMMIT_INTERVAL_MS / 1000)


def _wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker has not come so far in {_PATIENCE_S:.0f} s: see its log")
        time.sleep(0.1)


def _result(out: Path, seen: dict[tuple[int, int], tuple[float, str]], first: Sample, rate: Rate) -> Latency:
    """Posts acknowledged after warming up; one whose verdict was not seen is an error, not left out."""
    delays = []
    for line in out.read_text().splitlines():
        partition, offset, acknowledged = json.loads(line)
        if acknowledged >= first.at:
            delays.append((seen[partition, offset][0] - acknowledged) * 1000)
    p50, p95, p99 = (float(value) for value in np.percentile(delays, (50, 95, 99)))
    busy = (rate.cpu_share(0), rate.cpu_share(1), rate.cpu_share(2))
    return Latency(rate.posts_per_second, len(delays), p50, p95, p99, max(delays), busy)


def table(found: Latency) -> list[str]:
    """Markdown."""
    bound = COMMIT_INTERVAL_MS + 30
    return [
        "| posts/s | watched | p50, ms | p95, ms | p99, ms | most, ms | bound on p99 | cores: worker, broker, load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        f"| {found.rate:,.0f} | {found.watched:,} | {found.p50:.0f} | {found.p95:.0f} | {found.p99:.0f} | "
        f"{found.most:.0f} | {bound} | {', '.join(f'{share:.2f}' for share in found.busy)} |",
    ]
