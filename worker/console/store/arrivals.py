"""Writing what was read from the topics: rows and offsets together, so that each record counts once."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from proguard_core.policy.policy import concerns_minors
from schemas.common import CategoryKind
from schemas.retraining_hit import RetrainingHit
from schemas.risk import Risk
from worker.console.store.erasing import Tombstone, count, erase_posts, in_order, post_hash
from worker.console.store.models import (
    ErasureRow,
    OffsetRow,
    QueueRow,
    RevisionRow,
    RiskRow,
    VerdictCountRow,
)
from worker.errors import FencedError

_AT_ONCE = 500


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class VerdictKey(NamedTuple):
    """What verdicts are counted by: see VerdictCountRow."""

    hour: str
    revision: str
    modality: str
    outcome: str
    category: str
    stratum: str


@dataclass(slots=True)
class NewRisk:
    """A risk as read. post: what the hit adds, None for a bare risk; embedding: unit vector, once it was made."""

    risk: Risk
    author_id: str | None = None
    embedding: NDArray[np.float32] | None = None
    cluster_id: str | None = None
    similarity: float | None = None

    @property
    def withheld(self) -> bool:
        """Whether law 11 keeps it out."""
        nearest = self.risk.nearest.code if self.risk.nearest is not None else None
        return concerns_minors(CategoryKind.NOVEL, None, nearest)


@dataclass(slots=True)
class Arrivals:
    """What one transaction takes in. offsets: of each place the offset it was read from and the one to go on at.

    verdicts: counts; sample: rows of the audit queue; seen: first and last time and guard name of revisions.
    """

    risks: dict[str, NewRisk] = field(default_factory=dict)
    verdicts: Counter[VerdictKey] = field(default_factory=Counter)
    sample: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[str, tuple[str, datetime, datetime]] = field(default_factory=dict)
    tombstones: list[Tombstone] = field(default_factory=list)
    offsets: dict[Place, tuple[int, int]] = field(default_factory=dict)


def offsets_of(session: Session, topics: Iterable[str]) -> dict[Place, int]:
    """Where reading goes on, of the places that were read before."""
    rows = session.execute(select(OffsetRow).where(OffsetRow.topic.in_(list(topics)))).scalars()
    return {Place(row.topic, row.partition): row.next_offset for row in rows}


def take(session: Session, arrivals: Arrivals) -> None:
    """Write all of it. FencedError where another process has read on from the same offsets: then nothing is written."""
    _advance(session, arrivals.offsets)
    _note_revisions(session, arrivals.seen)
    _count(session, arrivals.verdicts)
    tombstones = in_order(session, arrivals.tombstones)
    ids = {*(each.risk.post_id for each in arrivals.risks.values()), *(row["post_id"] for row in arrivals.sample)}
    erased = _erased_times(session, sorted(ids))

    def lives(post_id: str, at: datetime) -> bool:
        return (then := erased.get(post_id)) is None or at > then

    kept = [
        new for new in arrivals.risks.values() if not new.withheld and lives(new.risk.post_id, new.risk.observed_at)
    ]
    _put_risks(session, kept)
    sample = [row for row in arrivals.sample if lives(row["post_id"], row["judged_at"])]
    for at in range(0, len(sample), _AT_ONCE):
        statement = _insert(session, QueueRow).on_conflict_do_nothing(index_elements=["verdict_id"])
        session.execute(statement, sample[at : at + _AT_ONCE])
    erase_posts(session, tombstones)


def _advance(session: Session, offsets: Mapping[Place, tuple[int, int]]) -> None:
    known = offsets_of(session, {place.topic for place in offsets})
    for place, (read_from, go_on) in offsets.items():
        if place not in known:
            session.execute(insert(OffsetRow), {**place._asdict(), "next_offset": go_on})
            continue
        here = (OffsetRow.topic == place.topic, OffsetRow.partition == place.partition)
        moved = update(OffsetRow).where(*here, OffsetRow.next_offset == read_from).values(next_offset=go_on)
        if count(session, moved) != 1:
            raise FencedError(
                f"{place.topic}[{place.partition}] was read on by another mining process: only one may mine a store"
            )


def _note_revisions(session: Session, seen: Mapping[str, tuple[str, datetime, datetime]]) -> None:
    known = {row.revision: row for row in session.scalars(select(RevisionRow).where(RevisionRow.revision.in_(seen)))}
    for revision, (guard_name, first, last) in seen.items():
        if (row := known.get(revision)) is None:
            session.add(RevisionRow(revision=revision, guard_name=guard_name, first_seen=first, last_seen=last))
        else:
            row.first_seen, row.last_seen = min(row.first_seen, first), max(row.last_seen, last)
    session.flush()


def _count(session: Session, verdicts: Mapping[VerdictKey, int]) -> None:
    if not verdicts:
        return
    statement = _insert(session, VerdictCountRow)
    added = statement.on_conflict_do_update(
        index_elements=[*VerdictKey._fields],
        set_={"verdicts": VerdictCountRow.verdicts + statement.excluded.verdicts},
    )
    # Sorted, so that two writers never wait for each other's rows in turn.
    rows = [{**key._asdict(), "verdicts": number} for key, number in sorted(verdicts.items())]
    session.execute(added, rows)


def _erased_times(session: Session, post_ids: Sequence[str]) -> dict[str, datetime]:
    hashes = {post_hash(post_id): post_id for post_id in post_ids}
    keys, found = list(hashes), dict[str, datetime]()
    for at in range(0, len(keys), _AT_ONCE):
        asked = select(ErasureRow).where(ErasureRow.post_hash.in_(keys[at : at + _AT_ONCE]))
        found |= {hashes[row.post_hash]: row.erased_at for row in session.scalars(asked)}
    return found


def _put_risks(session: Session, risks: Sequence[NewRisk]) -> None:
    """A risk and its hit are one row, whichever comes first. An edited post keeps its latest risk."""
    bare = [_row(each) for each in risks if not isinstance(each.risk, RetrainingHit)]
    whole = [_row(each) for each in risks if isinstance(each.risk, RetrainingHit)]
    statement = _insert(session, RiskRow)
    added = {name: statement.excluded[name] for name in _OF_THE_HIT}
    for at in range(0, len(bare), _AT_ONCE):
        session.execute(statement.on_conflict_do_nothing(index_elements=["risk_id"]), bare[at : at + _AT_ONCE])
    for at in range(0, len(whole), _AT_ONCE):
        # Only what has no post yet: a hit that is read twice changes nothing that mining has done since.
        put = statement.on_conflict_do_update(index_elements=["risk_id"], set_=added, where=RiskRow.modality.is_(None))
        session.execute(put, whole[at : at + _AT_ONCE])
    _drop_superseded(session, risks)


def _drop_superseded(session: Session, risks: Sequence[NewRisk]) -> None:
    for at in range(0, len(risks), _AT_ONCE):
        ids = [each.risk.post_id for each in risks[at : at + _AT_ONCE]]
        asked = select(RiskRow.id, RiskRow.post_id).where(RiskRow.post_id.in_(ids))
        asked = asked.order_by(RiskRow.post_id, RiskRow.observed_at.desc(), RiskRow.id.desc())
        latest: set[str] = set()
        old = []
        for row_id, post_id in session.execute(asked):
            if post_id in latest:
                old.append(row_id)
            latest.add(post_id)
        if old:
            session.execute(delete(RiskRow).where(RiskRow.id.in_(old)))


_OF_THE_HIT = (
    *("author_id", "modality", "language", "text", "response", "images", "post_truncated"),
    *("embedding", "cluster_id", "similarity", "assigned_by"),
)


def _row(new: NewRisk) -> dict[str, Any]:
    risk = new.risk
    post = risk.post if isinstance(risk, RetrainingHit) else None
    return {
        "risk_id": risk.risk_id,
        "post_id": risk.post_id,
        "author_id": new.author_id if post is None else post.author_id,
        "observed_at": risk.observed_at,
        "name": risk.name,
        "rationale": risk.rationale,
        "nearest_code": None if risk.nearest is None else risk.nearest.code,
        "nearest_similarity": None if risk.nearest is None else risk.nearest.similarity,
        "guard_name": risk.guard.name,
        "revision": risk.guard.revision,
        "policy_version": risk.policy.version,
        "source_topic": risk.source.topic,
        "source_partition": risk.source.partition,
        "source_offset": risk.source.offset,
        "modality": None if post is None else post.modality.value,
        "language": None if post is None else post.language,
        "text": None if post is None else post.text,
        "response": None if post is None else post.response,
        "images": [] if post is None else [image.model_dump(mode="json", exclude_none=True) for image in post.images],
        "post_truncated": isinstance(risk, RetrainingHit) and risk.post_truncated,
        "embedding": new.embedding,
        "cluster_id": new.cluster_id,
        "similarity": new.similarity,
        "assigned_by": None if new.cluster_id is None else "online",
    }


def draw(verdict_id: str) -> float:
    """A number in [0, 1) that is the same for the same verdict always: the audit sample is drawn by it."""
    return int.from_bytes(hashlib.sha256(b"audit " + verdict_id.encode()).digest()[:8], "big") / 2**64


def order_key(verdict_id: str) -> str:
    """By which the queue is ordered, so that its order tells nothing."""
    return hashlib.sha256(b"order " + verdict_id.encode()).hexdigest()[:32]


def _insert(session: Session, table: Any) -> Any:
    """An INSERT that knows ON CONFLICT, of the session's database."""
    dialect = session.get_bind().dialect.name
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


__all__ = ["Arrivals", "NewRisk", "Place", "Tombstone", "VerdictKey", "draw", "offsets_of", "order_key", "take"]
