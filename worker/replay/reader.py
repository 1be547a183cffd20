"""Reads fixed ranges of a topic, and nothing beyond: partitions are assigned by hand, so no group is joined."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from worker.errors import ConfigurationError, WorkerError
from worker.moderation.client_config import FETCH_MAX_BYTES, QUEUED_MAX_KIBIBYTES, reader_config
from worker.partitions import watermarks
from worker.replay.ranges import Range
from worker.settings import Settings

log = logging.getLogger(__name__)

_AT_ONCE = 5000
_SLICE_S = 0.1
_SILENCE_S = 60.0
_LASTING = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART})
# librdkafka looks for the group's coordinator although reading needs none; who commits checks that right by itself.
_NOT_SAID = frozenset({KafkaError._PARTITION_EOF, KafkaError.GROUP_AUTHORIZATION_FAILED})


def config_of(settings: Settings, group: str) -> dict[str, Any]:
    """librdkafka's configuration of a Reader; group names where offsets may be committed."""
    config = reader_config(settings, group)
    for key, bound in (("queued.max.messages.kbytes", QUEUED_MAX_KIBIBYTES), ("fetch.max.bytes", FETCH_MAX_BYTES)):
        config.setdefault(key, bound)
    return config | {"auto.offset.reset": "error", "enable.partition.eof": True}


class Reader:
    """Committed records of ranges. Not for several threads."""

    def __init__(self, consumer: Consumer, topic: str, ranges: Iterable[Range]) -> None:
        """Takes over the assignment of the consumer, not the consumer itself."""
        self._consumer = consumer
        self._topic = topic
        self._next = {each.partition: each.start for each in ranges}
        self._end = {each.partition: each.end for each in ranges}
        self.expired = 0
        self._consumer.incremental_assign([self._at(*place) for place in self._next.items()])

    @property
    def complete(self) -> bool:
        """Whether every range was read to its end."""
        return not self._next

    @property
    def open(self) -> frozenset[int]:
        """The partitions that are still read."""
        return frozenset(self._next)

    def consume(self, count: int, timeout_s: float) -> list[Message]:
        """Up to count records of the ranges, each once. ConfigurationError where reading is not allowed."""
        records = []
        for message in self._consumer.consume(count, timeout_s):
            error = message.error()
            if error is not None:
                self._on_error(message.partition(), error)
            elif self._take(message):
                records.append(message)
        return records

    def finish(self, partition: int) -> None:
        """Read no more of a partition."""
        if self._next.pop(partition, None) is not None:
            self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])

    def finish_all(self) -> None:
        """Read no more, so that the consumer is free for other ranges."""
        for partition in list(self._next):
            self.finish(partition)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching from partitions that are still read."""
        self._consumer.pause(list(partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch from them again."""
        self._consumer.resume(list(partitions))

    def _at(self, partition: int, offset: int) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)

    def _take(self, message: Message) -> bool:
        partition, offset = message.partition() or 0, message.offset() or 0
        if partition not in self._next or offset < self._next[partition]:
            return False  # beyond the end, or fetched again after a pause
        inside = offset < self._end[partition]
        self._next[partition] = offset + 1
        if offset + 1 >= self._end[partition]:
            self.finish(partition)
        return inside

    def _on_error(self, partition: int | None, error: KafkaError) -> None:
        if partition in self._next and error.code() == KafkaError._PARTITION_EOF:
            self.finish(partition)
        elif partition in self._next and error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._skip_expired(partition)
        elif error.code() in _LASTING:
            raise ConfigurationError(f"topic {self._topic} cannot be read: {error.str()}")
        elif error.fatal():
            raise KafkaException(error)
        elif error.code() not in _NOT_SAID:
            log.warning("reader of %s: %s", self._topic, error.str())

    def _skip_expired(self, partition: int) -> None:
        """The log was cut above what we were to read next."""
        was, end = self._next[partition], self._end[partition]
        low, _high = watermarks(self._consumer, self._topic, partition)
        now = min(max(low, was), end)
        self.expired += now - was
        log.error("%s[%d]: %d records expired while they were waited for", self._topic, partition, now - was)
        self.finish(partition)
        if now < end:
            self._next[partition] = now
            self._consumer.incremental_assign([self._at(partition, now)])


def read(
    consumer: Consumer,
    topic: str,
    ranges: Sequence[Range],
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Message]:
    """All committed records of ranges, each partition in order. WorkerError if the broker falls silent.

    Ends early once stopped() is true. The consumer is free again afterwards, however this ends.
    """
    reader = Reader(consumer, topic, [each for each in ranges if each.size > 0])
    heard = clock()
    try:
        while not reader.complete and not stopped():
            left = len(reader.open)
            records = reader.consume(_AT_ONCE, _SLICE_S)
            if records or len(reader.open) < left:
                heard = clock()
            elif clock() - heard > _SILENCE_S:
                raise WorkerError(f"topic {topic}: no answer from the broker for {_SILENCE_S:g} s")
            yield from records
    finally:
        reader.finish_all()
