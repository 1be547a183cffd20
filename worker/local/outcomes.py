"""Reading the outcome topics for the demo: from now on, all partitions, without joining a group."""

import uuid
from dataclasses import dataclass
from typing import TypeAlias

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.dead_letter import DeadLetterHeaders
from schemas.retraining_hit import RetrainingHit
from schemas.risk import Risk
from schemas.verdict import Verdict
from worker.local.tally import Tally
from worker.moderation.client_config import reader_config
from worker.partitions import partitions_of, watermarks
from worker.settings import Settings

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Erasure:
    """A null verdict: the post of this key is erased."""

    key: str


Arrival: TypeAlias = Verdict | DeadLetterHeaders | Erasure


class OutcomeReader:
    """Reads what is published after it was made. Only committed records, as every reader of these topics must."""

    def __init__(self, settings: Settings) -> None:
        """Raises KafkaException if the broker does not answer, ConfigurationError if a topic is not there."""
        self._topics = settings.topics
        group = f"proguard-demo-reader-{uuid.uuid4().hex[:8]}"
        self._consumer = Consumer(reader_config(settings, group))
        self._consumer.assign(
            [
                TopicPartition(topic, partition, watermarks(self._consumer, topic, partition)[1])
                for topic in self._topics.outcomes
                for partition in partitions_of(self._consumer, topic)
            ]
        )

    def read(self, tally: Tally, timeout_s: float) -> list[Arrival]:
        """Wait up to timeout_s for records, note them, return what is new and worth a row."""
        arrivals = [self._note(message, tally) for message in self._consumer.consume(_BATCH, timeout_s)]
        return [arrival for arrival in arrivals if arrival is not None]

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _note(self, message: Message, tally: Tally) -> Arrival | None:
        if (error := message.error()) is not None:
            raise KafkaException(error)
        topic, value = message.topic(), message.value()
        if topic == self._topics.dead_letters:
            headers = dead_letter_headers(message)
            return headers if tally.dead_letter(headers) else None
        if value is None:
            return self._note_erasure(topic, (message.key() or b"").decode(), tally)
        if topic == self._topics.verdicts:
            verdict = Verdict.model_validate_json(value)
            return verdict if tally.verdict(verdict) else None
        if topic == self._topics.risks:
            risk = Risk.model_validate_json(value)
            tally.risks[risk.risk_id] = risk
        else:
            hit = RetrainingHit.model_validate_json(value)
            tally.hits[hit.risk_id] = hit
        return None

    def _note_erasure(self, topic: str | None, key: str, tally: Tally) -> Erasure | None:
        if topic != self._topics.verdicts or key in tally.erased:
            return None
        tally.erased.add(key)
        return Erasure(key)


def dead_letter_headers(message: Message) -> DeadLetterHeaders:
    """The error headers of a dead letter; later values win, so that ours beat those the record came with."""
    headers: list[tuple[str, bytes | None]] = list(message.headers() or [])  # type: ignore[arg-type]
    texts = {name: (value or b"").decode(errors="replace") for name, value in headers}
    return DeadLetterHeaders.model_validate(texts)
