"""The audit log: who did what in the console. Entries are only ever added."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.console.store.models import AuditRow
from worker.console.store.reading import PAGE, Page, paged


def note(session: Session, now: datetime, who: str, what: str, subject: str, detail: dict[str, Any]) -> None:
    """One entry. detail: never a post's content."""
    session.add(AuditRow(at=now, who=who, what=what, subject=subject, detail=detail))


def entries(
    session: Session, who: str | None = None, subject: str | None = None, offset: int = 0, limit: int = PAGE
) -> Page[AuditRow]:
    """Entries, the latest first."""
    asked = select(AuditRow)
    if who is not None:
        asked = asked.where(AuditRow.who == who)
    if subject is not None:
        asked = asked.where(AuditRow.subject == subject)
    return paged(session, asked, (AuditRow.at.desc(), AuditRow.id.desc()), offset, limit)
