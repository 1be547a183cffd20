"""What the group of retraining has noted, and noting more: both wait while its coordinator moves or starts."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from worker.errors import ConfigurationError
from worker.kafka_errors import asking_again, code_of
from worker.moderation.startup import may_read_group

_ANSWER_S = 20.0
_BUSY = frozenset(
    {KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR}
)

Value = TypeVar("Value")


def check_group(admin: AdminClient, group: str) -> None:
    """ConfigurationError without READ on the group: librdkafka may wait for its coordinator instead of saying so."""
    if not may_read_group(admin, group):
        raise _lacking(group)


def committed(consumer: Consumer, group: str, places: Sequence[TopicPartition]) -> list[TopicPartition]:
    """The places with the group's offsets, below zero where it has none. Raises ConfigurationError, KafkaException."""
    return _again(group, lambda: _checked(consumer.committed(list(places), timeout=_ANSWER_S)))


def commit(consumer: Consumer, group: str, places: Sequence[TopicPartition]) -> None:
    """Note these offsets; returns when the broker has them. Raises ConfigurationError, KafkaException."""
    _again(group, lambda: _checked(consumer.commit(offsets=list(places), asynchronous=False) or []))


def _again(group: str, ask: Callable[[], Value]) -> Value:
    try:
        return asking_again(_BUSY, _ANSWER_S)(ask)
    except KafkaException as error:
        if code_of(error) == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise _lacking(group) from None
        raise


def _lacking(group: str) -> ConfigurationError:
    return ConfigurationError(f"group {group} (retraining.group_id): the principal lacks READ; grant it on this group")


def _checked(places: list[TopicPartition]) -> list[TopicPartition]:
    for each in places:
        if each.error is not None:
            raise KafkaException(each.error)
    return places
