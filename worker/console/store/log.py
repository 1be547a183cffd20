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
    conditions = [
        column == value for column, value in ((AuditRow.who, who), (AuditRow.subject, subject)) if value is not None
    ]
    order = (AuditRow.at.desc(), AuditRow.id.desc())
    return paged(session, select(AuditRow), conditions, AuditRow.id, order, (offset, limit))
