"""Law 2 on a broker without transactions: offsets are never committed before the outcomes are there."""

import threading
import time
from collections import deque
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from tests.unit.moderation.clients import FATAL, Broker, Clock, FakeConsumer, FakeProducer, Header, failure, finished
from worker.moderation.at_least_once import AtLeastOncePublisher
from worker.moderation.partitions import PartitionTrack
from worker.settings import KafkaSettings


class Slow(FakeProducer):
    """Delivers when told to: `arrive` answers all that is on its way, with an error where the value is in `lost`."""

    lost: frozenset[bytes] = frozenset()
    on_delivery: Callable[[KafkaError | None, object], None]

    def produce(self, topic: str, value: bytes | None, key: bytes | None, headers: Header) -> None:
        super().produce(topic, value, key, headers)
        self.deliveries.append(lambda: self._delivered(value or b""))

    def _delivered(self, value: bytes) -> None:
        error = KafkaError(KafkaError._MSG_TIMED_OUT) if value in self.lost else None
        if error is None:
            self.broker.visible.append(value)
        self.on_delivery(error, None)

    def poll(self, timeout: float) -> int:
        self.clock.sleep(timeout)
        return 0

    def arrive(self) -> None:
        while self.deliveries:
            self.deliveries.popleft()()


class Bench:
    """A publisher whose deliveries and commits are answered by hand."""

    def __init__(self) -> None:
        self.clock, self.broker = Clock(), Broker()
        self.consumer = FakeConsumer(self.broker)
        self.producers: list[Slow] = []
        self.script: dict[str, deque[BaseException | None]] = {}
        self.publisher = AtLeastOncePublisher(self._make, KafkaSettings(), self.clock)
        self.publisher.attach(self.consumer)  # type: ignore[arg-type]
        self.track = PartitionTrack("posts", 0, 1)

    def _make(self, on_delivery: Callable[[KafkaError | None, object], None]) -> Producer:
        self.producers.append(Slow(self.broker, self.clock, self.script))
        self.producers[-1].on_delivery = on_delivery
        return self.producers[-1]  # type: ignore[return-value]

    @property
    def producer(self) -> Slow:
        return self.producers[-1]

    def add(self, *offsets: int) -> None:
        for offset in offsets:
            self.publisher.add(finished(self.track, offset))

    def step(self) -> None:
        self.clock.sleep(1)
        self.publisher.step()

    def answer_commit(self, error: KafkaError | None = None) -> None:
        offsets, asynchronous = self.consumer.committing.pop()
        assert asynchronous
        self.publisher.on_commit(error, offsets)

    def seen(self) -> list[str]:
        return [value.decode().removeprefix("posts-0-") for value in self.broker.visible]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_no_commit_before_delivery_is_confirmed(bench: Bench) -> None:
    bench.add(0, 1)
    bench.step()
    bench.step()
    assert bench.consumer.committing == []
    bench.producer.arrive()
    bench.step()
    assert bench.consumer.committing == [([TopicPartition("posts", 0, 2)], True)]
    assert bench.publisher.unconfirmed == 2
    bench.answer_commit()
    assert (bench.publisher.unconfirmed, bench.track.held_posts) == (0, 0)
    assert bench.publisher.ready


def test_a_failed_delivery_is_published_again_in_order_and_not_committed_before(bench: Bench) -> None:
    bench.add(0, 1, 2)
    bench.producer.lost = frozenset({b"posts-0-1"})
    bench.step()
    bench.producer.arrive()
    bench.producer.lost = frozenset()
    bench.step()
    assert bench.consumer.committing == []
    bench.step()
    bench.producer.arrive()
    bench.step()
    assert bench.seen() == ["0", "2", "0", "1", "2"]
    assert bench.consumer.committing == [([TopicPartition("posts", 0, 3)], True)]


def test_a_commit_that_failed_is_made_again(bench: Bench) -> None:
    bench.add(0)
    bench.step()
    bench.producer.arrive()
    bench.step()
    bench.answer_commit(KafkaError(KafkaError.REBALANCE_IN_PROGRESS))
    assert bench.publisher.unconfirmed == 1
    bench.step()
    assert bench.consumer.committing == [([TopicPartition("posts", 0, 1)], True)]
    assert bench.seen() == ["0"]


def test_a_commit_that_could_not_be_asked_for_is_made_again(bench: Bench) -> None:
    bench.add(0)
    bench.step()
    bench.producer.arrive()
    bench.consumer.script.append(failure())
    bench.step()
    assert bench.consumer.committing == []
    bench.step()
    assert len(bench.consumer.committing) == 1


