"""What a cluster's row says about its members, made anew from them: sizes, spread, days, name, growth and burst."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from worker.console.mining import burst
from worker.console.mining.burst import LOOKS_BACK, BurstSettings, Exposure, Finding, Seen
from worker.console.settings import ConsoleSettings
from worker.console.store import erasing
from worker.console.store.models import (
    Change,
    ClusterDayRow,
    ClusterEventRow,
    ClusterRow,
    ClusterState,
    NoticeRow,
    RiskRow,
    VerdictCountRow,
)

_UNSTATED = "unstated"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Figures:
    """Makes clusters' figures under settings. One transaction of the store each time."""

    settings: ConsoleSettings

    def refresh(self, session: Session, cluster_ids: Iterable[str], now: datetime) -> None:
        """Of clusters whose members changed, or whose burst may have passed."""
        wanted = sorted(set(cluster_ids))
        exposure = exposure_of(session, now)
        tested = session.scalar(select(func.count()).where(ClusterRow.state == ClusterState.OPEN)) or 1
        bounds = BurstSettings(
            self.settings.emerging_p / tested,
            self.settings.emerging_authors,
            timedelta(hours=self.settings.hold_hours),
        )
        kept_from = erasing.oldest(now, self.settings.retention_days)
        for row in session.scalars(select(ClusterRow).where(ClusterRow.id.in_(wanted))):
            if row.state is not ClusterState.GONE and _count(session, row, now, kept_from):
                _days(session, row.id, kept_from)
                self._judge(session, row, exposure, now, bounds)

    def _judge(
        self, session: Session, row: ClusterRow, exposure: Exposure, now: datetime, bounds: BurstSettings
    ) -> None:
        seen = _seen(session, row.id, now)
        found = burst.find(seen, exposure, now, bounds)
        grown = burst.growth(seen, exposure, now)
        row.burst_p = found.p
        row.burst_ratio, row.burst_low, row.burst_high = _bounded(found.ratio)
        row.growth, row.growth_low, row.growth_high = _bounded(grown)
        if row.state is not ClusterState.OPEN:
            row.emerging, row.held_since = False, None
        elif found.finding is Finding.BURST:
            row.burst_at, row.held_since, row.held_revision = now, None, None
            if not row.emerging:
                row.emerging, row.emerging_since = True, now
                _event(session, row.id, now, Change.EMERGED, {"p": found.p, "authors": found.authors})
                session.add(NoticeRow(cluster_id=row.id, emerging_since=now))
        elif found.finding is Finding.HELD and not row.emerging:
            if row.held_since is None:
                row.held_since, row.held_revision = now, found.revision
                _event(session, row.id, now, Change.HELD, {"revision": found.revision, "p": found.p})
        elif found.finding is Finding.CALM:
            row.held_since = row.held_revision = None
            calm_since = now - timedelta(days=self.settings.emerging_days)
            if row.emerging and (row.burst_at is None or row.burst_at < calm_since):
                row.emerging = False
                _event(session, row.id, now, Change.CALMED, {})


def watched(session: Session) -> list[str]:
    """Clusters whose state may change by time alone."""
    asked = select(ClusterRow.id).where(ClusterRow.emerging | ClusterRow.held_since.is_not(None))
    return list(session.scalars(asked))


def exposure_of(session: Session, now: datetime) -> Exposure:
    """Verdicts by hour and revision, as far back as figures look."""
    first = (now - LOOKS_BACK).strftime("%Y-%m-%dT%H")
    asked = select(VerdictCountRow.hour, VerdictCountRow.revision, func.sum(VerdictCountRow.verdicts))
    asked = asked.where(VerdictCountRow.hour >= first).group_by(VerdictCountRow.hour, VerdictCountRow.revision)
    return {(hour, revision): int(verdicts) for hour, revision, verdicts in session.execute(asked)}


def _count(session: Session, row: ClusterRow, now: datetime, kept_from: datetime) -> bool:
    """Sizes and spread; False where no member is left. kept_from: days before may have lost members by age only."""
    mine = RiskRow.cluster_id == row.id
    author = func.coalesce(RiskRow.author_id, RiskRow.post_id)
    first, last = func.min(RiskRow.observed_at), func.max(RiskRow.observed_at)
    size, authors, begins, ends = session.execute(
        select(func.count(), func.count(author.distinct()), first, last).where(mine)
    ).one()
    row.size, row.authors = size, authors
    if not size:
        row.emerging, row.held_since, row.last_day = False, None, 0
        row.modalities, row.languages = {}, {}
        emptied = ClusterDayRow.day >= kept_from.strftime("%Y-%m-%d")
        session.execute(delete(ClusterDayRow).where(ClusterDayRow.cluster_id == row.id, emptied))
        return False
    row.first_seen, row.last_seen = begins, ends
    lately = select(func.count()).where(mine, RiskRow.observed_at > now - _DAY)
    row.last_day = session.scalar(lately) or 0
    row.modalities, row.languages = _spread(session, mine, RiskRow.modality), _spread(session, mine, RiskRow.language)
    return True


def _spread(session: Session, mine: Any, column: Any) -> dict[str, int]:
    rows = session.execute(select(column, func.count()).where(mine).group_by(column))
    found = {str(value or _UNSTATED): count for value, count in rows}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _days(session: Session, cluster_id: str, kept_from: datetime) -> None:
    """Of all days that may still have members; what is kept of expired ones stays."""
    day = day_of(session, RiskRow.observed_at)
    author = func.coalesce(RiskRow.author_id, RiskRow.post_id)
    asked = select(day.label("day"), RiskRow.revision, func.count(), func.count(author.distinct()))
    rows = session.execute(asked.where(RiskRow.cluster_id == cluster_id).group_by("day", RiskRow.revision)).all()
    first = min(kept_from.strftime("%Y-%m-%d"), *(each[0] for each in rows))
    here = (ClusterDayRow.cluster_id == cluster_id, ClusterDayRow.day >= first)
    session.execute(delete(ClusterDayRow).where(*here))
    added = [
        {"cluster_id": cluster_id, "day": each, "revision": revision, "risks": risks, "authors": authors}
        for each, revision, risks, authors in rows
    ]
    session.execute(insert(ClusterDayRow), added)


def day_of(session: Session, time: Any) -> Any:
    """The day (UTC, ISO date) of a column of times, as the session's database says it."""
    if session.get_bind().dialect.name == "sqlite":
        return func.strftime("%Y-%m-%d", time)
    return func.to_char(func.timezone("UTC", time), "YYYY-MM-DD")


def _seen(session: Session, cluster_id: str, now: datetime) -> Sequence[Seen]:
    author = func.coalesce(RiskRow.author_id, RiskRow.post_id)
    asked = select(RiskRow.observed_at, author, RiskRow.revision).where(RiskRow.cluster_id == cluster_id)
    rows = session.execute(asked.where(RiskRow.observed_at > now - LOOKS_BACK))
    return [Seen(at, str(who), revision) for at, who, revision in rows]


def _bounded(bounds: Any) -> tuple[float | None, float | None, float | None]:
    """Infinity is no number of JSON, and means that nothing was before: left empty."""
    if bounds is None:
        return None, None, None
    value, low, high = (
        None if each == float("inf") else float(each) for each in (bounds.value, bounds.low, bounds.high)
    )
    return value, low, high


def _event(session: Session, cluster_id: str, at: datetime, change: Change, detail: dict[str, Any]) -> None:
    session.add(ClusterEventRow(cluster_id=cluster_id, at=at, change=change, detail=detail))
