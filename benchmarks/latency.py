"""From a post's acknowledgement to its verdict, as a read_committed reader sees it, at a steady rate."""

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.contenders import COMMIT_INTERVAL_MS, PROGUARD, Ground, start
from benchmarks.load import backlog
from benchmarks.measure import GroupWatch, Rate, Sample, between, cpu_seconds
from benchmarks.topics import create_stream
from tests.support.kafka_cluster import ClientConfig, KafkaCluster
from tests.support.processes import start_server

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


class VerdictReader:
    """Notes when verdicts of watched posts can be read. Reads in a thread and looks at offsets by header only."""

    def __init__(self, config: ClientConfig, topic: str, every: int) -> None:
        self._consumer = Consumer(
            {**config, "group.id": "latency-reader", "isolation.level": "read_committed", "fetch.wait.max.ms": 10}
        )
        partitions = self._consumer.list_topics(topic, timeout=20).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: dict[tuple[int, int], float] = {}
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._over.set()
        self._thread.join(10)
        self._consumer.close()

    def _run(self) -> None:
        while not self._over.is_set():
            messages = self._consumer.consume(1000, 0.01)
            now = time.monotonic()
            for message in messages:
                key = message.key()
                if message.error() is None and isinstance(key, bytes) and int(key[-8:]) % self._every == 0:
                    source = orjson.loads(message.value() or b"{}")["source"]
                    self.seen[source["partition"], source["offset"]] = now


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
        out = directory / "acknowledged.jsonl"
        load = {
            "bootstrap_servers": cluster.bootstrap_servers,
            "topic": names.posts,
            "rate": rate,
            "seconds": seconds + _WARM_UP_S,
            "every": every,
            "out": str(out),
        }
        generator = start_server([sys.executable, "-m", "benchmarks.load", json.dumps(load)], directory / "load.log")
        time.sleep(_WARM_UP_S)
        pids = [worker.pid, cluster.pid(1), generator.pid]
        first = Sample(time.monotonic(), watch.committed(), tuple(map(cpu_seconds, pids)))
        time.sleep(seconds - 1)
        last = Sample(time.monotonic(), watch.committed(), tuple(map(cpu_seconds, pids)))
        generator.process.wait(60)
        _wait_for_the_rest(watch)
        return _result(out, reader.seen, first, between(first, last))
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


def _result(out: Path, seen: dict[tuple[int, int], float], first: Sample, rate: Rate) -> Latency:
    """Posts acknowledged after warming up; one whose verdict was not seen is an error, not left out."""
    delays = []
    for line in out.read_text().splitlines():
        partition, offset, acknowledged = json.loads(line)
        if acknowledged >= first.at:
            delays.append((seen[partition, offset] - acknowledged) * 1000)
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
