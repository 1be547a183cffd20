"""Law 2: what both publishers share. No outcome is split, none leaves out of order, no commit without a member."""

from collections import deque

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.unit.moderation.clients import FATAL, Broker, Clock, FakeProducer, failure, finished, metadata
from worker.errors import ConfigurationError
from worker.moderation.partitions import PartitionTrack, Slot
from worker.moderation.publisher import is_member, next_offsets, produce, take_back


def producer(**script: BaseException) -> FakeProducer:
    return FakeProducer(Broker(), Clock(), {call: deque([error]) for call, error in script.items()})


def track(partition: int = 0) -> PartitionTrack:
    return PartitionTrack("posts", partition, 1)


def test_slots_move_in_order_until_the_buffer_is_full_and_go_on_where_it_was() -> None:
    client, mine, sent = producer(), track(), list[Slot]()
    queue = deque([finished(mine, 0, b"a", b"b"), finished(mine, 1, b"c", b"d"), finished(mine, 2, b"e")])
    client.room = 3
    assert not produce(client, queue, sent)  # type: ignore[arg-type]
    assert (client.values, [slot.offset for slot in sent], queue[0].produced) == ([b"a", b"b", b"c"], [0], 1)
    client.room = None
    assert produce(client, queue, sent)  # type: ignore[arg-type]
    assert client.values == [b"a", b"b", b"c", b"d", b"e"]
    assert [slot.offset for slot in sent] == [0, 1, 2]


def test_an_outcome_too_big_for_its_topic_names_the_topic() -> None:
    client = producer(produce=failure(KafkaError.MSG_SIZE_TOO_LARGE))
    with pytest.raises(ConfigurationError, match="verdicts"):
        produce(client, deque([finished(track(), 0)]), [])  # type: ignore[arg-type]


def test_other_errors_are_the_publishers() -> None:
    with pytest.raises(KafkaException):
        produce(producer(produce=FATAL), deque([finished(track(), 0)]), [])  # type: ignore[arg-type]


def test_what_was_sent_in_vain_goes_to_the_front_in_order_without_what_is_gone() -> None:
    mine, gone = track(), track(1)
    sent = [finished(mine, 0), finished(gone, 0), finished(mine, 1)]
    queue = deque([finished(mine, 2, b"x", b"y")])
    for slot in (*sent, queue[0]):
        slot.produced = 1
    gone.close()
    take_back(queue, sent)
    assert [(slot.offset, slot.produced) for slot in queue] == [(0, 0), (1, 0), (2, 0)]
    assert sent == []


def test_the_offset_after_the_last_of_each_partition_that_is_ours() -> None:
    first, second, gone = track(), track(1), track(2)
    slots = [finished(first, 4), finished(gone, 1), finished(second, 0), finished(first, 9)]
    gone.close()
    assert next_offsets(slots) == [TopicPartition("posts", 0, 10), TopicPartition("posts", 1, 1)]


@pytest.mark.parametrize(
    ("content", "member"),
    [
        (metadata(), True),
        (metadata(generation=0), True),
        (metadata(member=""), False),
        (metadata(generation=-1), False),
        (metadata(group="ein\u00e4", member=""), False),
        (b"another format", True),
        (object(), True),
    ],
)
def test_only_metadata_that_names_a_member_lets_the_broker_fence(content: object, member: bool) -> None:
    assert is_member(content) is member


def test_what_can_never_fit_the_buffer_is_said_instead_of_waited_for() -> None:
    client = producer(produce=BufferError("queue full"))
    with pytest.raises(ConfigurationError, match=r"queue\.buffering\.max\.kbytes"):
        produce(client, deque([finished(track(), 0)]), [])  # type: ignore[arg-type]
