"""Membership and lag, from what the consumer at hand knows and what the broker last said."""

from collections.abc import Collection

from confluent_kafka import KafkaError, TopicPartition

from tests.unit.moderation.clients import Clock, failure, metadata
from worker.moderation.group_view import GroupView
from worker.moderation.partitions import PartitionTrack
from worker.telemetry.health import Health


class Consumer:
    """Ends by partition; None is not known yet, an exception not assigned."""

    def __init__(self) -> None:
        self.metadata: object = metadata()
        self.ends: dict[int, int | None] = {}
        self.asked = 0

    def consumer_group_metadata(self) -> object:
        self.asked += 1
        return self.metadata

    def get_watermark_offsets(self, partition: TopicPartition, *, cached: bool) -> tuple[int, int] | None:
        assert cached, "anything else would wait for the broker"
        if partition.partition not in self.ends:
            raise failure(KafkaError._UNKNOWN_PARTITION)
        end = self.ends[partition.partition]
        return None if end is None else (0, end)


class Offsets:
    """What the broker said."""

    def __init__(self) -> None:
        self.ends: dict[tuple[str, int], int] = {}
        self.committed: dict[tuple[str, int], int] = {}
        self.unread: list[set[tuple[str, int]]] = []

    def look(self, partitions: Collection[tuple[str, int]], unread: Collection[tuple[str, int]]) -> None:
        assert set(unread) <= set(partitions)
        self.unread.append(set(unread))


class Bench:
    def __init__(self) -> None:
        self.consumer, self.health, self.offsets, self.clock = Consumer(), Health(), Offsets(), Clock()
        self.view = GroupView(self.consumer, self.health, self.offsets, self.clock)  # type: ignore[arg-type]


def track(partition: int, *offsets: int) -> PartitionTrack:
    made = PartitionTrack("posts", partition, 1)
    for offset in offsets:
        made.deliver(offset, 1)
    return made


def test_lag_is_what_was_not_received() -> None:
    bench = Bench()
    bench.consumer.ends = {0: 10, 1: 10, 2: None, 3: -1001, 4: 5}
    bench.view.tick([track(0, 3), track(1), track(2, 1), track(3, 1), track(4, 4), track(5, 1)])
    assert bench.view.lags == {("posts", 0): 6, ("posts", 4): 0}


def test_the_later_of_both_ends_counts() -> None:
    """A paused partition is not fetched; one that is read hears of its end sooner than the broker is asked."""
    bench = Bench()
    bench.consumer.ends = {0: 10, 1: 90, 2: None}
    bench.offsets.ends = {("posts", 0): 50, ("posts", 1): 80, ("posts", 2): 7}
    bench.view.tick([track(0, 9), track(1, 79), track(2, 6)])
    assert bench.view.lags == {("posts", 0): 40, ("posts", 1): 10, ("posts", 2): 0}


def test_lag_of_a_partition_that_was_not_read_yet_begins_at_the_groups_offset() -> None:
    bench = Bench()
    bench.consumer.ends = {0: None, 1: None, 2: None}
    bench.offsets.ends = {("posts", 0): 50, ("posts", 1): 50, ("posts", 2): 50}
    bench.offsets.committed = {("posts", 0): 20, ("posts", 2): 20}
    bench.view.tick([track(0), track(1), track(2, -1)])
    assert bench.view.lags == {("posts", 0): 30, ("posts", 2): 50}
    assert bench.offsets.unread == [{("posts", 0), ("posts", 1)}]


def test_looked_at_once_a_second_and_a_lost_membership_is_seen() -> None:
    bench = Bench()
    for _ in range(10):
        bench.view.tick([])
    assert (bench.consumer.asked, bench.health.joined, len(bench.offsets.unread)) == (1, True, 1)
    bench.consumer.metadata = metadata(generation=-1, member="")
    bench.clock.sleep(1.1)
    bench.view.tick([])
    assert (bench.consumer.asked, bench.health.joined) == (2, False)
