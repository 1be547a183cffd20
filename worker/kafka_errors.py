"""Errors of Kafka: their codes, and asking again while they pass."""

from collections.abc import Set

from confluent_kafka import KafkaError, KafkaException
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

_ASK_AGAIN_S = 0.2


def code_of(error: BaseException) -> int | None:
    """librdkafka's code; None of what is no error of Kafka."""
    reason = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return reason.code() if isinstance(reason, KafkaError) else None


def asking_again(codes: Set[int], within_s: float) -> Retrying:
    """Calls what it is given until none of these codes is raised; for so long, then the last error comes out."""
    return Retrying(
        retry=retry_if_exception(lambda error: code_of(error) in codes),
        wait=wait_fixed(_ASK_AGAIN_S),
        stop=stop_after_delay(within_s),
        reraise=True,
    )
