"""Bounds as people write them, the offsets they mean, and what is said of those that are gone."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, TopicPartition

from worker.errors import ConfigurationError
from worker.replay.ranges import Bound, Range, Resolved, parse_bound, resolve, since

TIME = datetime(2026, 11, 24, 8, tzinfo=UTC)
MS = int(TIME.timestamp() * 1000)


class Log:
    """What a broker says of a topic of two partitions; times[partition] is the offset at TIME, -1 behind the end."""

    def __init__(self, low: tuple[int, int] = (0, 0), high: tuple[int, int] = (10, 20)) -> None:
        self.low, self.high = low, high
        self.times = {0: 4, 1: -1}

    def list_topics(self, timeout: float) -> Any:
        topic = type("Topic", (), {"partitions": {0: None, 1: None}})
        return type("Metadata", (), {"topics": {"posts": topic}})

    def offsets_for_times(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        found = {OFFSET_BEGINNING: self.low, OFFSET_END: self.high, MS: (self.times[0], self.times[1])}
        return [TopicPartition(each.topic, each.partition, found[each.offset][each.partition]) for each in asked]


def resolved(log: Log, first: Bound | None = None, until: Bound | None = None, *partitions: int) -> Resolved:
    return resolve(cast(Consumer, log), "posts", partitions, first, until)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("0", 0),
        ("12345", 12345),
        ("2026-11-24T08:00:00Z", TIME),
        ("2026-11-24T09:00:00+01:00", TIME),
    ],
)
def test_bounds(text: str, bound: Bound) -> None:
    assert parse_bound(text) == bound


@pytest.mark.parametrize("text", ["", "-1", "yesterday", "2026-11-24T08:00:00", "2026-11-24", "٣", "1.5"])
def test_what_is_no_bound(text: str) -> None:
    with pytest.raises(ValueError, match="neither an offset nor"):
        parse_bound(text)


def test_without_bounds_everything_is_meant() -> None:
    assert resolved(Log()) == Resolved((Range(0, 0, 10), Range(1, 0, 20)), ())


def test_offsets_hold_for_each_partition_and_the_end_is_without() -> None:
    assert resolved(Log(), 8, 10).ranges == (Range(0, 8, 10), Range(1, 8, 10))
    assert resolved(Log(), 5, 6, 1).ranges == (Range(1, 5, 6),)
    assert resolved(Log(), 12).ranges == (Range(1, 12, 20),)


def test_times_mean_the_first_record_at_or_after_them() -> None:
    assert resolved(Log(), TIME).ranges == (Range(0, 4, 10),)
    assert resolved(Log(), None, TIME).ranges == (Range(0, 0, 4), Range(1, 0, 20))


def test_expired_offsets_are_counted() -> None:
    found = resolved(Log(low=(3, 0)), 1, 9)
    assert found.ranges == (Range(0, 3, 9), Range(1, 1, 9))
    assert found.notes == ("posts[0]: 2 records from offset 1 have expired; it begins at 3",)


def test_a_time_before_the_first_record_that_is_left_is_said() -> None:
    notes = resolved(Log(low=(4, 0)), TIME).notes
    assert notes == ("posts[0]: begins at offset 4; what lay before has expired, and may belong to the range",)
    assert resolved(Log(low=(3, 0)), TIME).notes == ()


def test_an_end_that_is_not_there_yet_is_said() -> None:
    found = resolved(Log(), 0, 15)
    assert found.ranges == (Range(0, 0, 10), Range(1, 0, 15))
    assert found.notes == ("posts[0]: ends at offset 10, before 15",)


def test_unknown_partitions_and_topics_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no partition 7"):
        resolved(Log(), None, None, 1, 7)
    with pytest.raises(ConfigurationError, match="topic other does not exist"):
        resolve(cast(Consumer, Log()), "other", (), None, None)


def test_everything_since_a_time() -> None:
    log = cast(Consumer, Log(low=(6, 0)))
    assert since(log, "posts", MS) == [Range(0, 6, 10), Range(1, 20, 20)]
    assert since(log, "posts", None) == [Range(0, 6, 10), Range(1, 0, 20)]
