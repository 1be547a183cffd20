"""Decisions of people: what they do to a cluster, and how they are undone.

A decision is written with what it changes in one transaction, and published afterwards (outbox.py): the topic may be
away for a while, and a review is never lost.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proguard_core.policy.policy import MINORS, SEXUAL, concerns_minors
from proguard_core.policy.taxonomy import name_key
from schemas.common import CategoryKind
from schemas.review import Decision
from worker.console.store.erasing import withhold
from worker.console.store.minors import WITHHELD, means_minors
from worker.console.store.models import (
    AuditRow,
    Change,
    ClusterEventRow,
    ClusterRow,
    ClusterState,
    ReviewRow,
    RiskRow,
)
from worker.console.store.outbox import as_record

MAX_POSTS = 2000
_STATES = {
    Decision.CONFIRM: ClusterState.CONFIRMED,
    Decision.MERGE: ClusterState.MERGED,
    Decision.REJECT: ClusterState.REJECTED,
}
_NO_NAME = "(withheld)"


class ReviewError(Exception):
    """A decision that cannot be taken; its text is for the person. Nothing was written."""


class ConflictError(ReviewError):
    """The cluster is not as the reviewer saw it: show it again. now: as it is."""

    def __init__(self, said: str, now: ClusterRow | None) -> None:
        super().__init__(said)
        self.now = now


@dataclass(frozen=True, slots=True)
class Decided:
    """What a reviewer decided. version: of the cluster as it was seen (ClusterRow.version)."""

    decision: Decision
    reviewer: str
    name: str | None = None
    code: str | None = None
    synonyms: tuple[str, ...] = ()
    note: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about a cluster, beside naming it."""

    severity: str | None = None
    action: str | None = None
    owner: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """review: as written; counts: False where a second person must agree first."""

    review: ReviewRow
    counts: bool = True
    waiting_for: Sequence[str] = field(default=())


def decide(
    session: Session,
    cluster_id: str,
    decided: Decided,
    now: datetime,
    *,
    two_persons: bool = False,
    minors: bool = False,
) -> Reviewed:
    """Decide on a cluster. ConflictError where it changed since it was seen, ReviewError where it is not there.

    two_persons: the cluster changes, and the topic hears of it, when a second person decides the same. What is merged
    into a category about minors leaves the store with all its members, and no other decision takes words that mean
    minors (law 11). minors: whether its words do, by `means_minors`, which takes long where it has to encode them.
    """
    row = _locked(session, cluster_id)
    if row is None:
        raise ReviewError(f"there is no cluster {cluster_id}")
    if row.state is ClusterState.GONE:
        raise ConflictError(f"cluster {cluster_id} has become part of {row.successor}", row)
    if row.version != decided.version:
        raise ConflictError(f"cluster {cluster_id} was changed by someone else meanwhile", row)
    _check_minors(row, decided)
    before = {"state": row.state.value, "name": row.name, "code": row.code, "named_by": row.named_by}
    review = _write(session, (cluster_id, None), decided, now, minors)
    review.posts = _members(session, cluster_id)
    needs_two = two_persons and decided.decision is not Decision.RENAME
    same = _agreeing(session, review) if needs_two else []
    agreed = _people([*(each.reviewer for each in same), decided.reviewer])
    counts = not needs_two or len(agreed) > 1
    review.before = {**before, "counts": counts, "needs_two": needs_two}
    if counts:
        for each in same:
            each.before = {**each.before, "counts": True}
        _apply(row, decided)
        if _is_withheld(decided.decision, decided.code):
            _withhold(session, row, review)
    row.version += 1
    detail = {"review": review.review_id, "decision": decided.decision.value, "by": decided.reviewer, "counts": counts}
    session.add(ClusterEventRow(cluster_id=cluster_id, at=now, change=Change.REVIEWED, detail=detail))
    _log(session, now, decided.reviewer, f"review_{decided.decision.value}", cluster_id, detail)
    return Reviewed(review, counts, () if counts else agreed)


def decide_post(session: Session, post_id: str, decided: Decided, now: datetime, *, minors: bool = False) -> Reviewed:
    """Decide on one post alone: it outdoes what is decided on its cluster. minors: as in `decide`."""
    review = _write(session, (None, post_id), decided, now, minors)
    if decided.code in WITHHELD:
        withhold(session, [post_id])
    _log(session, now, decided.reviewer, f"review_{decided.decision.value}", post_id, {"review": review.review_id})
    return Reviewed(review)


