"""Where reading of a partition starts that has no usable offset: decided in the open, never by librdkafka's reset.

Look-ups are futures of an admin client: on the consumer's own connection they would wait behind a long fetch.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

from worker.settings import KafkaSettings

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_COMMITTED_S = 0.05

Partition = tuple[str, int]
Offsets = Future[ListOffsetsResultInfo]


@dataclass(slots=True)
class _Lookup:
    """Earliest, latest and, where start_from is a time, the first offset at or after it."""

    low: Offsets
    high: Offsets
    at_time: Offsets | None

    def done(self) -> bool:
        return self.low.done() and self.high.done() and (self.at_time is None or self.at_time.done())


class StartOffsets:
    """Partitions that wait for a place to start, and those stopped because posts expired unread."""

    def __init__(
        self,
        make_admin: Callable[[], AdminClient],
        settings: KafkaSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_admin = make_admin
        self._admin: AdminClient | None = None
        self._settings = settings
        self._clock = clock
        self._waiting: dict[Partition, tuple[float, _Lookup | None]] = {}
        self.stopped: dict[Partition, str] = {}

    def want(self, partition: Partition) -> None:
        """The consumer reported that this partition has no usable offset."""
        self._waiting[partition] = (self._clock(), None)

    def forget(self, partition: Partition) -> None:
        """The partition is no longer ours."""
        self._waiting.pop(partition, None)
        self.stopped.pop(partition, None)

    def found(self, consumer: Consumer) -> list[TopicPartition]:
        """Partitions whose start is known now. Never blocks longer than one short call a partition."""
        starts: list[TopicPartition] = []
        for partition, (due, lookup) in list(self._waiting.items()):
            if due > self._clock():
                continue
            if lookup is None:
                self._waiting[partition] = (due, self._look_up(partition))
            elif lookup.done():
                self._conclude(consumer, partition, lookup, starts)
        return starts

    def _conclude(
        self, consumer: Consumer, partition: Partition, lookup: _Lookup, starts: list[TopicPartition]
    ) -> None:
        try:
            start = self._start(consumer, partition, lookup)
        except KafkaException as error:
            log.info("start of %s[%d] is not known yet: %s", *partition, error.args[0].str())
            self._waiting[partition] = (self._clock() + _RETRY_S, None)
            return
        del self._waiting[partition]
        if start is not None:
            starts.append(TopicPartition(*partition, start))

    def _look_up(self, partition: Partition) -> _Lookup:
        if self._admin is None:
            self._admin = self._make_admin()
        timestamp = self._settings.start_timestamp_ms()
        return _Lookup(
            self._ask(partition, _EARLIEST),
            self._ask(partition, _LATEST),
            None if timestamp is None else self._ask(partition, OffsetSpec.for_timestamp(timestamp)),
        )

    def _ask(self, partition: Partition, spec: OffsetSpec) -> Offsets:
        assert self._admin is not None
        (future,) = self._admin.list_offsets({TopicPartition(*partition): spec}).values()
        return future

    def _start(self, consumer: Consumer, partition: Partition, lookup: _Lookup) -> int | None:
        """Offset to start at; None if the partition stays stopped. KafkaException: try again."""
        low, high = lookup.low.result().offset, lookup.high.result().offset
        committed = consumer.committed([TopicPartition(*partition)], _COMMITTED_S)[0]
        if committed.error is not None:
            raise KafkaException(committed.error)
        if committed.offset >= 0:
            return self._expired(partition, committed.offset, low, high)
        offset = low if self._settings.start_from == "earliest" else high
        if lookup.at_time is not None:
            at_time = lookup.at_time.result().offset
            offset = high if at_time < 0 else max(at_time, low)
        log.info("%s[%d] has no offset in this group: starts at %d", *partition, offset)
        return offset

    def _expired(self, partition: Partition, committed: int, low: int, high: int) -> int | None:
        name = f"{partition[0]}[{partition[1]}]"
        if low <= committed <= high:  # the log was cut between the committed offset and where we had read to
            log.warning("%s was cut behind offset %d: reading goes on from the committed offset", name, committed)
            return committed
        if committed < low:
            what = f"{low - committed} posts of {name} expired before they were read (offsets {committed} to {low - 1})"
        else:
            what = f"{name} ends at {high}, before the committed offset {committed}: was the topic made anew?"
        if self._settings.on_expired == "continue":
            log.error("%s; going on, as kafka.on_expired says", what)
            return low
        self.stopped[partition] = what
        log.error('%s; this partition is stopped. Set kafka.on_expired = "continue" to go on without them', what)
        return None
