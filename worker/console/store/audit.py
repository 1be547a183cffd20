"""The audit sample: a random part of verdicts without a risk that people label, and what follows for all verdicts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from proguard_core.novelty.significance import Bounds, share_of
from worker.console.store.erasing import withhold
from worker.console.store.minors import WITHHELD
from worker.console.store.models import AuditRow, QueueRow, Stratum
from worker.console.store.reading import RateFilter, rates
from worker.console.store.reviewing import ReviewError

_CLAIM = timedelta(minutes=10)


class Label(StrEnum):
    """What a person says of a post; unsure counts neither way."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class StratumFigure:
    """Of one stratum: verdicts, how many of them a person labelled, how many are unsafe, and that share."""

    verdicts: int
    labelled: int
    unsafe: int
    share: Bounds


@dataclass(frozen=True, slots=True)
class Prevalence:
    """Unsafe posts that the guard did not call so. posts: how many there are; missed: their share of all unsafe ones.

    Both with 95 % intervals, stratified; None where a stratum that has verdicts has no label yet.
    """

    strata: Mapping[str, StratumFigure]
    found: int
    posts: Bounds | None
    missed: Bounds | None


def next_post(session: Session, who: str, now: datetime) -> QueueRow | None:
    """A post to label, claimed for ten minutes so that two people do not label the same; None where there is none."""
    free = or_(QueueRow.claimed_until.is_(None), QueueRow.claimed_until < now, QueueRow.claimed_by == who)
    asked = select(QueueRow).where(QueueRow.label.is_(None), QueueRow.fetched_at.is_not(None), free)
    asked = asked.where(QueueRow.missing.is_(None)).order_by(QueueRow.order_key).limit(1)
    row = session.scalar(asked.with_for_update(skip_locked=True))
    if row is not None:
        row.claimed_by, row.claimed_until = who, now + _CLAIM
    return row


def waiting(session: Session) -> int:
    """Posts that nobody labelled yet."""
    open_ = (QueueRow.label.is_(None), QueueRow.fetched_at.is_not(None), QueueRow.missing.is_(None))
    return session.scalar(select(func.count()).select_from(QueueRow).where(*open_)) or 0


def label(session: Session, queue_id: int, who: str, said: Label, code: str | None, now: datetime) -> QueueRow:
    """Label a post. code: of the policy, where it is unsafe. ReviewError where it is gone or someone else was faster.

    What concerns minors loses its content and picture references at once (law 11); the place of its record stays.
    """
    row = session.scalar(select(QueueRow).where(QueueRow.id == queue_id).with_for_update())
    if row is None:
        raise ReviewError("this post is not here any more")
    if row.label is not None:
        raise ReviewError(f"this post was labelled by {row.labelled_by} meanwhile")
    row.label, row.code, row.labelled_by, row.labelled_at = said.value, code, who, now
    if code in WITHHELD:
        withhold_from = row.post_id
        row.text = row.response = row.author_id = None
        row.images, row.post_id = [], f"withheld-{row.id}"
        session.flush()
        withhold(session, [withhold_from])
    subject = row.verdict_id
    session.add(AuditRow(at=now, who=who, what="label", subject=subject, detail={"label": said.value, "code": code}))
    return row


def relabel(session: Session, queue_id: int, who: str, now: datetime) -> None:
    """Undo a label: the post waits again. ReviewError where it has none, or its content is gone."""
    row = session.scalar(select(QueueRow).where(QueueRow.id == queue_id).with_for_update())
    if row is None or row.label is None or (row.text is None and row.response is None and not row.images):
        raise ReviewError("there is no label to undo, or the post's content is gone")
    detail = {"label": row.label, "by": row.labelled_by}
    row.label = row.code = row.labelled_by = row.labelled_at = None
    session.add(AuditRow(at=now, who=who, what="undo_label", subject=row.verdict_id, detail=detail))


def prevalence(session: Session, since: datetime, until: datetime) -> Prevalence:
    """Estimated from the sample of a time. Shares are exact (Clopper-Pearson); the sum over strata is normal.

    The stratified estimator is Cochran's (Sampling Techniques, 1977, 5.3), its variance from the strata's own
    half-widths, so that a stratum without an unsafe label still contributes its doubt.
    """
    counted = rates(session, RateFilter(since, until, parts=("stratum", "outcome")))
    totals = {stratum.value: 0 for stratum in Stratum}
    for (stratum, _), count in counted.items():
        if stratum in totals:
            totals[stratum] += count
    found = sum(count for (_, outcome), count in counted.items() if outcome == "unsafe")
    strata = {name: _figure(session, name, total, since, until) for name, total in totals.items()}
    used = [each for each in strata.values() if each.verdicts]
    if any(each.labelled == 0 for each in used):
        return Prevalence(strata, found, None, None)
    value = sum(each.verdicts * each.share.value for each in used)
    down = math.sqrt(sum((each.verdicts * (each.share.value - each.share.low)) ** 2 for each in used))
    above = math.sqrt(sum((each.verdicts * (each.share.high - each.share.value)) ** 2 for each in used))
    posts = Bounds(value, max(0.0, value - down), value + above)
    return Prevalence(strata, found, posts, _missed(posts, found))


def _figure(session: Session, stratum: str, total: int, since: datetime, until: datetime) -> StratumFigure:
    asked = select(QueueRow.label, func.count()).where(QueueRow.stratum == Stratum(stratum))
    asked = asked.where(QueueRow.judged_at >= since, QueueRow.judged_at < until).group_by(QueueRow.label)
    counts = {said: int(number) for said, number in session.execute(asked)}
    unsafe, safe = counts.get(Label.UNSAFE.value, 0), counts.get(Label.SAFE.value, 0)
    return StratumFigure(total, unsafe + safe, unsafe, share_of(unsafe, unsafe + safe))


def _missed(posts: Bounds, found: int) -> Bounds | None:
    if posts.high + found == 0:
        return None
    shares = [each / (each + found) if each + found else 0.0 for each in (posts.value, posts.low, posts.high)]
    return Bounds(*shares)
