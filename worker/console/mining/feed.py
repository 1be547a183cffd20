"""The outcome topics from where the store left off, as batches. Partitions are assigned by hand: no group is joined."""

import logging
import time
from collections import Counter
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from worker.console.mining.intake import Batch, Intake, Read, moved
from worker.console.store import Store, arrivals
from worker.console.store.arrivals import Place
from worker.errors import ConfigurationError
from worker.partitions import partitions_of, watermarks
from worker.replay.reader import config_of
from worker.settings import Settings
from worker.topics import text_of

log = logging.getLogger(__name__)

GROUP = "proguard-console"
_AT_ONCE = 1000
_SLICE_S = 0.1
_LOOKED_EVERY_S = 60.0
_LASTING = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART})


class Feed:
    """One consumer. Not for several threads. Raises ConfigurationError where a topic is missing or must not be read."""

    def __init__(
        self, settings: Settings, store: Store, intake: Intake, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """clock: monotonic seconds."""
        topics = settings.topics
        self._topics = (topics.verdicts, topics.risks, topics.retraining, topics.reviews)
        self._intake = intake
        self._clock = clock
        self._consumer = Consumer(config_of(settings, GROUP) | {"enable.partition.eof": True})
        with store.reading() as session:
            self._next = arrivals.offsets_of(session, self._topics)
        self._read: set[Place] = set()
        self._reached: dict[Place, int] = {}
        self.expired = Counter[str]()
        self._looked_at = 0.0
        self._begins: dict[Place, int] = {}
        self._look()

    def fill(self, batch: Batch, most: int) -> None:
        """Add what is there, up to about `most` records in the batch, waiting no longer than a tenth of a second."""
        if self._clock() - self._looked_at >= _LOOKED_EVERY_S:
            self._look_again()
        for message in self._consumer.consume(min(_AT_ONCE, max(1, most - batch.records)), _SLICE_S):
            self._take(batch, message)

    def taken(self, batch: Batch) -> None:
        """The batch is in the store."""
        self._begins |= {place: go_on for place, (_, go_on) in batch.arrivals.offsets.items()}

    def lag(self) -> dict[str, int]:
        """By topic, records not read yet, of partitions whose end the last fetches told; nobody is asked."""
        found: dict[str, int] = {}
        for place in self._read:
            answer = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if answer is not None and answer[1] >= 0:
                # Markers of transactions take offsets too: at the end of a partition all of them are passed.
                there = max(self._next[place], self._reached.get(place, 0))
                found[place.topic] = found.get(place.topic, 0) + max(0, answer[1] - there)
        return found

    def close(self) -> None:
        """Let go; nothing is committed in Kafka."""
        self._consumer.close()

    def _take(self, batch: Batch, message: Message) -> None:
        place = Place(message.topic() or "", message.partition() or 0)
        offset = message.offset() or 0
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._reached[place] = offset
            else:
                self._on_error(place, error)
            return
        if place not in self._next or offset < self._next[place]:
            return
        self._next[place] = offset + 1
        key = message.key()
        read = Read(*place, offset, key if isinstance(key, bytes) else None, message.value(), message.timestamp()[1])
        self._intake.add(batch, read)
        moved(batch.arrivals.offsets, self._begins, read)

    def _look_again(self) -> None:
        """A broker that is away for a while is no reason to end: what is assigned goes on by itself."""
        try:
            self._look()
        except KafkaException as error:
            self._looked_at = self._clock()
            log.warning("mining goes on where it was once the broker answers: %s", text_of(error))

    def _look(self) -> None:
        """Read partitions that are new to us: from the store's offset, or from the first that is there."""
        found = [Place(topic, number) for topic in self._topics for number in partitions_of(self._consumer, topic)]
        self._looked_at = self._clock()
        for place in found:
            if place not in self._read:
                self._begin(place)
                self._consumer.incremental_assign([TopicPartition(*place, self._next[place])])
                self._read.add(place)

    def _begin(self, place: Place) -> None:
        low, high = watermarks(self._consumer, *place)
        was = self._next.setdefault(place, low)
        self._begins.setdefault(place, was)
        if was > high:
            raise ConfigurationError(
                f"{place.topic}[{place.partition}] ends at {high}, but the store has read up to {was}: "
                "this is another topic than the one that was mined, use a store of its own"
            )
        if was < low:
            log.error("%s[%d]: %d records expired before they were mined", *place, low - was)
            self.expired[place.topic] += low - was
            self._next[place] = low

    def _on_error(self, place: Place, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._consumer.incremental_unassign([TopicPartition(*place)])
            self._read.discard(place)
            self._look_again()
        elif error.code() in _LASTING:
            raise ConfigurationError(f"topic {place.topic} cannot be read: {error.str()}")
        elif error.fatal():
            raise KafkaException(error)
        elif error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:  # no group is used
            log.warning("mining: %s", error.str())
