"""Law 1: where reading starts is decided in the open; posts that expired unread stop their partition."""

from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from tests.unit.moderation.clients import Broker, Clock, FakeConsumer, failure
from worker.moderation.starts import StartOffsets
from worker.settings import KafkaSettings

POSTS = ("posts", 0)


class Found:
    def __init__(self, offset: int) -> None:
        self.offset = offset


class Admin:
    """Answers the look-ups (earliest, latest, by time: the order in which they are asked) when told to."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def list_offsets(self, request: dict[TopicPartition, object]) -> dict[TopicPartition, Future[Any]]:
        self.asked.append(Future())
        return dict.fromkeys(request, self.asked[-1])

    def answer(self, *offsets: int | BaseException) -> None:
        for future, found in zip(self.asked, offsets, strict=True):
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(Found(found))
        self.asked.clear()


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.clock, self.admin, self.broker = Clock(), Admin(), Broker()
        self.consumer = FakeConsumer(self.broker)
        self.starts = StartOffsets(lambda: self.admin, KafkaSettings(**settings), self.clock)  # type: ignore[arg-type,return-value]
        self.starts.want(POSTS)
        assert self.found() == []

    def found(self) -> list[int]:
        return [start.offset for start in self.starts.found(self.consumer)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("start_from", "offset"), [("earliest", 10), ("latest", 90)])
def test_a_new_group_starts_where_the_settings_say(start_from: str, offset: int) -> None:
    bench = Bench(start_from=start_from)
    bench.admin.answer(10, 90)
    assert bench.found() == [offset]
    assert bench.found() == []


@pytest.mark.parametrize(("at_time", "offset"), [(40, 40), (3, 10), (-1, 90)])
def test_a_new_group_starts_at_a_time(at_time: int, offset: int) -> None:
    bench = Bench(start_from=datetime(2026, 11, 24, tzinfo=UTC))
    bench.admin.answer(10, 90, at_time)
    assert bench.found() == [offset]


def test_posts_that_expired_unread_stop_the_partition_and_are_counted() -> None:
    bench = Bench()
    bench.broker.offsets[POSTS] = 4
    bench.admin.answer(10, 90)
    assert bench.found() == []
    assert "6 posts" in bench.starts.stopped[POSTS]
    bench.starts.forget(POSTS)
    assert bench.starts.stopped == {}


def test_a_log_that_ends_before_the_offset_stops_the_partition() -> None:
    bench = Bench()
    bench.broker.offsets[POSTS] = 400
    bench.admin.answer(10, 90)
    assert bench.found() == []
    assert "ends at 90" in bench.starts.stopped[POSTS]


def test_going_on_without_the_expired_needs_a_setting() -> None:
    bench = Bench(on_expired="continue")
    bench.broker.offsets[POSTS] = 4
    bench.admin.answer(10, 90)
    assert bench.found() == [10]
    assert bench.starts.stopped == {}


@pytest.mark.parametrize("where", ["low", "high", "committed"])
def test_what_cannot_be_looked_up_yet_is_asked_again_later(where: str) -> None:
    bench = Bench()
    if where == "committed":
        bench.consumer.script.append(failure())
    bench.admin.answer(failure() if where == "low" else 10, failure() if where == "high" else 90)
    assert bench.found() == []
    assert bench.found() == []
    assert bench.admin.asked == []  # not before a pause
    bench.clock.sleep(1.1)
    assert bench.found() == []
    bench.admin.answer(10, 90)
    assert bench.found() == [10]


def test_a_partition_that_is_gone_is_not_started() -> None:
    bench = Bench()
    bench.starts.forget(POSTS)
    bench.admin.answer(10, 90)
    assert bench.found() == []