def undo(session: Session, review_id: str, reviewer: str, now: datetime) -> ReviewRow:
    """Withdraw a decision: another record. The cluster is what the decisions that still stand make of it.

    Anybody who may review may withdraw it, a colleague's too; the record says who did. ReviewError where it cannot be
    withdrawn: unknown, undone already, or an undoing itself. Where two must agree and one is left, his goes too.
    """
    row = session.get(ReviewRow, review_id)
    if row is None or row.undoes is not None:
        raise ReviewError(f"there is no decision {review_id} to undo")
    if session.scalar(select(ReviewRow.review_id).where(ReviewRow.undoes == review_id)) is not None:
        raise ReviewError("it has been undone already")
    if row.code in WITHHELD and row.before.get("counts", True):
        raise ReviewError("what it withheld is gone, so it cannot be undone")
    undoing = _withdraw(session, row, reviewer, now)
    if row.before.get("needs_two"):
        left = [each for each in _agreeing(session, row) if each.before.get("counts")]
        if len(_people(each.reviewer for each in left)) == 1:
            for each in left:
                _withdraw(session, each, reviewer, now)
    if row.cluster_id is not None:
        _restore(session, row, undoing, now)
    return undoing


def snooze(session: Session, cluster_id: str, until: datetime | None, who: str, now: datetime) -> None:
    """Keep a cluster off the overview until a time; None wakes it. Attention only: no record goes to the topic."""
    row = _open(session, cluster_id)
    row.snoozed_until = until
    detail = {"until": None if until is None else until.isoformat(), "by": who}
    session.add(ClusterEventRow(cluster_id=cluster_id, at=now, change=Change.SNOOZED, detail=detail))
    _log(session, now, who, "snooze", cluster_id, detail)


def plan(session: Session, cluster_id: str, planned: Plan, who: str, now: datetime, version: int | None = None) -> None:
    """Set severity, action, owner and due date of a cluster; no record goes to the topic.

    version: of the cluster as it was seen; ConflictError where it changed since. None: whatever it is now.
    """
    row = _open(session, cluster_id)
    if version is not None and row.version != version:
        raise ConflictError(f"cluster {cluster_id} was changed by someone else meanwhile", row)
    row.version += 1
    row.severity, row.action, row.owner, row.due_at = planned.severity, planned.action, planned.owner, planned.due_at
    due = None if planned.due_at is None else planned.due_at.isoformat()
    detail = {"severity": planned.severity, "action": planned.action, "owner": planned.owner, "due": due, "by": who}
    session.add(ClusterEventRow(cluster_id=cluster_id, at=now, change=Change.CHANGED, detail=detail))
    _log(session, now, who, "plan", cluster_id, detail)


def reviews_of(session: Session, cluster_id: str) -> list[ReviewRow]:
    """All records about a cluster, the latest first, the undoing ones among them."""
    asked = select(ReviewRow).where(ReviewRow.cluster_id == cluster_id)
    return list(session.scalars(asked.order_by(ReviewRow.reviewed_at.desc(), ReviewRow.review_id)))


def _locked(session: Session, cluster_id: str) -> ClusterRow | None:
    """For update: a second reviewer waits here, and then sees what the first one did."""
    asked = select(ClusterRow).where(ClusterRow.id == cluster_id).with_for_update()
    return session.scalar(asked.execution_options(populate_existing=True))


def _open(session: Session, cluster_id: str) -> ClusterRow:
    row = _locked(session, cluster_id)
    if row is None or row.state is ClusterState.GONE:
        raise ConflictError(f"there is no cluster {cluster_id} any more", row)
    return row


def _write(
    session: Session, of: tuple[str | None, str | None], decided: Decided, now: datetime, minors: bool
) -> ReviewRow:
    cluster_id, post_id = of
    # Law 11: whatever was written beside it would go where the content must not.
    withheld = _is_withheld(decided.decision, decided.code)
    if withheld and decided.decision is not Decision.MERGE:
        raise ReviewError(f"what concerns minors gets no name: merge it into {SEXUAL} or {MINORS}")
    if not withheld and (minors or means_minors((decided.name, *decided.synonyms))):
        raise ReviewError(
            f"a name among these means minors, or is near to it: merge it into {MINORS} instead, or choose another name"
        )
    row = ReviewRow(
        review_id=_new_id(),
        cluster_id=cluster_id,
        post_id=post_id,
        decision=decided.decision.value,
        name=None if withheld else decided.name,
        code=decided.code,
        synonyms=[] if withheld else list(decided.synonyms),
        posts=[],
        note=None if withheld else decided.note,
        reviewer=decided.reviewer,
        reviewed_at=now,
        before={},
    )
    try:
        as_record(row, "")
    except ValueError as error:
        raise ReviewError(_first_line(error)) from None
    session.add(row)
    return row


def _withdraw(session: Session, row: ReviewRow, reviewer: str, now: datetime) -> ReviewRow:
    undoing = ReviewRow(
        review_id=_new_id(),
        cluster_id=row.cluster_id,
        post_id=row.post_id,
        decision=row.decision,
        name=row.name,
        code=row.code,
        synonyms=row.synonyms,
        posts=row.posts,
        reviewer=reviewer,
        reviewed_at=now,
        undoes=row.review_id,
        # What never reached the topic needs no withdrawal there.
        before={} if row.before.get("counts", True) else {"counts": False},
    )
    session.add(undoing)
    session.flush()
    _log(session, now, reviewer, "undo", row.cluster_id or row.post_id or "", {"review": row.review_id})
    return undoing


