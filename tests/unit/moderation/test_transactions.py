"""Law 2: outcomes and offsets in one transaction; what fails is committed again, published again, or recovered."""

from collections import deque

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests.unit.moderation.clients import (
    ABORTABLE,
    FATAL,
    FENCED,
    RETRIABLE,
    Broker,
    Clock,
    FakeConsumer,
    FakeProducer,
    failure,
    finished,
    metadata,
)
from worker.errors import ConfigurationError, FencedError
from worker.moderation.partitions import PartitionTrack
from worker.moderation.transactions import State, TransactionalPublisher
from worker.settings import KafkaSettings


class Bench:
    """A publisher on scripted clients. All producers that it makes share one script."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.broker = Broker()
        self.script: dict[str, deque[BaseException | None]] = {}
        self.producers: list[FakeProducer] = []
        self.consumer = FakeConsumer(self.broker)
        settings = KafkaSettings(commit_interval_ms=100, transaction_timeout_ms=15_000, hostname="host")
        self.publisher = TransactionalPublisher(self._make, settings, self.clock)  # type: ignore[arg-type]
        self.publisher.attach(self.consumer)  # type: ignore[arg-type]
        self.track = PartitionTrack("posts", 0, 1)

    def _make(self) -> FakeProducer:
        self.producers.append(FakeProducer(self.broker, self.clock, self.script))
        return self.producers[-1]

    @property
    def producer(self) -> FakeProducer:
        return self.producers[-1]

    def fails(self, call: str, *errors: KafkaException | None) -> None:
        self.script[call] = deque(errors)

    def add(self, *offsets: int, track: PartitionTrack | None = None) -> None:
        for offset in offsets:
            self.publisher.add(finished(track or self.track, offset))

    def run(self, steps: int = 12) -> None:
        for _ in range(steps):
            self.publisher.step()
            self.clock.sleep(0.1)

    def until(self, state: State) -> None:
        """Advance by single calls until the state is reached."""
        for _ in range(20):
            if self.publisher.state is state:
                return
            self.publisher._advance()
            self.clock.sleep(0.1)
        raise AssertionError(f"{state} is not reached from {self.publisher.state}")

    def assert_all_in(self, *offsets: int) -> None:
        assert self.broker.visible == [f"posts-0-{offset}".encode() for offset in offsets]
        assert self.broker.offsets == {("posts", 0): offsets[-1] + 1}
        assert self.publisher.unconfirmed == 0
        assert (self.track.held_posts, self.track.held_bytes) == (0, 0)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_outcomes_and_offsets_are_seen_together(bench: Bench) -> None:
    ready_before = bench.publisher.ready
    bench.add(0, 3, 7)
    bench.run()
    assert (ready_before, bench.publisher.ready) == (False, True)
    bench.assert_all_in(0, 3, 7)
    assert len(bench.broker.transactions) == 1


def test_no_transaction_is_open_while_there_is_nothing_to_say(bench: Bench) -> None:
    bench.run(50)
    assert "begin" not in bench.producer.calls


@pytest.mark.parametrize("call", ["init", "send", "commit"])
def test_retriable_the_same_call_is_made_again(bench: Bench, call: str) -> None:
    bench.add(0, 1)
    bench.fails(call, RETRIABLE, RETRIABLE, None)
    bench.run()
    bench.assert_all_in(0, 1)
    assert bench.producer.calls.count(call) == 3
    assert (bench.publisher.aborts, bench.publisher.recoveries) == (0, 0)


@pytest.mark.parametrize("call", ["produce", "send", "commit"])
def test_abortable_the_same_outcomes_are_published_again_in_order(bench: Bench, call: str) -> None:
    bench.add(0, 1, 2)
    bench.fails(call, ABORTABLE, None)
    bench.run()
    bench.assert_all_in(0, 1, 2)
    assert bench.publisher.aborts == 1
    assert len(bench.producers) == 1


def test_an_abort_is_tried_again_too(bench: Bench) -> None:
    bench.add(0)
    bench.fails("commit", ABORTABLE, None)
    bench.fails("abort", RETRIABLE, None)
    bench.run()
    bench.assert_all_in(0)
    assert bench.producer.calls.count("abort") == 2


@pytest.mark.parametrize("call", ["init", "begin", "produce", "send", "commit"])
@pytest.mark.parametrize("error", [FATAL, FENCED, failure(KafkaError.UNKNOWN)])
def test_fatal_or_unknown_a_new_producer_publishes_the_same(bench: Bench, call: str, error: KafkaException) -> None:
    bench.add(0, 1)
    bench.fails(call, error, None)
    bench.run()
    bench.assert_all_in(0, 1)
    assert bench.publisher.recoveries == 1
    assert bench.producers[0].calls[-1] == "purge"


def test_recovery_drops_what_is_in_already(bench: Bench) -> None:
    """The commit landed, its answer was lost: nothing is published twice."""
    bench.add(0, 1)
    lost = failure(KafkaError._FATAL, fatal=True)
    bench.producer.landed.add(id(lost))
    bench.fails("commit", lost, None)
    bench.until(State.COMMITTING)
    bench.add(2)
    bench.run()
    bench.assert_all_in(0, 1, 2)
    assert bench.broker.transactions == [[b"posts-0-0", b"posts-0-1"], [b"posts-0-2"]]


@pytest.mark.parametrize("error", [ABORTABLE, RETRIABLE, FATAL])
def test_recovery_reads_what_is_in_however_its_start_fails(bench: Bench, error: KafkaException) -> None:
    """A failed init_transactions must not lead past the reading of committed offsets (found by the state machine)."""
    bench.add(0)
    lost = failure(KafkaError._FATAL, fatal=True)
    bench.producer.landed.add(id(lost))
    bench.until(State.COMMITTING)
    bench.fails("commit", lost, None)
    bench.fails("init", error, None)
    bench.run()
    bench.assert_all_in(0)


def test_a_transaction_without_outcomes_is_not_committed(bench: Bench) -> None:
    """Its only outcome did not fit the buffer and then lost its partition: it is aborted, not left open."""
    bench.producer.room = 0
    bench.add(0)
    bench.until(State.OPEN)
    bench.track.close()
    bench.publisher.drop([bench.track])
    bench.run()
    assert bench.broker.transactions == []
    assert bench.publisher.state is State.IDLE


def test_recovery_waits_until_committed_offsets_can_be_read(bench: Bench) -> None:
    bench.add(0)
    bench.fails("commit", FATAL, None)
    bench.consumer.script.extend([failure(), failure(KafkaError._TRANSPORT), None])
    bench.run()
    bench.assert_all_in(0)
    assert bench.publisher.recoveries == 1


@pytest.mark.parametrize("state", [State.OPEN, State.SENDING])
def test_losing_a_partition_before_its_offset_is_inside_aborts(bench: Bench, state: State) -> None:
    """Law 4: else its outcomes would be seen without their offsets, and again by the next owner."""
    other = PartitionTrack("posts", 1, 1)
    bench.add(0)
    bench.add(5, track=other)
    bench.until(state)
    if state is State.OPEN:
        bench.publisher._advance()
    other.close()
    bench.publisher.drop([other])
    bench.run()
    bench.assert_all_in(0)
    assert bench.publisher.aborts == 1


def test_losing_a_partition_while_committing_does_not_abort(bench: Bench) -> None:
    bench.add(0)
    bench.until(State.COMMITTING)
    bench.track.close()
    bench.publisher.drop([bench.track])
    bench.run()
    assert bench.publisher.aborts == 0
    bench.assert_all_in(0)


def test_losing_what_was_not_sent_yet_does_not_abort(bench: Bench) -> None:
    other = PartitionTrack("posts", 1, 1)
    bench.until(State.IDLE)
    bench.add(0)
    bench.until(State.SENDING)
    bench.add(5, track=other)
    other.close()
    bench.publisher.drop([other])
    bench.run()
    bench.assert_all_in(0)
    assert bench.publisher.aborts == 0


def test_an_outcome_is_never_split_over_two_transactions(bench: Bench) -> None:
    bench.until(State.IDLE)
    bench.publisher.add(finished(bench.track, 0, b"verdict", b"risk", b"hit"))
    bench.until(State.OPEN)
    bench.producer.room = 1
    bench.clock.sleep(10)  # far beyond the commit interval
    bench.publisher._advance()
    assert bench.publisher.state is State.OPEN
    bench.run()
    assert bench.broker.transactions == [[b"verdict", b"risk", b"hit"]]


def test_losing_a_half_sent_outcome_aborts(bench: Bench) -> None:
    bench.until(State.IDLE)
    bench.publisher.add(finished(bench.track, 0, b"verdict", b"risk"))
    bench.until(State.OPEN)
    bench.producer.room = 1
    produced = bench.publisher._fill()
    assert not produced
    bench.producer.values = [b"verdict"]
    bench.track.close()
    bench.publisher.drop([bench.track])
    bench.run()
    assert bench.broker.visible == []
    assert bench.publisher.aborts == 1


def test_no_offsets_are_sent_without_a_member(bench: Bench) -> None:
    """A broker would take them unchecked: the group may have given the partition to another worker."""
    bench.add(0)
    bench.consumer.metadata = metadata(member="")
    bench.run()
    assert "send" not in bench.producer.calls
    assert bench.broker.visible == []
    bench.consumer.metadata = metadata()
    bench.run()
    bench.assert_all_in(0)


def test_fenced_twice_within_a_minute_ends_with_75(bench: Bench) -> None:
    bench.add(0)
    bench.fails("commit", FENCED, FENCED)
    with pytest.raises(FencedError, match=r"host\.0") as caught:
        bench.run(100)
    assert caught.value.exit_code == 75


def test_fences_far_apart_do_not_end_the_worker(bench: Bench) -> None:
    for offset in range(3):
        bench.add(offset)
        bench.fails("commit", FENCED, None)
        bench.run()
        bench.clock.sleep(61)
    assert len(bench.broker.visible) == 3


def test_a_fence_after_a_freeze_does_not_count(bench: Bench) -> None:
    """A transaction that the broker ended for its age is reported in the words of a fence."""
    for offset in range(3):
        bench.add(offset)
        bench.until(State.COMMITTING)
        bench.clock.sleep(16)
        bench.fails("commit", FENCED, None)
        bench.run()
    bench.assert_all_in(0, 1, 2)
    assert bench.publisher.recoveries == 3


@pytest.mark.parametrize("code", [KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError._UNSUPPORTED_FEATURE])
def test_a_broker_that_refuses_transactions_is_78(bench: Bench, code: int) -> None:
    """Delivery never falls back by itself."""
    bench.fails("init", failure(code))
    with pytest.raises(ConfigurationError, match="at-least-once"):
        bench.run()


def test_finish_commits_at_once(bench: Bench) -> None:
    bench.until(State.IDLE)
    bench.add(0, 1)
    before = bench.clock()
    bench.publisher.finish([bench.track], before + 0.5)
    bench.assert_all_in(0, 1)
    assert bench.clock() - before < 0.05


def test_finish_outlives_a_producer_that_is_lost_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any call into the client may raise a fatal error, also one that only serves delivery reports."""
    bench.until(State.IDLE)
    bench.add(0)
    bench.producer.room = 0
    monkeypatch.setattr(bench.producer, "poll", lambda timeout: (_ for _ in ()).throw(FATAL))
    bench.publisher.finish([bench.track], bench.clock() + 0.5)
    assert bench.publisher.recoveries == 1
    bench.assert_all_in(0)


def test_finish_keeps_to_its_deadline(bench: Bench) -> None:
    bench.until(State.IDLE)
    bench.add(0)
    bench.fails("commit", *[RETRIABLE] * 1000)
    before = bench.clock()
    bench.publisher.finish([bench.track], before + 0.5)
    assert 0.5 <= bench.clock() - before <= 0.6
    assert bench.broker.visible == []


def test_finish_waits_for_its_own_partitions_only(bench: Bench) -> None:
    bench.until(State.IDLE)
    bench.add(0)
    before = bench.clock()
    bench.publisher.finish([PartitionTrack("posts", 9, 1)], before + 0.5)
    assert bench.clock() == before


@pytest.mark.parametrize("state", [State.OPEN, State.SENDING])
def test_closing_aborts_what_is_open(bench: Bench, state: State) -> None:
    bench.add(0)
    bench.until(state)
    bench.fails("abort", FATAL)
    bench.publisher.close()
    assert bench.producer.calls[-2:] == ["abort", "purge"]
    assert bench.broker.visible == []


def test_closing_commits_what_has_its_offsets(bench: Bench) -> None:
    bench.add(0)
    bench.until(State.COMMITTING)
    bench.publisher.close()
    assert bench.broker.offsets == {("posts", 0): 1}
