"""Which records are judged again: bounds as people write them, and the offsets that they mean on the broker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Consumer

from worker.errors import ConfigurationError
from worker.partitions import offsets_at, partitions_of, watermarks

Bound = int | datetime


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets of one partition: from start up to, and without, end."""

    partition: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Offsets in it. Transaction markers are among them, so there may be fewer records."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Resolved:
    """Ranges as they are now, those without an offset left out, and notes on what of them cannot be had."""

    ranges: tuple[Range, ...]
    notes: tuple[str, ...]


def parse_bound(text: str) -> Bound:
    """An offset, or an RFC 3339 time with an offset from UTC; ValueError if it is neither."""
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"{text!r} is neither an offset nor an RFC 3339 time with an offset")
    return time


def resolve(
    consumer: Consumer, topic: str, partitions: Sequence[int], first: Bound | None, until: Bound | None
) -> Resolved:
    """The offsets from first up to, and without, until; None is what is there now.

    A time means the first record at or after it, as the broker finds it. partitions: none given means all. Raises
    ConfigurationError for a partition that does not exist, and KafkaException if the broker does not answer.
    """
    existing = partitions_of(consumer, topic)
    if unknown := sorted(set(partitions) - set(existing)):
        raise ConfigurationError(f"topic {topic} has no partition {', '.join(map(str, unknown))}")
    wanted = sorted(set(partitions) or existing)
    starts, ends = _offsets(consumer, topic, wanted, first), _offsets(consumer, topic, wanted, until)
    ranges, notes = [], []
    for partition in wanted:
        low, high = watermarks(consumer, topic, partition)
        start, end = starts[partition], ends[partition]
        notes += _notes(f"{topic}[{partition}]", first, until, low, high, start)
        start = max(low, low if first is None else high if start is None else start)
        end = high if end is None else min(end, high)
        if start < end:
            ranges.append(Range(partition, start, end))
    return Resolved(tuple(ranges), tuple(notes))


def since(consumer: Consumer, topic: str, time_ms: int | None) -> list[Range]:
    """Everything in all partitions from a time (milliseconds since the epoch; None: from the beginning) until now."""
    partitions = partitions_of(consumer, topic)
    starts: dict[int, int | None] = dict.fromkeys(partitions)
    if time_ms is not None:
        starts = offsets_at(consumer, topic, partitions, time_ms)
    ranges = []
    for partition in partitions:
        low, high = watermarks(consumer, topic, partition)
        start = starts[partition]
        begin = low if time_ms is None else high if start is None else max(low, start)
        ranges.append(Range(partition, begin, high))
    return ranges


def _offsets(consumer: Consumer, topic: str, partitions: Sequence[int], bound: Bound | None) -> dict[int, int | None]:
    """The offset that a bound means in each partition; None where it means the end, or is none."""
    if isinstance(bound, datetime):
        return offsets_at(consumer, topic, partitions, int(bound.timestamp() * 1000))
    return dict.fromkeys(partitions, bound)


def _notes(name: str, first: Bound | None, until: Bound | None, low: int, high: int, start: int | None) -> list[str]:
    notes = []
    if isinstance(first, int) and first < low:
        notes.append(f"{name}: {low - first} records from offset {first} have expired; it begins at {low}")
    elif not isinstance(first, int) and low > 0 and (first is None or (start is not None and start <= low)):
        notes.append(f"{name}: begins at offset {low}; what lay before has expired, and may belong to the range")
    if isinstance(until, int) and until > high:
        notes.append(f"{name}: ends at offset {high}, before {until}")
    return notes
