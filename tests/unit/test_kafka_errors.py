"""Codes of Kafka's errors, and asking again while they pass."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from worker.kafka_errors import asking_again, code_of

PASSES = frozenset({KafkaError.NOT_COORDINATOR})


class Broker:
    """Answers with these errors first."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return "answer"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KafkaException(KafkaError(KafkaError.NOT_COORDINATOR)), KafkaError.NOT_COORDINATOR),
        (KafkaException("words"), None),
        (KafkaException(), None),
        (ValueError(KafkaError(KafkaError.NOT_COORDINATOR)), None),
    ],
)
def test_codes(error: Exception, code: int | None) -> None:
    assert code_of(error) == code


def test_what_passes_is_asked_again() -> None:
    broker = Broker(KafkaError.NOT_COORDINATOR)
    assert asking_again(PASSES, 5)(broker.ask) == "answer"
    assert broker.asked == 2


@pytest.mark.parametrize(("code", "within_s"), [(KafkaError.TOPIC_AUTHORIZATION_FAILED, 5), (*PASSES, 0)])
def test_what_does_not_pass_comes_out_as_it_is(code: int, within_s: float) -> None:
    broker = Broker(code, code)
    with pytest.raises(KafkaException) as said:
        asking_again(PASSES, within_s)(broker.ask)
    assert (code_of(said.value), broker.asked) == (code, 1)