def _apply(row: ClusterRow, decided: Decided) -> None:
    if decided.decision is not Decision.RENAME:
        row.state = _STATES[decided.decision]
        row.code = decided.code
    if decided.name is not None and decided.decision in (Decision.CONFIRM, Decision.RENAME):
        row.name, row.named_by = decided.name, decided.reviewer
    if decided.decision is Decision.REJECT:
        row.emerging, row.held_since = False, None


def _withhold(session: Session, row: ClusterRow, review: ReviewRow) -> None:
    withhold(session, list(session.scalars(select(RiskRow.post_id).where(RiskRow.cluster_id == row.id))))
    for each in [row, *_parts_of(session, row.id)]:
        each.name, each.words, each.emerging, each.code = _NO_NAME, [], False, review.code


def _is_withheld(decision: Decision, code: str | None) -> bool:
    return code in WITHHELD and decision is not Decision.REJECT


def _people(names: Iterable[str]) -> list[str]:
    """Each once, sorted: one whose name is written in two ways is one."""
    return sorted({name.strip().casefold(): name for name in names}.values())


def _parts_of(session: Session, cluster_id: str) -> list[ClusterRow]:
    """The clusters that became part of it, by way of others too: their names are names of its members."""
    found: list[ClusterRow] = []
    following = [cluster_id]
    while following:
        rows = session.scalars(select(ClusterRow).where(ClusterRow.successor.in_(following))).all()
        known = {cluster_id, *(each.id for each in found)}
        found += (new := [each for each in rows if each.id not in known])
        following = [each.id for each in new]
    return found


def _check_minors(row: ClusterRow, decided: Decided) -> None:
    """Of what is withheld nobody sees anything to decide on; what a person withheld stays so for good."""
    if row.code in WITHHELD:
        raise ReviewError(f"cluster {row.id} is withheld for good")
    near = concerns_minors(CategoryKind.NOVEL, None, row.nearest_code) or means_minors([row.name])
    if near and not (decided.decision is Decision.MERGE and decided.code in WITHHELD):
        raise ReviewError(f"cluster {row.id} is withheld: it can only be merged into {SEXUAL} or {MINORS}")


def _restore(session: Session, review: ReviewRow, undoing: ReviewRow, now: datetime) -> None:
    row = _locked(session, review.cluster_id or "")
    if row is None or row.state is ClusterState.GONE:
        return
    if row.code in WITHHELD:
        raise ReviewError(f"cluster {row.id} is withheld for good")
    if review.before:
        _replay(session, row)
    row.version += 1
    detail = {"review": review.review_id, "by": undoing.reviewer}
    session.add(ClusterEventRow(cluster_id=row.id, at=now, change=Change.UNDONE, detail=detail))


def _replay(session: Session, row: ClusterRow) -> None:
    """The cluster as it was before its first decision, then each that counted and still stands, in their order.

    A name that no person gave is kept as it is: clustering may have found a better one since.
    """
    asked = select(ReviewRow).where(ReviewRow.cluster_id == row.id, ReviewRow.undoes.is_(None))
    # Decisions of other consoles changed nothing here, and have no `before`.
    ours = [each for each in session.scalars(asked.order_by(ReviewRow.reviewed_at)) if each.before]
    undone = set(session.scalars(select(ReviewRow.undoes).where(ReviewRow.undoes.is_not(None))))
    first = ours[0].before
    row.state, row.code = ClusterState(first["state"]), first["code"]
    if row.named_by is not None:
        row.name, row.named_by = first["name"], first["named_by"]
    for each in ours:
        if each.review_id not in undone and each.before.get("counts", True):
            _apply(row, Decided(Decision(each.decision), each.reviewer, each.name, each.code))


def _agreeing(session: Session, review: ReviewRow) -> list[ReviewRow]:
    """Decisions of this store that say the same and stand; of others' consoles' nobody here knows who agreed."""
    undone = select(ReviewRow.undoes).where(ReviewRow.undoes.is_not(None))
    asked = select(ReviewRow).where(ReviewRow.cluster_id == review.cluster_id, ReviewRow.undoes.is_(None))
    rows = session.scalars(asked.where(ReviewRow.decision == review.decision, ReviewRow.review_id.not_in(undone)))
    return [
        each
        for each in rows
        if each.before and each.code == review.code and name_key(each.name or "") == name_key(review.name or "")
    ]


def _members(session: Session, cluster_id: str) -> list[str]:
    asked = select(RiskRow.post_id).where(RiskRow.cluster_id == cluster_id)
    asked = asked.order_by(RiskRow.similarity.desc().nulls_last(), RiskRow.id)
    return list(session.scalars(asked.limit(MAX_POSTS)))


def _log(session: Session, now: datetime, who: str, what: str, subject: str, detail: dict[str, Any]) -> None:
    session.add(AuditRow(at=now, who=who, what=what, subject=subject, detail=detail))


def _new_id() -> str:
    return f"review-{uuid.uuid4()}"


def _first_line(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    return str(errors()[0]["msg"]).removeprefix("Value error, ") if errors else str(error)
