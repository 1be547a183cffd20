"""What the stream needs of a publisher, and what both kinds share."""

import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from worker.errors import ConfigurationError
from worker.moderation.partitions import PartitionTrack, Slot
from worker.telemetry.telemetry import Telemetry

# No call into librdkafka may block the stream's thread for longer.
SLICE_S = 0.05
_PRODUCE_AT_ONCE = 2000
_METADATA_MAGIC = b"CGMDv2:"


class Publisher(Protocol):
    """Publishes outcomes in order and commits their offsets. All calls are made by the stream's thread."""

    @property
    def ready(self) -> bool:
        """Whether the producer has been initialised."""
        ...

    @property
    def unconfirmed(self) -> int:
        """Outcomes held until their commit is confirmed."""
        ...

    def add(self, slot: Slot) -> None:
        """The next finished slot of its partition. Its outcome stays here until the commit is confirmed."""
        ...

    def step(self, *, commit_now: bool = False) -> None:
        """Do what can be done within one slice. Raises WorkerError when going on is pointless."""
        ...

    def finish(self, tracks: Sequence[PartitionTrack], deadline: float) -> None:
        """Commit what was added of these partitions, until `deadline` on the clock at the latest."""
        ...

    def drop(self, tracks: Sequence[PartitionTrack]) -> None:
        """Forget closed partitions; what of them is not committed must never be seen by a reader."""
        ...

    def close(self) -> None:
        """Abort what is open and let go of the producer."""
        ...


def produce(producer: Producer, queue: deque[Slot], sent: list[Slot], telemetry: Telemetry | None = None) -> bool:
    """Move slots from queue to sent through the producer; False when its buffer is full. At most a bounded number."""
    for _ in range(min(len(queue), _PRODUCE_AT_ONCE)):
        slot = queue[0]
        assert slot.outcome is not None
        records = slot.outcome.records
        while slot.produced < len(records):
            topic, key, value, headers = records[slot.produced]
            try:
                producer.produce(topic, value, key, headers=headers)
            except BufferError:
                if not len(producer):  # nothing will make room: without this everything would wait behind it for ever
                    raise ConfigurationError(
                        f"an outcome of {slot.outcome.size} bytes does not fit the producer's buffer: raise "
                        "kafka.producer.queue.buffering.max.kbytes"
                    ) from None
                return False
            except KafkaException as error:
                if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise ConfigurationError(f"an outcome does not fit topic {topic}: {error.args[0].str()}") from error
                raise
            slot.produced += 1
            if telemetry is not None:
                telemetry.sent[topic] += 1
        queue.popleft()
        sent.append(slot)
    return True


def confirm(slots: Iterable[Slot], telemetry: Telemetry) -> None:
    """The outcomes and offsets of these slots are committed."""
    tallies = []
    for slot in slots:
        outcome = slot.outcome
        assert outcome is not None
        slot.track.confirm(slot)
        if outcome.tally is not None:
            tallies.append(outcome.tally)
        if outcome.trace is not None:
            outcome.trace.published()
    telemetry.outcomes.update(tallies)


def take_back(queue: deque[Slot], sent: list[Slot]) -> None:
    """What was sent in vain goes to the front of the queue again, in order, without partitions that are gone."""
    if queue:
        queue[0].produced = 0  # its first records may have been sent too
    kept = [slot for slot in sent if not slot.track.closed]
    for slot in kept:
        slot.produced = 0
    queue.extendleft(reversed(kept))
    sent.clear()


def next_offsets(slots: Iterable[Slot]) -> list[TopicPartition]:
    """The position after the last slot of each partition that is still ours."""
    last: dict[tuple[str, int], int] = {}
    for slot in slots:
        if not slot.track.closed:
            last[slot.track.key] = slot.offset + 1
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in last.items()]


def is_member(metadata: object) -> bool:
    """Whether group metadata names a member, so that the broker can fence a commit by it.

    A consumer that was thrown out of its group has metadata without a member until the application hears of the loss,
    and a broker accepts a transactional commit without a member unchecked (for clients older than KIP-447): sending it
    could commit for partitions that another worker has by now.
    """
    if not isinstance(metadata, bytes) or not metadata.startswith(_METADATA_MAGIC):
        return True  # a librdkafka with another format: its own checks have to do
    (generation,) = struct.unpack_from("=i", metadata, len(_METADATA_MAGIC))
    _group, member, *_rest = metadata[len(_METADATA_MAGIC) + 4 :].split(b"\0")
    return generation >= 0 and bool(member)
