"""Does the worker's memory stay flat: over a million posts, and over an hour of a steady stream?"""

import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import PROGUARD, Ground, start
from benchmarks.load import backlog, start_steady
from benchmarks.measure import GroupWatch, resident_bytes
from benchmarks.topics import create_stream
from tests.support.kafka_cluster import KafkaCluster
from tests.support.topics import TopicNames

_CHUNK = 100_000
_SAMPLE_S = 1.0
_SAID_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident MiB of the worker: once warm, at most after that, and at the end."""

    what: str
    posts: int
    seconds: float
    warm: float
    most: float
    last: float

    @property
    def growth(self) -> float:
        """Last against warm, as a share."""
        return self.last / self.warm - 1


def million(cluster: KafkaCluster, directory: Path, posts: int = 1_000_000) -> Memory:
    """Drain so many posts, laid down in pieces so that the broker's disk and cache stay small; warm after a fifth."""
    topics = _topics(cluster)
    watch = GroupWatch(cluster.client_config(), topics.posts, topics.posts)
    worker = start(PROGUARD, Ground(cluster.bootstrap_servers, topics, topics.posts, directory))
    began = time.monotonic()
    sizes: list[tuple[int, float]] = []
    try:
        for laid in range(_CHUNK, posts + 1, _CHUNK):
            backlog(cluster.client_config(), topics.posts, _CHUNK)
            while (committed := watch.committed()) < laid:
                sizes.append((committed, _mebibytes(worker.pid)))
                time.sleep(0.1)
            print(f"{laid:,} posts, {sizes[-1][1]:.0f} MiB", file=sys.stderr)
        sizes.append((posts, _mebibytes(worker.pid)))
    finally:
        worker.stop()
        watch.close()
    warm = max(size for committed, size in sizes if committed <= posts // 5)
    most = max(size for committed, size in sizes if committed > posts // 5)
    return Memory("a million posts as fast as they come", posts, time.monotonic() - began, warm, most, sizes[-1][1])


def soak(cluster: KafkaCluster, directory: Path, minutes: float, rate: float) -> Memory:
    """A steady stream for so long; warm after a tenth of the time."""
    topics = _topics(cluster)
    worker = start(PROGUARD, Ground(cluster.bootstrap_servers, topics, topics.posts, directory))
    watch = GroupWatch(cluster.client_config(), topics.posts, topics.posts)
    began = time.monotonic()
    sizes: list[tuple[float, float]] = []
    generator = start_steady(cluster.bootstrap_servers, topics.posts, rate, minutes * 60, directory)
    try:
        sizes += [(at, _mebibytes(worker.pid)) for at in _seconds(began, minutes * 60)]
        generator.process.wait(60)
        time.sleep(2)
        posts = watch.committed()
    finally:
        worker.stop()
        watch.close()
    warm_until = minutes * 6
    warm = max(size for at, size in sizes if at <= warm_until)
    most = max(size for at, size in sizes if at > warm_until)
    return Memory(f"{minutes:g} minutes at {rate:,.0f} posts/s", posts, minutes * 60, warm, most, sizes[-1][1])


def _seconds(began: float, length: float) -> Iterator[float]:
    """Every second of the run; a line of progress every minute."""
    said = began
    while (now := time.monotonic()) < began + length:
        if now - said >= _SAID_EVERY_S:
            said = now
            print(f"{(now - began) / 60:.0f} minutes", file=sys.stderr)
        yield now - began
        time.sleep(_SAMPLE_S)


def _topics(cluster: KafkaCluster) -> TopicNames:
    """Outcomes are kept briefly, so that the broker's disk stays small."""
    return create_stream(
        cluster.client_config(),
        f"memory-{uuid.uuid4().hex[:8]}",
        retention_bytes=str(64 * 1024**2),
        segment_bytes=str(16 * 1024**2),
    )


def _mebibytes(pid: int) -> float:
    return resident_bytes(pid) / 1024**2


def table(found: list[Memory]) -> list[str]:
    """Markdown."""
    return [
        "| run | posts | seconds | RSS once warm, MiB | most after, MiB | at the end, MiB | growth |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {each.what} | {each.posts:,} | {each.seconds:,.0f} | {each.warm:.0f} | {each.most:.0f} | "
            f"{each.last:.0f} | {each.growth:+.1%} |"
            for each in found
        ),
    ]
