"""What a broker says of a topic's partitions: which there are, and where they begin and end."""

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from worker.errors import ConfigurationError

_ANSWER_S = 20.0
_ASK_AGAIN_S = 0.2
_LEADER_MOVES = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})


def _leader_moves(error: BaseException) -> bool:
    reason = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return isinstance(reason, KafkaError) and reason.code() in _LEADER_MOVES


# librdkafka looks for the new leader and says the error all the same: a topic that was just made, a broker that leaves.
_once_led = retry(
    retry=retry_if_exception(_leader_moves),
    wait=wait_fixed(_ASK_AGAIN_S),
    stop=stop_after_delay(_ANSWER_S),
    reraise=True,
)


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """The partitions of a topic. ConfigurationError if there is no such topic."""
    # All topics are asked for: asking for one by name would make some brokers create it.
    known = consumer.list_topics(timeout=_ANSWER_S).topics.get(topic)
    if known is None:
        raise ConfigurationError(f"topic {topic} does not exist, or the principal lacks READ on it")
    return sorted(known.partitions)


@_once_led
def watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """First offset that is there, and the end for readers of committed records. KafkaException without an answer."""
    answer = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_S)
    if answer is None:
        raise KafkaException(f"no answer about {topic}[{partition}] within {_ANSWER_S:g} s")
    return answer


@_once_led
def offsets_at(consumer: Consumer, topic: str, partitions: Sequence[int], time_ms: int) -> dict[int, int | None]:
    """The first record at or after a time (milliseconds since the epoch) in each partition; None where none is."""
    # Below zero a time has another meaning to the broker.
    asked = [TopicPartition(topic, partition, max(0, time_ms)) for partition in partitions]
    found: dict[int, int | None] = {}
    for answer in consumer.offsets_for_times(asked, timeout=_ANSWER_S):
        if answer.error is not None:
            raise KafkaException(answer.error)
        found[answer.partition] = answer.offset if answer.offset >= 0 else None
    return found
