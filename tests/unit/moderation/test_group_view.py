"""Membership and lag, as the consumer at hand knows them."""

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


def track(partition: int, *offsets: int) -> PartitionTrack:
    made = PartitionTrack("posts", partition, 1)
    for offset in offsets:
        made.deliver(offset, 1)
    return made


def test_lag_is_what_was_not_received() -> None:
    consumer, health, clock = Consumer(), Health(), Clock()
    view = GroupView(consumer, health, clock)  # type: ignore[arg-type]
    consumer.ends = {0: 10, 1: 10, 2: None, 3: -1001, 4: 5}
    view.tick([track(0, 3), track(1), track(2, 1), track(3, 1), track(4, 4), track(5, 1)])
    assert view.lags == {("posts", 0): 6, ("posts", 4): 0}


def test_looked_at_once_a_second_and_a_lost_membership_is_seen() -> None:
    consumer, health, clock = Consumer(), Health(), Clock()
    view = GroupView(consumer, health, clock)  # type: ignore[arg-type]
    for _ in range(10):
        view.tick([])
    assert (consumer.asked, health.joined) == (1, True)
    consumer.metadata = metadata(generation=-1, member="")
    clock.sleep(1.1)
    view.tick([])
    assert (consumer.asked, health.joined) == (2, False)
