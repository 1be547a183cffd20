"""How long do partitions stand still while a worker joins and leaves? A steady stream and a read_committed reader."""

import itertools
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contenders import PROGUARD, Ground, start
from benchmarks.load import start_steady
from benchmarks.measure import GroupWatch
from benchmarks.reader import VerdictReader
from benchmarks.topics import PARTITIONS, create_stream
from tests.support.kafka_cluster import KafkaCluster
from tests.support.topics import TopicNames
from worker.local.child import Child

_RATE = 400  # far from what two workers can do, so that a silence is a rebalance's and no queue's
_DELAY_MS = 50
_SETTLE_S = 6.0
_AFTER_S = 6.0
_PATIENCE_S = 60.0
_STREAM_S = 3600.0  # ended by us


@dataclass(frozen=True, slots=True)
class Pause:
    """Longest silence of a partition, seconds: of those that kept their worker, and of those that moved (how many)."""

    event: str
    stayed: float
    moved: float
    moves: int


# When a verdict could be read (monotonic seconds), and the revision that its worker gave it.
Seen = tuple[float, str]


def rebalance(cluster: KafkaCluster, directory: Path, protocol: str) -> list[Pause]:
    """Two workers; a third joins, then leaves. `without` is as long a time in which nothing happens."""
    topics = create_stream(cluster.client_config(), f"rebalance-{uuid.uuid4().hex[:8]}")
    grounds = [
        Ground(cluster.bootstrap_servers, topics, topics.posts, directory, _settings(slot, protocol), slot)
        for slot in range(3)
    ]
    workers = [start(PROGUARD, ground) for ground in grounds[:2]]
    windows: dict[str, tuple[float, float]] = {}
    try:
        with _stream(cluster, topics, directory), _reading(cluster, topics) as reader:
            _wait(lambda: _workers_seen(reader, _AFTER_S / 2) >= {"0", "1"})
            time.sleep(_SETTLE_S)
            began = time.monotonic()
            time.sleep(_AFTER_S)
            windows["without"] = (began, time.monotonic())
            workers.append(start(PROGUARD, grounds[2]))
            _wait(lambda: "2" in _workers_seen(reader, _AFTER_S))
            time.sleep(_AFTER_S)
            windows["a worker joins"] = (windows["without"][1], time.monotonic())
            workers[2].stop()
            time.sleep(_AFTER_S)
            windows["a worker leaves"] = (windows["a worker joins"][1], time.monotonic())
            seen = _by_partition(reader)
    finally:
        for worker in workers:
            worker.stop()
    return [_pause(event, window, seen) for event, window in windows.items()]


def _settings(slot: int, protocol: str) -> dict[str, dict[str, Any]]:
    """Of one worker, whose verdicts say that they are its own."""
    return {
        "guard": {"settings": {"delay_ms": _DELAY_MS, "revision": str(slot)}},
        "batching": {"max_posts": 32, "in_flight": 2, "max_wait_ms": 5},
        "kafka": {"group_protocol": protocol},
    }


@contextmanager
def _stream(cluster: KafkaCluster, topics: TopicNames, directory: Path) -> Iterator[Child]:
    child = start_steady(cluster.bootstrap_servers, topics.posts, _RATE, _STREAM_S, directory)
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def _reading(cluster: KafkaCluster, topics: TopicNames) -> Iterator[VerdictReader]:
    watch = GroupWatch(cluster.client_config(), topics.posts, topics.posts)
    reader = VerdictReader(cluster.client_config(), topics.verdicts, every=1)
    try:
        _wait(lambda: watch.committed() > 0)
        yield reader
    finally:
        reader.close()
        watch.close()


def _wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"a worker had no partition after {_PATIENCE_S:.0f} s: see its log")
        time.sleep(0.1)


def _workers_seen(reader: VerdictReader, within_s: float) -> set[str]:
    since = time.monotonic() - within_s
    return {revision for at, revision in list(reader.seen.values()) if at >= since}


def _by_partition(reader: VerdictReader) -> dict[int, list[Seen]]:
    found: dict[int, list[Seen]] = defaultdict(list)
    for (partition, _offset), seen in list(reader.seen.items()):
        found[partition].append(seen)
    return {partition: sorted(entries) for partition, entries in found.items()}


def _pause(event: str, window: tuple[float, float], seen: dict[int, list[Seen]]) -> Pause:
    """A partition without any verdict in the window was silent for all of it."""
    stayed, moved = [0.0], [0.0]
    for partition in range(PARTITIONS):
        inside = [entry for entry in seen.get(partition, []) if window[0] <= entry[0] <= window[1]]
        gaps = [after[0] - before[0] for before, after in itertools.pairwise(inside)]
        longest = max(gaps, default=window[1] - window[0])
        (stayed if len({revision for _at, revision in inside}) == 1 else moved).append(longest)
    return Pause(event, max(stayed), max(moved), len(moved) - 1)


def rebalance_table(found: dict[str, list[Pause]]) -> list[str]:
    """Markdown."""
    return [
        "| group protocol | event | longest silence of a partition that stayed, s | of one that moved, s | moved |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {protocol} | {pause.event} | {pause.stayed:.2f} | "
            f"{f'{pause.moved:.2f}' if pause.moves else '-'} | {pause.moves} |"
            for protocol, pauses in found.items()
            for pause in pauses
        ),
    ]
