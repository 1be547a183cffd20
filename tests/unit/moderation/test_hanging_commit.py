"""Sending offsets may never return (librdkafka #5511: the group's coordinator is gone): the stream goes on.

Found by `python -m benchmarks.faults --seed 3 --group-protocol consumer`: a broker died, then the network was half
closed.
"""

import threading
import time
from collections.abc import Iterator

import pytest

from tests.unit.moderation.test_transactions import Bench
from worker.moderation.abandonable import AbandonableCall
from worker.moderation.partitions import PartitionTrack
from worker.moderation.transactions import State


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.until(State.IDLE)
    return bench


@pytest.fixture
def hung(bench: Bench) -> Iterator[threading.Event]:
    """The producer of now hangs as soon as offsets are sent; those made later do not."""
    hangs = bench.producer.hangs = threading.Event()
    yield hangs
    hangs.set()


def test_a_call_that_hangs_blocks_no_step(bench: Bench, hung: threading.Event) -> None:
    bench.add(0, 1)
    bench.until(State.SENDING)
    began = time.monotonic()
    bench.publisher.step()
    assert time.monotonic() - began < 5
    assert bench.publisher.state is State.SENDING
    hung.set()
    bench.producer.hangs = None
    bench.until(State.COMMITTING)
    assert bench.producer.calls.count("send") == 1


def test_a_call_that_never_returns_costs_a_producer_and_no_outcome(bench: Bench, hung: threading.Event) -> None:
    bench.add(0, 1)
    bench.until(State.SENDING)
    bench.publisher.step()
    bench.clock.sleep(15)
    bench.run()
    assert len(bench.producers) == 2
    assert bench.publisher.recoveries == 1
    bench.assert_all_in(0, 1)


def lose_one_of_two_partitions(bench: Bench) -> None:
    """While the offsets of both are being sent."""
    other = PartitionTrack("posts", 1, 1)
    bench.add(0)
    bench.add(0, track=other)
    bench.until(State.SENDING)
    bench.publisher.step()
    other.close()
    bench.publisher.drop([other])


def test_a_lost_partition_is_aborted_once_the_call_returns(bench: Bench, hung: threading.Event) -> None:
    """Two calls of one producer at once would be refused."""
    lose_one_of_two_partitions(bench)
    assert bench.publisher.state is State.ABORTING
    bench.publisher.step()
    assert "abort" not in bench.producer.calls
    hung.set()
    bench.producer.hangs = None
    bench.run()
    assert bench.producer.calls.count("abort") == 1
    bench.assert_all_in(0)


def test_a_lost_partition_is_dropped_though_the_call_never_returns(bench: Bench, hung: threading.Event) -> None:
    lose_one_of_two_partitions(bench)
    bench.clock.sleep(15)
    bench.run()
    assert len(bench.producers) == 2
    bench.assert_all_in(0)


def test_revoking_and_leaving_do_not_wait_for_it(bench: Bench, hung: threading.Event) -> None:
    bench.add(0)
    bench.until(State.SENDING)
    bench.publisher.step()
    began = time.monotonic()
    bench.publisher.finish([bench.track], bench.clock() + 0.01)
    bench.publisher.close()
    assert time.monotonic() - began < 5
    assert bench.broker.visible == []


def test_what_a_call_raises_is_raised_where_it_is_looked_at() -> None:
    def fail() -> None:
        raise KeyError("told to")

    call = AbandonableCall("test")
    call.start(fail)
    with pytest.raises(KeyError):
        call.finished(5)
    call.start(lambda: None)
    assert call.finished(5)
    assert not call.running
