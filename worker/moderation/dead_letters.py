"""Dead letters after the fact: find them, show them, send them to the posts topic again."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from pydantic import ValidationError

from schemas.dead_letter import HEADER_PREFIX, REPLAY_HEADER, DeadLetterHeaders
from worker.errors import WorkerError
from worker.moderation.client_config import loader_config, reader_config
from worker.partitions import partitions_of, watermarks
from worker.settings import Settings
from worker.topics import text_of

log = logging.getLogger(__name__)

Header = tuple[str, bytes | None]

_VERSION_HEADER = "proguard.schema-version"
_ANSWER_S = 20.0
_SLICE_S = 0.1
_BATCH = 500
_FLUSH_S = 60.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic. said is None where its headers are not ours.

    headers: those that the record had before it was refused. time_ms: when it was refused, since the epoch.
    """

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    said: DeadLetterHeaders | None

    @property
    def place(self) -> str:
        """Where it lies now: topic:partition:offset."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters. Empty or None means any; topic, partition and offsets are those of the refused record.

    offsets: first and last, both included. since_ms <= time < until_ms, milliseconds since the epoch.
    """

    reasons: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    topic: str | None = None
    partition: int | None = None
    first_offset: int | None = None
    last_offset: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    key: bytes | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is meant. One without our headers matches only where nothing is asked of them."""
        if self.key is not None and letter.key != self.key:
            return False
        if not _within(letter.time_ms, self.since_ms, None if self.until_ms is None else self.until_ms - 1):
            return False
        said = letter.said
        if said is None:
            asked = (self.topic, self.partition, self.first_offset, self.last_offset)
            return not self.reasons and not self.stages and asked == (None, None, None, None)
        return (
            (not self.reasons or said.reason in self.reasons)
            and (not self.stages or said.stage in self.stages)
            and self.topic in (None, said.topic)
            and self.partition in (None, said.partition)
            and _within(said.offset, self.first_offset, self.last_offset)
        )


def _within(value: int, first: int | None, last: int | None) -> bool:
    return (first is None or value >= first) and (last is None or value <= last)


def read(
    settings: Settings, wanted: Selection, limit: int | None = None, last: int | None = None
) -> Iterator[DeadLetter]:
    """Committed dead letters up to the ends of the topic at the start, a partition after the other.

    limit: how many are given at most; last: how many offsets of each partition are looked at, from its end.
    Joins no group and commits nothing. Raises WorkerError if the broker does not answer.
    """
    topic = settings.topics.dead_letters
    group = f"{settings.kafka.group_id}-dead-letters"
    consumer = Consumer({**reader_config(settings, group), "enable.partition.eof": True})
    found = 0
    try:
        for partition in partitions_of(consumer, topic):
            for message in _records(consumer, topic, partition, last):
                letter = parse(message)
                if wanted.matches(letter):
                    yield letter
                    found += 1
                    if found == limit:
                        return
    except KafkaException as error:
        raise WorkerError(f"topic {topic} cannot be read: {text_of(error)}") from None
    finally:
        consumer.close()


def _records(consumer: Consumer, topic: str, partition: int, last: int | None) -> Iterator[Message]:
    """Records of a partition below its end as it is now."""
    start = TopicPartition(topic, partition, OFFSET_BEGINNING)
    low, end = watermarks(consumer, topic, partition)
    if low >= end:
        return
    if last is not None and end - last > low:
        start.offset = end - last
    consumer.assign([start])
    heard = time.monotonic()
    while True:
        messages = consumer.consume(_BATCH, _SLICE_S)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > _ANSWER_S:
            raise WorkerError(f"topic {start.topic}, partition {start.partition}: no answer for {_ANSWER_S:g} s")
        for message in messages:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return
            if error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                continue  # librdkafka looks for the group's coordinator, although no group is joined
            if error is not None:
                raise KafkaException(error)
            if (message.offset() or 0) >= end:
                return
            yield message


def parse(message: Message) -> DeadLetter:
    """A record of the dead-letter topic."""
    given = cast(Sequence[tuple[str, str | bytes | None]], message.headers() or ())
    headers: list[Header] = [(name, _bytes(value)) for name, value in given]
    said: DeadLetterHeaders | None = None
    try:
        # What the record brought along comes first; ours, added last, win.
        said = DeadLetterHeaders.model_validate(
            {name: (value or b"").decode() for name, value in headers if _ours(name)}
        )
    except (ValidationError, UnicodeDecodeError):
        log.debug("a record of the dead-letter topic has other headers than ours")
    return DeadLetter(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time_ms=message.timestamp()[1],
        key=_optional(message.key()),
        value=_optional(message.value()),
        headers=tuple(header for header in headers if not _ours(header[0])),
        said=said,
    )


def _ours(name: str) -> bool:
    return name.startswith(HEADER_PREFIX) or name == _VERSION_HEADER


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _optional(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """sent were acknowledged by the broker; failed were not, the first of them with its error."""

    sent: int
    failed: int
    first_failure: str | None = None


def replay(
    settings: Settings,
    letters: Iterable[DeadLetter],
    max_message_bytes: int,
    on_sent: Callable[[int], None] = lambda sent: None,
) -> ReplayReport:
    """Send dead letters to the posts topic: key, value and headers as they first came, and where they lay since.

    max_message_bytes: largest post of the topic. Idempotent, in the order given; on_sent hears the count so far.
    """
    producer = Producer(loader_config(settings, max_message_bytes))
    sent = failed = 0
    first_failure: str | None = None

    def note(place: str, error: KafkaError | None) -> None:
        nonlocal sent, failed, first_failure
        if error is None:
            sent += 1
            on_sent(sent)
        else:
            failed += 1
            first_failure = first_failure or f"{place}: {error.str()}"

    for letter in letters:
        try:
            _produce(producer, settings.topics.posts, letter, note)
        except KafkaException as error:  # too big for the topic: the others can still go
            note(letter.place, error.args[0])
    left = producer.flush(_FLUSH_S)
    return ReplayReport(sent, failed + left, first_failure or ("the broker does not answer" if left else None))


def _produce(
    producer: Producer, topic: str, letter: DeadLetter, note: Callable[[str, KafkaError | None], None]
) -> None:
    own = [header for header in letter.headers if header[0] != REPLAY_HEADER]
    headers: list[tuple[str, str | bytes | None]] = [*own, (REPLAY_HEADER, letter.place.encode())]
    while True:
        try:
            producer.produce(
                topic,
                value=letter.value,
                key=letter.key,
                headers=headers,
                on_delivery=lambda error, _message: note(letter.place, error),
            )
            break
        except BufferError:
            producer.poll(_SLICE_S)
    producer.poll(0)
