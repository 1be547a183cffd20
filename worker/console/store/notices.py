"""What a webhook is to be told: clusters that began to emerge, each once, tried again until the other side takes it."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from worker.console.store.models import ClusterRow, NoticeRow

MAX_ATTEMPTS = 12
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(hours=1)


def due(session: Session, now: datetime, limit: int = 20) -> list[tuple[NoticeRow, ClusterRow]]:
    """Notices to send now with their clusters, the earliest first."""
    asked = select(NoticeRow, ClusterRow).join(ClusterRow, ClusterRow.id == NoticeRow.cluster_id)
    asked = asked.where(NoticeRow.sent_at.is_(None), NoticeRow.attempts < MAX_ATTEMPTS)
    asked = asked.where(or_(NoticeRow.next_attempt_at.is_(None), NoticeRow.next_attempt_at <= now))
    return [(notice, row) for notice, row in session.execute(asked.order_by(NoticeRow.id).limit(limit))]


def sent(session: Session, notice_id: int, now: datetime) -> None:
    """The other side took it."""
    if (row := session.get(NoticeRow, notice_id)) is not None:
        row.sent_at = now


def failed(session: Session, notice_id: int, now: datetime) -> None:
    """It did not: again after a wait that doubles, up to an hour."""
    if (row := session.get(NoticeRow, notice_id)) is not None:
        row.next_attempt_at = now + min(_FIRST_WAIT * 2**row.attempts, _LONGEST_WAIT)
        row.attempts += 1
