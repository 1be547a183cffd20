"""Versions of the policy that the console saw, with their files: so that two of them can be compared."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.console.store.models import NoteRow

_PREFIX = "policy "
_MAX_VERSION = 50


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """seen_at: when the console first saw it, RFC 3339."""

    version: str
    name: str
    seen_at: str


def remember(session: Session, version: str, name: str, text: str, now: datetime) -> None:
    """Keep a version; again: nothing changes."""
    key = _PREFIX + version[:_MAX_VERSION]
    if session.get(NoteRow, key) is None:
        session.add(NoteRow(key=key, value={"name": name, "text": text, "seen_at": now.isoformat()}))


def versions(session: Session) -> list[PolicyVersion]:
    """Those that were seen, the latest first."""
    rows = session.scalars(select(NoteRow).where(NoteRow.key.startswith(_PREFIX)))
    found = [PolicyVersion(row.key.removeprefix(_PREFIX), row.value["name"], row.value["seen_at"]) for row in rows]
    return sorted(found, key=lambda each: (each.seen_at, each.version), reverse=True)


def text_of(session: Session, version: str) -> str | None:
    """The file of a version; None where it was never seen."""
    row = session.get(NoteRow, _PREFIX + version[:_MAX_VERSION])
    return None if row is None else str(row.value["text"])
