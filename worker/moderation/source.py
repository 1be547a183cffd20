"""Where records come from: one Kafka consumer. Thin on purpose, so that another source (share groups) can take its place.

All calls are made by the stream's thread. Callbacks run inside poll().
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from worker.settings import KafkaSettings

log = logging.getLogger(__name__)

_RETRY_S = 1.0
_LOOKUP_S = 0.05


class AssignmentListener(Protocol):
    """What the stream does when partitions come and go. None of these may block longer than the revoke timeout."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> bool:
        """Ours from now on. True if they must start paused."""
        ...

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Going to another owner once this returns."""
        ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Another owner may have them already."""
        ...

    def starts_at(self, partition: TopicPartition) -> None:
        """A partition without a committed offset begins here; that has to be committed."""
        ...


class Source:
    """Consumer of the posts topic. auto.offset.reset is `error`: where reading starts is decided here, in the open."""

    def __init__(
        self,
        config: dict[str, object],
        topic: str,
        settings: KafkaSettings,
        listener: AssignmentListener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = Consumer(config)
        self._settings = settings
        self._listener = listener
        self._clock = clock
        self._unplaced: dict[tuple[str, int], float] = {}
        self.stopped: dict[tuple[str, int], str] = {}
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    @property
    def consumer(self) -> Consumer:
        """For group metadata, committed offsets and offset commits by the publisher."""
        return self._consumer

    def poll(self, count: int, timeout_s: float) -> list[Message]:
        """Up to count records; serves rebalances. Errors of partitions are dealt with here."""
        records: list[Message] = []
        for message in self._consumer.consume(count, timeout_s):
            error = message.error()
            if error is None:
                records.append(message)
            else:
                self._on_error(message, error)
        if self._unplaced:
            self._place()
        return records

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching; records already prefetched are thrown away and fetched again after resume."""
        self._consumer.pause(list(partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch again."""
        self._consumer.resume(list(partitions))

    def close(self) -> None:
        """Leave the group; revoked() is called for what is still assigned."""
        self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not partitions:
            return
        consumer.incremental_assign(partitions)
        if self._listener.assigned(partitions):
            consumer.pause(partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)
        self._listener.revoked(partitions)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)
        self._listener.lost(partitions)
        consumer.incremental_unassign(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            key = (partition.topic, partition.partition)
            self._unplaced.pop(key, None)
            self.stopped.pop(key, None)

    def _on_error(self, message: Message, error: KafkaError) -> None:
        topic, partition = message.topic(), message.partition()
        if error.code() == KafkaError._AUTO_OFFSET_RESET and topic is not None and partition is not None:
            self._unplaced[topic, partition] = self._clock()
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("consumer: %s", error.str())

    def _place(self) -> None:
        """Give partitions without a usable offset a place to start, one short look-up at a time."""
        now = self._clock()
        for (topic, partition), due in list(self._unplaced.items()):
            if due > now:
                continue
            try:
                start = self._start(TopicPartition(topic, partition))
            except KafkaException as error:
                log.info("start of %s[%d] is not known yet: %s", topic, partition, error.args[0].str())
                self._unplaced[topic, partition] = now + _RETRY_S
                continue
            del self._unplaced[topic, partition]
            if start is not None:
                self._consumer.incremental_unassign([TopicPartition(topic, partition)])
                self._consumer.incremental_assign([start])
                self._listener.starts_at(start)

    def _start(self, partition: TopicPartition) -> TopicPartition | None:
        """Where to start; None if the partition stays stopped because posts expired unread."""
        low, high = self._consumer.get_watermark_offsets(partition, _LOOKUP_S)
        committed = self._consumer.committed([partition], _LOOKUP_S)[0]
        if committed.error is not None:
            raise KafkaException(committed.error)
        if committed.offset >= 0:
            return self._expired(partition, committed.offset, low, high)
        timestamp = self._settings.start_timestamp_ms()
        offset = low if self._settings.start_from == "earliest" else high
        if timestamp is not None:
            found = self._consumer.offsets_for_times(
                [TopicPartition(partition.topic, partition.partition, timestamp)], _LOOKUP_S
            )[0]
            if found.error is not None:
                raise KafkaException(found.error)
            offset = high if found.offset in {OFFSET_END, -1} else max(found.offset, low)
        log.info("%s[%d] has no offset in this group: starts at %d", partition.topic, partition.partition, offset)
        return TopicPartition(partition.topic, partition.partition, offset)

    def _expired(self, partition: TopicPartition, committed: int, low: int, high: int) -> TopicPartition | None:
        name = f"{partition.topic}[{partition.partition}]"
        if committed < low:
            what = f"{low - committed} posts of {name} expired before they were read (offsets {committed} to {low - 1})"
        else:
            what = f"{name} ends at {high}, before the committed offset {committed}: was the topic made anew?"
        if self._settings.on_expired == "continue":
            log.error("%s; going on, as kafka.on_expired says", what)
            return TopicPartition(partition.topic, partition.partition, low)
        self.stopped[partition.topic, partition.partition] = what
        log.error('%s; this partition is stopped. Set kafka.on_expired = "continue" to go on without them', what)
        return None
