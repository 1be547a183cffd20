"""Decisions on their way to the reviews topic: which are due, as what record, and that the broker has them."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from schemas.review import Decision, Review
from worker.console.store.models import NoteRow, ReviewRow

_STORE = "store"


def due(session: Session, limit: int = 500) -> list[Review]:
    """Records that the topic does not have yet, the earliest first; what waits for a second person is not due."""
    counts = func.coalesce(ReviewRow.before["counts"].as_boolean(), True)
    asked = select(ReviewRow).where(ReviewRow.published_at.is_(None), counts)
    rows = session.scalars(asked.order_by(ReviewRow.reviewed_at, ReviewRow.review_id).limit(limit)).all()
    store = store_id(session)
    return [as_record(row, store) for row in rows]


def published(session: Session, review_ids: Iterable[str], now: datetime) -> None:
    """Note that the broker has them."""
    ids = list(review_ids)
    session.execute(update(ReviewRow).where(ReviewRow.review_id.in_(ids)).values(published_at=now))


def store_id(session: Session) -> str:
    """What its tables were made with: cluster numbers are of one store, and the topic is everybody's."""
    note = session.get(NoteRow, _STORE)
    assert note is not None, "a migration writes it"
    return str(note.value["id"])


def as_record(row: ReviewRow, store: str) -> Review:
    """The record of `moderation.reviews`; its key is the review_id. Raises ValueError for what is no review."""
    return Review(
        review_id=row.review_id,
        cluster=None if row.cluster_id is None else f"{store}-{row.cluster_id}",
        post=row.post_id,
        decision=Decision(row.decision),
        name=row.name,
        code=row.code,
        synonyms=row.synonyms,
        posts=row.posts,
        undoes=row.undoes,
        reviewer=row.reviewer,
        reviewed_at=row.reviewed_at,
    )
