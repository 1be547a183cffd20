"""Posts of the audit sample, fetched from the posts topic while they are there."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from schemas.post import Post
from worker.console.mining.feed import GROUP
from worker.console.store import Store, erasing
from worker.console.store.models import QueueRow
from worker.errors import ConfigurationError, WorkerError
from worker.kafka_errors import code_of
from worker.partitions import watermarks
from worker.replay.ranges import Range
from worker.replay.reader import config_of, read
from worker.settings import Settings
from worker.topics import text_of

EXPIRED, NO_POST = "its record has expired", "its record is no post"
ELSEWHERE = "its record is on another topic"
_AT_ONCE = 20


class AuditPosts:
    """One consumer for single records. clock: aware UTC times."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._topic = settings.topics.posts
        self._consumer = Consumer(config_of(settings, f"{GROUP}-audit"))

    def fetch(self) -> int:
        """Fetch some of those that have no content yet; how many were looked for. Raises StoreError.

        A broker that does not answer leaves them for another time. ConfigurationError where posts must not be read.
        """
        with self._store.reading() as session:
            asked = select(QueueRow).where(QueueRow.fetched_at.is_(None)).order_by(QueueRow.draw).limit(_AT_ONCE)
            rows: Sequence[QueueRow] = session.scalars(asked).all()
        found: dict[int, dict[str, Any]] = {}
        for row in rows:
            try:
                found[row.id] = self._content(row)
            except ConfigurationError:
                raise
            except (KafkaException, WorkerError) as error:
                self._raise_if_forbidden(error)
                break
        if found:
            with self._store.writing() as session:
                for row_id, content in found.items():
                    self._put(session, row_id, content)
        return len(found)

    def close(self) -> None:
        """Let go."""
        self._consumer.close()

    def _raise_if_forbidden(self, error: Exception) -> None:
        if code_of(error) == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise ConfigurationError(f"topic {self._topic} cannot be read: {text_of(error)}") from None

    def _content(self, row: QueueRow) -> dict[str, Any]:
        if row.source_topic != self._topic:
            return {"missing": ELSEWHERE}
        low, high = watermarks(self._consumer, row.source_topic, row.source_partition)
        if not low <= row.source_offset < high:
            return {"missing": EXPIRED}
        place = Range(row.source_partition, row.source_offset, row.source_offset + 1)
        message = next(read(self._consumer, row.source_topic, [place]), None)
        if message is None:
            return {"missing": EXPIRED}
        try:
            post = Post.model_validate_json(message.value() or b"")
        except ValidationError:
            return {"missing": NO_POST}
        if post.post_id != row.post_id:  # of another topic of that name
            return {"missing": NO_POST}
        images = [image.model_dump(mode="json", exclude_none=True) for image in post.images]
        return {"text": post.text, "response": post.response, "language": post.language, "images": images}

    def _put(self, session: Session, row_id: int, content: dict[str, Any]) -> None:
        """Unless the post was erased since: what was judged before must not come back."""
        row = session.get(QueueRow, row_id)
        if row is None or row.label is not None:
            return
        erased_at = erasing.erased_at(session, row.post_id)
        if erased_at is not None and erased_at >= row.judged_at:
            session.delete(row)
            return
        session.execute(update(QueueRow).where(QueueRow.id == row_id).values(fetched_at=self._clock(), **content))