def test_a_partition_that_failed_in_the_answer_keeps_all(bench: Bench) -> None:
    bench.add(0)
    bench.step()
    bench.producer.arrive()
    bench.step()

    class Answered:
        topic, partition, offset = "posts", 0, 1
        error = KafkaError(KafkaError.UNKNOWN_MEMBER_ID)

    bench.publisher.on_commit(None, [Answered()])  # type: ignore[list-item]
    assert bench.publisher.unconfirmed == 1


def test_while_a_commit_is_on_its_way_nothing_is_published(bench: Bench) -> None:
    bench.add(0)
    bench.step()
    bench.producer.arrive()
    bench.step()
    bench.add(1)
    bench.step()
    assert (len(bench.producer), bench.publisher.unconfirmed) == (0, 2)
    bench.answer_commit()
    bench.step()
    bench.producer.arrive()
    assert bench.seen() == ["0", "1"]


@pytest.mark.parametrize("error", [FATAL, failure(KafkaError._UNKNOWN_TOPIC)])
def test_a_lost_producer_is_made_anew_and_publishes_the_same(bench: Bench, error: KafkaException) -> None:
    bench.add(0, 1)
    bench.script["produce"] = deque([None, error])
    bench.step()
    assert bench.producers[0].calls[-1] == "purge"
    bench.step()
    bench.producer.arrive()
    bench.step()
    assert bench.seen() == ["0", "1"]
    assert len(bench.producers) == 2
    assert bench.consumer.committing == [([TopicPartition("posts", 0, 2)], True)]


def test_finish_commits_its_own_partitions_before_it_returns(bench: Bench) -> None:
    bench.add(0)
    bench.step()
    bench.producer.arrive()
    bench.publisher.finish([bench.track], bench.clock() + 0.5)
    assert bench.consumer.committing == [([TopicPartition("posts", 0, 1)], False)]


def test_finish_leaves_a_commit_behind_that_is_not_answered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is confirmed; the next partition to leave has a call of its own."""
    bench.add(0)
    bench.step()
    bench.producer.arrive()
    answer = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(bench.consumer, "commit", lambda **_arguments: answer.wait(30))
        began = time.monotonic()
        bench.publisher.finish([bench.track], bench.clock() + 0.2)
        assert 0.2 <= time.monotonic() - began < 5
    assert bench.publisher.unconfirmed == 1
    bench.publisher.finish([bench.track], bench.clock() + 5)
    assert bench.consumer.committing == [([TopicPartition("posts", 0, 1)], False)]
    assert bench.publisher.unconfirmed == 0
    answer.set()


def test_finish_survives_a_refused_commit(bench: Bench) -> None:
    bench.add(0)
    bench.step()
    bench.producer.arrive()
    bench.consumer.script.append(failure())
    bench.publisher.finish([bench.track], bench.clock() + 0.5)
    assert bench.publisher.unconfirmed == 1


def test_finish_commits_nothing_undelivered_and_keeps_its_deadline(bench: Bench) -> None:
    bench.add(0)
    before = bench.clock()
    bench.publisher.finish([bench.track], before + 0.5)
    assert bench.consumer.committing == []
    assert 0.5 <= bench.clock() - before <= 0.6


def test_finish_commits_nothing_when_a_delivery_failed(bench: Bench) -> None:
    bench.add(0)
    bench.producer.lost = frozenset({b"posts-0-0"})
    bench.step()
    bench.producer.arrive()
    bench.publisher.finish([bench.track], bench.clock() + 0.5)
    assert bench.consumer.committing == []


def test_finish_survives_a_refused_publish(bench: Bench) -> None:
    """It runs inside a rebalance callback: an error there would end the worker, and the next owner judges again."""
    bench.add(0)
    bench.script["produce"] = deque([FATAL])
    bench.publisher.finish([bench.track], bench.clock() + 0.5)
    assert bench.consumer.committing == []
    assert bench.publisher.unconfirmed == 1


def test_what_is_gone_is_neither_published_nor_committed(bench: Bench) -> None:
    bench.add(0)
    bench.step()
    bench.add(1)
    bench.track.close()
    bench.publisher.drop([bench.track])
    bench.producer.arrive()
    bench.step()
    assert bench.seen() == ["0"]
    assert bench.consumer.committing == []
    assert bench.publisher.unconfirmed == 0
    bench.publisher.close()
    assert bench.producer.calls[-1] == "flush"
