"""How benchmarks look at a process from outside: its CPU time, its memory, and how far its group has committed."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tests.support.kafka_cluster import ClientConfig

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_S = 0.05


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all threads."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    """Resident set size."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class GroupWatch:
    """Committed offsets of a group, asked by a consumer that never joins it."""

    def __init__(self, config: ClientConfig, group: str, topic: str) -> None:
        self._consumer = Consumer({**config, "group.id": group, "enable.auto.commit": False})
        partitions = self._consumer.list_topics(topic, timeout=20).topics[topic].partitions
        self._places = [TopicPartition(topic, number) for number in partitions]

    def committed(self) -> int:
        """Records committed so far, over all partitions."""
        while True:
            try:
                return sum(max(0, place.offset) for place in self._consumer.committed(self._places, 20))
            except KafkaException as error:  # the first group of a broker waits for its coordinator
                if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_COORDINATOR:
                    raise
                time.sleep(_SAMPLE_S)

    def end(self) -> int:
        """Offsets given out so far in the topic: records, and a marker for each transaction in a partition."""
        return sum(self._consumer.get_watermark_offsets(place, 20)[1] for place in self._places)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()


@dataclass(frozen=True, slots=True)
class Sample:
    """At one moment (monotonic seconds): records committed, and CPU seconds used by each process watched."""

    at: float
    committed: int
    cpu: tuple[float, ...]


def samples(watch: GroupWatch, pids: list[int], alive: Callable[[], bool], timeout_s: float) -> Iterator[Sample]:
    """Samples every 50 ms. RuntimeError when the process ends or the time is over before the caller stops asking."""
    deadline = time.monotonic() + timeout_s
    while True:
        committed = watch.committed()
        yield Sample(time.monotonic(), committed, tuple(cpu_seconds(pid) for pid in pids))
        if not alive():
            raise RuntimeError("the contender ended")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{committed} records were committed in {timeout_s:.0f} s")
        time.sleep(_SAMPLE_S)


@dataclass(frozen=True, slots=True)
class Rate:
    """Throughput between two samples."""

    posts: int
    seconds: float
    cpu: tuple[float, ...]

    @property
    def posts_per_second(self) -> float:
        """Committed records a second."""
        return self.posts / self.seconds

    def cpu_microseconds(self, process: int = 0) -> float:
        """CPU of one process a record."""
        return self.cpu[process] / self.posts * 1e6

    def cpu_share(self, process: int) -> float:
        """Cores that one process kept busy."""
        return self.cpu[process] / self.seconds


def between(first: Sample, last: Sample) -> Rate:
    """The rate from one sample to another."""
    cpu = tuple(after - before for before, after in zip(first.cpu, last.cpu, strict=True))
    return Rate(last.committed - first.committed, last.at - first.at, cpu)


def drain(watch: GroupWatch, pids: list[int], alive: Callable[[], bool], total: int, timeout_s: float = 180) -> Rate:
    """Watch a backlog of `total` records until it is committed; the rate between a tenth and the end.

    The first tenth is left out: joining the group and warming up are not what is measured.
    """
    first: Sample | None = None
    for sample in samples(watch, pids, alive, timeout_s):
        if first is None and sample.committed >= total // 10:
            first = sample
        if sample.committed >= total:
            assert first is not None
            return between(first, sample)
    raise AssertionError("samples() does not end")
