"""What the broker says of ends and offsets is taken when it comes, and never waited for."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, TopicPartition

from tests.unit.moderation.clients import failure
from worker.moderation.group_offsets import GroupOffsets

FIRST, SECOND = ("posts", 0), ("posts", 1)


class Admin:
    """Questions that wait for an answer."""

    def __init__(self) -> None:
        self.made = 0
        self.polled = 0
        self.ends: list[dict[tuple[str, int], Future[Any]]] = []
        self.committed: list[Future[Any]] = []

    def poll(self, timeout: float) -> None:
        assert timeout == 0, "anything else would wait"
        self.polled += 1

    def list_offsets(
        self, request: dict[TopicPartition, object], *, isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Any]]:
        assert isolation_level is IsolationLevel.READ_COMMITTED
        assert request_timeout > 0
        answers: dict[TopicPartition, Future[Any]] = {asked: Future() for asked in request}
        self.ends.append({(asked.topic, asked.partition): future for asked, future in answers.items()})
        return answers

    def list_consumer_group_offsets(
        self, request: list[ConsumerGroupTopicPartitions], *, request_timeout: float
    ) -> dict[str, Future[Any]]:
        assert request_timeout > 0
        self.committed.append(Future())
        return {request[0].group_id: self.committed[-1]}

    def say_committed(self, *found: tuple[tuple[str, int], int]) -> None:
        answer = [TopicPartition(*key, offset) for key, offset in found]
        self.committed[-1].set_result(SimpleNamespace(topic_partitions=answer))


def bench() -> tuple[GroupOffsets, Admin]:
    admin = Admin()

    def make() -> Any:
        admin.made += 1
        return admin

    return GroupOffsets(make, "moderation"), admin


def end(offset: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset)


def test_ends_are_taken_one_by_one_and_asked_for_anew_once_all_are_in() -> None:
    offsets, admin = bench()
    offsets.look({FIRST, SECOND}, ())
    admin.ends[0][FIRST].set_result(end(10))
    offsets.look({FIRST, SECOND}, ())
    assert (offsets.ends, len(admin.ends)) == ({FIRST: 10}, 1)
    admin.ends[0][SECOND].set_result(end(20))
    offsets.look({FIRST, SECOND}, ())
    assert (offsets.ends, len(admin.ends)) == ({FIRST: 10, SECOND: 20}, 2)
    assert admin.committed == []
    assert (admin.made, admin.polled) == (1, 2)


def test_a_refusal_keeps_what_was_heard_and_is_asked_again() -> None:
    offsets, admin = bench()
    offsets.look({FIRST}, ())
    admin.ends[0][FIRST].set_result(end(10))
    offsets.look({FIRST}, ())
    admin.ends[1][FIRST].set_exception(failure(KafkaError.NOT_LEADER_FOR_PARTITION))
    offsets.look({FIRST}, ())
    assert (offsets.ends, len(admin.ends)) == ({FIRST: 10}, 3)


def test_what_is_committed_is_asked_for_unread_partitions_only() -> None:
    offsets, admin = bench()
    offsets.look({FIRST, SECOND}, {FIRST, SECOND})
    admin.say_committed((FIRST, 7), (SECOND, -1001))
    offsets.look({FIRST, SECOND}, {FIRST, SECOND})
    assert offsets.committed == {FIRST: 7}
    assert len(admin.committed) == 2
    admin.committed[1].set_exception(failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))
    offsets.look({FIRST, SECOND}, {SECOND})
    assert offsets.committed == {}
    assert len(admin.committed) == 3


def test_partitions_that_left_are_forgotten_and_without_any_nothing_is_asked() -> None:
    offsets, admin = bench()
    offsets.look({FIRST}, ())
    admin.ends[0][FIRST].set_result(end(10))
    offsets.look((), ())
    assert (offsets.ends, len(admin.ends)) == ({}, 1)
    spare, other = bench()
    spare.look((), ())
    assert other.made == 0
