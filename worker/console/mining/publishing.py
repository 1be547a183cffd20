"""Reviews from the store to their topic. A record may be sent twice, under the same id; none is lost."""

import random
from collections.abc import Callable
from datetime import datetime

from confluent_kafka import KafkaError, Producer

from schemas import cloudevents
from worker.console.store import Store, reviewing
from worker.moderation.client_config import BROKER_MAX_MESSAGE_BYTES, loader_config
from worker.moderation.tracing import new_traceparent
from worker.settings import Settings

_FLUSH_S = 10.0


class ReviewPublisher:
    """One producer. clock: aware UTC times."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], datetime]) -> None:
        self._topic = settings.topics.reviews
        self._source = settings.topics.posts
        self._store = store
        self._clock = clock
        self._producer = Producer(loader_config(settings, BROKER_MAX_MESSAGE_BYTES))

    def publish(self) -> int:
        """Send what the topic does not have yet; how many the broker has confirmed. Raises StoreError."""
        with self._store.reading() as session:
            rows = reviewing.unpublished(session)
        if not rows:
            return 0
        confirmed: list[str] = []
        for row in rows:
            record = reviewing.as_record(row)
            subject = record.cluster or record.post or record.review_id
            headers = cloudevents.headers(
                *(cloudevents.REVIEW_TYPE, record.review_id, self._source, subject, record.reviewed_at.isoformat()),
                new_traceparent(random.getrandbits),
            )
            value = record.model_dump_json().encode()
            noted = _noting(confirmed, record.review_id)
            self._producer.produce(self._topic, value, record.review_id.encode(), headers=headers, on_delivery=noted)
        self._producer.flush(_FLUSH_S)
        if confirmed:
            with self._store.writing() as session:
                reviewing.published(session, confirmed, self._clock())
        return len(confirmed)


def _noting(confirmed: list[str], review_id: str) -> Callable[[KafkaError | None, object], None]:
    def note(error: KafkaError | None, _message: object) -> None:
        if error is None:
            confirmed.append(review_id)

    return note
