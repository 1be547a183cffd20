"""What a broker says of a topic's partitions: which there are, and where they begin and end."""

from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from worker.errors import ConfigurationError
from worker.kafka_errors import asking_again

_ANSWER_S = 20.0
_MOVES_WITHIN_S = 5.0
# A leader that moves, and one that is new: it has not caught up, or not heard of the topic yet.
_PASSES = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """The partitions of a topic. ConfigurationError if there is no such topic, KafkaException without an answer."""
    # All topics are asked for: asking for one by name would make some brokers create it.
    known = consumer.list_topics(timeout=_ANSWER_S).topics.get(topic)
    if known is None:
        raise ConfigurationError(f"topic {topic} does not exist, or the principal lacks READ on it")
    return sorted(known.partitions)


def watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """First offset that is there, and the end for the consumer's isolation level. KafkaException without an answer.

    get_watermark_offsets asks for both at once, and where only its first question fails it says that all has expired.
    """
    low, high = (_ask(consumer, [TopicPartition(topic, partition, at)]) for at in (OFFSET_BEGINNING, OFFSET_END))
    return low[partition], high[partition]


def offsets_at(consumer: Consumer, topic: str, partitions: Sequence[int], time_ms: int) -> dict[int, int | None]:
    """The first record at or after a time (milliseconds since the epoch) in each partition; None where none is.

    KafkaException without an answer.
    """
    # Below zero a time has another meaning to the broker.
    found = _ask(consumer, [TopicPartition(topic, partition, max(0, time_ms)) for partition in partitions])
    return {partition: offset if offset >= 0 else None for partition, offset in found.items()}


def _ask(consumer: Consumer, places: Sequence[TopicPartition]) -> dict[int, int]:
    """By partition of the one topic, the offset that the broker finds."""
    # librdkafka looks for the new leader, and says the error all the same.
    return asking_again(_PASSES, _MOVES_WITHIN_S)(_ask_once, consumer, places)


def _ask_once(consumer: Consumer, places: Sequence[TopicPartition]) -> dict[int, int]:
    found = {}
    for answer in consumer.offsets_for_times(list(places), timeout=_ANSWER_S):
        if answer.error is not None:
            raise KafkaException(answer.error)
        found[answer.partition] = answer.offset
    return found
