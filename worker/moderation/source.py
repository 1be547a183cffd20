"""Where records come from: one Kafka consumer. Thin, so that another source (share groups) can take its place.

All calls are made by the stream's thread. Callbacks run inside poll().
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from worker.errors import ConfigurationError
from worker.moderation.starts import StartOffsets

log = logging.getLogger(__name__)

# What a record that unpacks above the client's limit looks like, and one that does not fit a fetch.
_UNREADABLE = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG, KafkaError.MSG_SIZE_TOO_LARGE})

# Said once a partition and never again, so a worker that only warned would stand still for ever.
_FORBIDDEN = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})


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


class Records(Protocol):
    """What the stream reads from."""

    @property
    def stopped(self) -> Mapping[tuple[str, int], str]:
        """Partitions that stand still until the operator decides, and why."""
        ...

    def poll(self, count: int, timeout_s: float) -> list[Message]:
        """Up to count records."""
        ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop fetching."""
        ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch again."""
        ...

    def close(self) -> None:
        """Let go of the partitions."""
        ...


class Source:
    """Consumer of the posts topic. auto.offset.reset is `error`: where reading starts is decided here, in the open."""

    def __init__(
        self,
        config: dict[str, Any],
        topic: str,
        starts: StartOffsets,
        listener: AssignmentListener,
    ) -> None:
        self._consumer = Consumer(config)
        self._starts = starts
        self._listener = listener
        self._unreadable: dict[tuple[str, int], str] = {}
        self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    @property
    def consumer(self) -> Consumer:
        """For group metadata, committed offsets and offset commits by the publisher."""
        return self._consumer

    @property
    def stopped(self) -> Mapping[tuple[str, int], str]:
        """Partitions that stand still until the operator decides, and why."""
        return {**self._starts.stopped, **self._unreadable} if self._unreadable else self._starts.stopped

    def poll(self, count: int, timeout_s: float) -> list[Message]:
        """Up to count records; serves rebalances. Errors of partitions are dealt with here."""
        messages = self._consumer.consume(count, timeout_s)
        records = [message for message in messages if message.error() is None]
        if len(records) < len(messages):
            for message in messages:
                if (error := message.error()) is not None:
                    self._on_error(message, error)
        if self._unreadable:
            for message in records:
                self._unreadable.pop((message.topic() or "", message.partition() or 0), None)
        for start in self._starts.found(self._consumer):
            # A seek is refused while the fetcher has no offset at all.
            self._consumer.incremental_unassign([TopicPartition(start.topic, start.partition)])
            self._consumer.incremental_assign([start])
            self._listener.starts_at(start)
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
        _let_go(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions)
        self._listener.lost(partitions)
        _let_go(consumer, partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._starts.forget((partition.topic, partition.partition))
            self._unreadable.pop((partition.topic, partition.partition), None)

    def _on_error(self, message: Message, error: KafkaError) -> None:
        topic, partition = message.topic(), message.partition()
        if error.code() == KafkaError._AUTO_OFFSET_RESET and topic is not None and partition is not None:
            self._starts.want((topic, partition))
        elif error.code() in _UNREADABLE and topic is not None and partition is not None:
            self._note_unreadable((topic, partition), message.offset(), error)
        elif error.code() in _FORBIDDEN:
            raise ConfigurationError(
                f"the broker refuses us the posts: {error.str()}. Grant the principal READ on the posts topic "
                f"({topic}) and on the group (kafka.group_id) again"
            )
        elif error.fatal():
            raise KafkaException(error)
        else:
            log.warning("consumer: %s", error.str())

    def _note_unreadable(self, partition: tuple[str, int], offset: int | None, error: KafkaError) -> None:
        """Said once, and again with each status line: the client tries twice a second for ever."""
        if partition in self._unreadable:
            return
        what = (
            f"{partition[0]}[{partition[1]}] cannot be read on from offset {offset}: {error.str()}. If a record there "
            "is larger once unpacked than receive.message.max.bytes, raise it in kafka.consumer (and above "
            "fetch.message.max.bytes and fetch.max.bytes by 512) and restart; docs/delivery.md"
        )
        self._unreadable[partition] = what
        log.error("stopped: %s", what)


def _let_go(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """What librdkafka refuses to let go is not ours any more either: nothing of it is judged or committed from here on.

    Raised in a rebalance, the refusal would end the process, and as a KafkaError without a trace. Found by
    `python -m benchmarks.faults --seed 3`: coordinator and producer were lost while partitions were being revoked.
    """
    try:
        consumer.incremental_unassign(partitions)
    except KafkaException as error:
        log.warning("partitions were not let go: %s", error.args[0].str())
