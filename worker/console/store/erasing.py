"""Forgetting: posts by tombstone, authors by hand, everything by age. What is counted stays counted."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Delete, Update, delete, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.console.store.models import AuditRow, ErasureRow, QueueRow, RiskRow

_AT_ONCE = 500
_FOR_GOOD = datetime(9999, 12, 31, tzinfo=UTC)


class Behind(StrEnum):
    """What a null value lies behind, of its partition, so that it erases them whatever two clocks say (law 9).

    all: erased by hand, whatever is here; time: only what the times say.
    """

    VERDICTS = "verdicts"
    RISKS = "risks"
    HITS = "hits"
    ALL = "all"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A null value on a topic: whatever was observed of the post up to then is gone."""

    post_id: str
    at: datetime
    behind: Behind = Behind.TIME


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows went."""

    risks: int
    queued: int


def post_hash(post_id: str) -> str:
    """Under which an erased post is remembered."""
    return hashlib.sha256(post_id.encode()).hexdigest()


def was_erased(session: Session, post_id: str) -> bool:
    """Whether the post was here, or was to come, and was erased: for links to it."""
    return erased_at(session, post_id) is not None


def erased_at(session: Session, post_id: str) -> datetime | None:
    """When the post was last erased; what was judged later is another post's life. No time is later than for good."""
    row = session.get(ErasureRow, post_hash(post_id))
    return None if row is None else row.erased_at


def in_order(session: Session, tombstones: Iterable[Tombstone]) -> list[Tombstone]:
    """None earlier than what is in the store and lies before it. To be asked before later records are written."""
    last: dict[tuple[Behind, str], datetime] = {}
    for each in tombstones:
        key = each.behind, each.post_id
        last[key] = max(each.at, last.get(key, each.at))
    for behind, (table, time, which) in [(each, of) for each in Behind for of in _BEFORE[each]]:
        ids = [post_id for kind, post_id in last if kind is behind]
        for start in range(0, len(ids), _AT_ONCE):
            asked = select(table.post_id, time).where(table.post_id.in_(ids[start : start + _AT_ONCE]), which)
            for post_id, at in session.execute(asked):
                last[behind, post_id] = max(at, last[behind, post_id])
    return [Tombstone(post_id, at) for (_, post_id), at in last.items()]


def erase_posts(session: Session, tombstones: Iterable[Tombstone]) -> Erased:
    """Follow tombstones. What is observed later under the same id is another post's life, and stays."""
    last: dict[str, datetime] = {}
    for each in tombstones:
        last[each.post_id] = max(each.at, last.get(each.post_id, each.at))
    ids, risks, queued = list(last), 0, 0
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        risks += _delete(session, RiskRow, RiskRow.observed_at, {each: last[each] for each in part})
        queued += _delete(session, QueueRow, QueueRow.judged_at, {each: last[each] for each in part})
        _remember(session, [{"post_hash": post_hash(each), "erased_at": last[each]} for each in part])
    return Erased(risks, queued)


def erase_post(session: Session, post_id: str, who: str, now: datetime) -> Erased:
    """Forget one post by hand. The audit log says it, by hash."""
    done = _erase_all(session, [post_id], now)
    detail = {"risks": done.risks, "queued": done.queued}
    session.add(AuditRow(at=now, who=who, what="erase_post", subject=post_hash(post_id), detail=detail))
    return done


def erase_author(session: Session, author_id: str, who: str, now: datetime) -> Erased:
    """Forget all posts of an author that are here, and what of them may still come. The audit log says it, by hash."""
    ids = {
        *session.scalars(select(RiskRow.post_id).where(RiskRow.author_id == author_id)),
        *session.scalars(select(QueueRow.post_id).where(QueueRow.author_id == author_id)),
    }
    done = _erase_all(session, sorted(ids), now)
    subject = hashlib.sha256(author_id.encode()).hexdigest()
    detail = {"risks": done.risks, "queued": done.queued}
    session.add(AuditRow(at=now, who=who, what="erase_author", subject=subject, detail=detail))
    return done


def withhold(session: Session, post_ids: Sequence[str]) -> None:
    """Law 11: what a person found to concern minors leaves the store for good, whatever is judged later."""
    erase_posts(session, [Tombstone(post_id, _FOR_GOOD) for post_id in post_ids])


def oldest(now: datetime, retention_days: int) -> datetime:
    """From when on something is kept: a midnight UTC, since figures are of whole days and stay as they were."""
    return (now - timedelta(days=retention_days)).replace(hour=0, minute=0, second=0, microsecond=0)


def sweep(session: Session, now: datetime, retention_days: int) -> Erased:
    """Forget by age. Sampled posts keep their label and place, without content, for the figures of the past."""
    limit = oldest(now, retention_days)
    risks = count(session, delete(RiskRow).where(RiskRow.observed_at < limit))
    old = QueueRow.judged_at < limit
    gone = count(session, delete(QueueRow).where(old, QueueRow.label.is_(None)))
    bare: dict[str, Any] = {"text": None, "response": None, "images": [], "author_id": None}
    held = or_(
        QueueRow.text.is_not(None),
        QueueRow.response.is_not(None),
        QueueRow.author_id.is_not(None),
        func.json_array_length(QueueRow.images) > 0,
    )
    wiped = count(session, update(QueueRow).where(old, held).values(**bare))
    session.execute(delete(ErasureRow).where(ErasureRow.erased_at < limit - timedelta(days=retention_days)))
    if session.get_bind().dialect.name == "sqlite" and (risks or gone):
        session.connection().exec_driver_sql("INSERT INTO risks_text(risks_text) VALUES ('optimize')")
    return Erased(risks, gone + wiped)


def count(session: Session, statement: Delete | Update) -> int:
    """Do it; how many rows it met."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount


_BEFORE: dict[Behind, tuple[tuple[Any, Any, ColumnElement[bool]], ...]] = {
    Behind.VERDICTS: ((QueueRow, QueueRow.judged_at, true()),),
    Behind.RISKS: ((RiskRow, RiskRow.observed_at, RiskRow.modality.is_(None)),),
    Behind.HITS: ((RiskRow, RiskRow.observed_at, RiskRow.modality.is_not(None)),),
    Behind.ALL: ((RiskRow, RiskRow.observed_at, true()), (QueueRow, QueueRow.judged_at, true())),
    Behind.TIME: (),
}


def _erase_all(session: Session, post_ids: Sequence[str], now: datetime) -> Erased:
    return erase_posts(session, in_order(session, [Tombstone(post_id, now, Behind.ALL) for post_id in post_ids]))


def _delete(session: Session, table: Any, time: Any, last: dict[str, datetime]) -> int:
    asked = select(table.id, table.post_id, time).where(table.post_id.in_(list(last)))
    ids = [row_id for row_id, post_id, at in session.execute(asked) if at <= last[post_id]]
    if ids:
        session.execute(delete(table).where(table.id.in_(ids)))
    return len(ids)


def _remember(session: Session, rows: list[dict[str, Any]]) -> None:
    dialect = session.get_bind().dialect.name
    statement: Any = (sqlite if dialect == "sqlite" else postgresql).insert(ErasureRow)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["post_hash"],
            set_={"erased_at": statement.excluded.erased_at},
            where=ErasureRow.erased_at < statement.excluded.erased_at,
        ),
        rows,
    )
