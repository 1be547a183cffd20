"""Reviews from the store to their topic. A record may be sent twice, under the same id; none is lost."""

import logging
import random
from collections.abc import Callable
from datetime import datetime

from confluent_kafka import KafkaError, KafkaException, Producer

from schemas import cloudevents
from schemas.review import Review
from worker.console.store import Store, outbox
from worker.errors import ConfigurationError
from worker.moderation.client_config import BROKER_MAX_MESSAGE_BYTES, loader_config, log_error
from worker.moderation.tracing import new_traceparent
from worker.settings import Settings

log = logging.getLogger(__name__)

# What the broker has not confirmed by then is noted at a later call: nothing else waits for it meanwhile.
_FLUSH_S = 2.0
_LASTING = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


class ReviewPublisher:
    """One producer, and what of it is under way. clock: aware UTC times."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._topic = settings.topics.reviews
        self._source = settings.topics.posts
        self._store = store
        self._clock = clock
        self._flying: set[str] = set()
        self._confirmed: list[str] = []
        self._failure: KafkaError | None = None
        self._is_dead = False
        self._producer = self._new_producer()

    def publish(self) -> int:
        """Send what the topic does not have yet; how many the broker has confirmed. Raises StoreError.

        ConfigurationError where the topic must not be written. A broker that is away leaves them for another time.
        """
        done = self._note()
        with self._store.reading() as session:
            waiting = outbox.due(session)
        try:
            for review in waiting:
                if review.review_id not in self._flying:
                    self._send(review)
        except (KafkaException, BufferError) as error:
            log.warning("reviews wait: %s", error)
        self._producer.flush(_FLUSH_S)
        self._mend()
        return done + self._note()

    def close(self) -> None:
        """Note what the broker has confirmed so far; the rest is sent at the next start. Raises StoreError."""
        self._producer.flush(_FLUSH_S)
        self._note()

    def _send(self, review: Review) -> None:
        subject = review.cluster or review.post or review.review_id
        headers = cloudevents.headers(
            *(cloudevents.REVIEW_TYPE, review.review_id, self._source, subject, review.reviewed_at.isoformat()),
            new_traceparent(random.getrandbits),
        )
        value, name = review.model_dump_json().encode(), review.review_id
        self._producer.produce(
            self._topic, value, name.encode(), headers=headers, on_delivery=lambda error, _: self._answered(name, error)
        )
        self._flying.add(name)

    def _answered(self, review_id: str, error: KafkaError | None) -> None:
        self._flying.discard(review_id)
        if error is None:
            self._confirmed.append(review_id)
        else:
            self._failure = error

    def _mend(self) -> None:
        """Say why reviews wait. A producer that has given up for good makes room for another one."""
        failure, self._failure = self._failure, None
        if failure is not None and failure.code() in _LASTING:
            raise ConfigurationError(
                f"topic {self._topic} (topics.reviews): the principal lacks WRITE; grant it on this topic"
            )
        if failure is not None:
            log.warning("reviews wait: %s", failure.str())
        if self._is_dead:
            self._producer, self._flying, self._is_dead = self._new_producer(), set(), False

    def _note(self) -> int:
        confirmed = self._confirmed
        if confirmed:
            with self._store.writing() as session:
                outbox.published(session, confirmed, self._clock())
        self._confirmed = []
        return len(confirmed)

    def _new_producer(self) -> Producer:
        return Producer(loader_config(self._settings, BROKER_MAX_MESSAGE_BYTES, self._heard))

    def _heard(self, error: KafkaError) -> None:
        log_error(error)
        self._is_dead = self._is_dead or error.fatal()
