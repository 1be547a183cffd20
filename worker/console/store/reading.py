"""Reading for pages and exports. Every function takes a session of `Store.reading` and answers from one state."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import numpy as np
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, defer

from worker.console.store.models import (
    ClusterDayRow,
    ClusterEventRow,
    ClusterRow,
    ClusterState,
    RevisionRow,
    RiskRow,
    VerdictCountRow,
)

PAGE = 50
_AT_ONCE = 1000
_EXEMPLARS_OF = 200
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of all that there are. total: of all; offset: of the first one here."""

    rows: Sequence[Row]
    total: int
    offset: int


@dataclass(frozen=True, slots=True)
class ClusterFilter:
    """Which clusters; None leaves a part open. sort: burst, size, growth, last_seen, first_seen, name or severity.

    By burst: by the low bound of its ratio, which is finite also where none was before, and low where little is known.
    """

    states: tuple[ClusterState, ...] = (ClusterState.OPEN, ClusterState.CONFIRMED)
    emerging: bool | None = None
    modality: str | None = None
    language: str | None = None
    nearest: str | None = None
    owner: str | None = None
    since: datetime | None = None
    min_size: int = 0
    snoozed_at: datetime | None = None
    sort: str = "burst"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, with the name of what it is a part of."""

    name: str
    part: int
    whole: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What is asked for every morning. trends: days (ISO) and risks of each shown cluster on them.

    undetermined: a Share a day; by_category, by_modality: verdicts of the whole span, unsafe ones of all judged.
    """

    emerging: Sequence[ClusterRow]
    held: Sequence[ClusterRow]
    days: Sequence[str]
    trends: dict[str, list[int]]
    undetermined: Sequence[Share]
    by_category: Sequence[Share]
    by_modality: Sequence[Share]
    risks: int
    clusters: int
    verdicts: int
    latest: datetime | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Risks of a cluster by revision, name that the guard gave, and author (the largest share of one)."""

    revisions: dict[str, int]
    names: dict[str, int]
    largest_author: int = 0


@dataclass(frozen=True, slots=True)
class RateFilter:
    """Which verdicts are counted."""

    since: datetime
    until: datetime
    revision: str | None = None
    modality: str | None = None
    category: str | None = None
    parts: tuple[str, ...] = field(default=("outcome",))


def overview(session: Session, now: datetime, days: int = 30, shown: int = 20) -> Overview:
    """The overview of the last days, at most `shown` clusters of each kind, none that is snoozed."""
    open_ = select(ClusterRow).options(defer(ClusterRow.centroid)).where(ClusterRow.state == ClusterState.OPEN)
    awake = (ClusterRow.snoozed_until.is_(None)) | (ClusterRow.snoozed_until <= now)
    by_burst = open_.where(awake).order_by(ClusterRow.burst_low.desc().nulls_last(), ClusterRow.size.desc())
    emerging = session.scalars(by_burst.where(ClusterRow.emerging).limit(shown)).all()
    held = session.scalars(by_burst.where(ClusterRow.held_since.is_not(None)).limit(shown)).all()
    axis = _days(now, days)
    largest = select(ClusterRow.id).where(ClusterRow.state == ClusterState.OPEN, ClusterRow.last_seen >= _start(axis))
    largest = largest.where(awake)
    ids = [each.id for each in emerging] or list(session.scalars(largest.order_by(ClusterRow.size.desc()).limit(shown)))
    span = RateFilter(_start(axis), now + timedelta(days=1))
    by_outcome = rates(session, RateFilter(span.since, span.until, parts=("day", "outcome")))
    whole: dict[str, int] = {}
    for (day, _), count in by_outcome.items():
        whole[day] = whole.get(day, 0) + count
    return Overview(
        emerging,
        held,
        axis,
        trends(session, ids, axis),
        [Share(day, by_outcome.get((day, "undetermined"), 0), whole.get(day, 0)) for day in axis],
        _shares(session, span, "category"),
        _shares(session, span, "modality"),
        session.scalar(select(func.count()).select_from(RiskRow)) or 0,
        session.scalar(select(func.count()).where(ClusterRow.state == ClusterState.OPEN)) or 0,
        sum(whole.values()),
        session.scalar(select(func.max(RiskRow.observed_at))),
    )


def clusters(session: Session, wanted: ClusterFilter, offset: int = 0, limit: int = PAGE) -> Page[ClusterRow]:
    """Clusters of a filter, sorted. Raises KeyError for a sort that is none."""
    asked = select(ClusterRow).options(defer(ClusterRow.centroid))
    order = {
        "burst": (ClusterRow.emerging.desc(), ClusterRow.burst_low.desc().nulls_last()),
        "growth": (ClusterRow.last_day.desc(),),
        "size": (ClusterRow.size.desc(),),
        "last_seen": (ClusterRow.last_seen.desc(),),
        "first_seen": (ClusterRow.first_seen.desc(),),
        "name": (func.lower(ClusterRow.name),),
        "severity": (ClusterRow.severity.desc().nulls_last(),),
    }[wanted.sort]
    return paged(session, asked, _conditions(wanted), ClusterRow.id, (*order, ClusterRow.id), (offset, limit))


def cluster(session: Session, cluster_id: str) -> ClusterRow | None:
    """A cluster, also one that is gone: its `successor` says where its members went. None: there never was one."""
    return session.get(ClusterRow, cluster_id)


def exemplars(session: Session, cluster_id: str, count: int = 5) -> list[RiskRow]:
    """The members closest to the centre, one an author; an author more than once only where there are too few."""
    asked = select(RiskRow).options(defer(RiskRow.embedding))
    asked = asked.where(RiskRow.cluster_id == cluster_id, RiskRow.similarity.is_not(None))
    closest = list(session.scalars(asked.order_by(RiskRow.similarity.desc(), RiskRow.id).limit(_EXEMPLARS_OF)))
    firsts: list[RiskRow] = []
    rest: list[RiskRow] = []
    seen: set[str] = set()
    for row in closest:
        author = row.author_id or row.post_id
        (rest if author in seen else firsts).append(row)
        seen.add(author)
    return [*firsts, *rest][:count]


def members(session: Session, cluster_id: str, offset: int = 0, limit: int = PAGE) -> Page[RiskRow]:
    """Members of a cluster, the latest first."""
    order = (RiskRow.observed_at.desc(), RiskRow.id.desc())
    asked = select(RiskRow).options(defer(RiskRow.embedding))
    return paged(session, asked, [RiskRow.cluster_id == cluster_id], RiskRow.id, order, (offset, limit))


def every_member(session: Session, cluster_id: str) -> Iterator[RiskRow]:
    """All members, the earliest first, for exports; few of them in memory at a time."""
    asked = select(RiskRow).where(RiskRow.cluster_id == cluster_id).order_by(RiskRow.observed_at, RiskRow.id)
    yield from session.scalars(asked.execution_options(yield_per=_AT_ONCE))


def every_cluster(session: Session, wanted: ClusterFilter) -> Iterator[ClusterRow]:
    """All clusters of a filter by id, for exports."""
    asked = select(ClusterRow).where(*_conditions(wanted)).order_by(ClusterRow.id)
    yield from session.scalars(asked.execution_options(yield_per=_AT_ONCE))


def timeline(session: Session, cluster_id: str) -> list[ClusterDayRow]:
    """Days of a cluster by revision, in order; days without a risk are left out."""
    asked = select(ClusterDayRow).where(ClusterDayRow.cluster_id == cluster_id)
    return list(session.scalars(asked.order_by(ClusterDayRow.day, ClusterDayRow.revision)))


def trends(session: Session, cluster_ids: Sequence[str], days: Sequence[str]) -> dict[str, list[int]]:
    """Risks of clusters on each of the days."""
    place = {day: at for at, day in enumerate(days)}
    found = {each: [0] * len(days) for each in cluster_ids}
    asked = select(ClusterDayRow.cluster_id, ClusterDayRow.day, ClusterDayRow.risks)
    asked = asked.where(ClusterDayRow.cluster_id.in_(cluster_ids), ClusterDayRow.day.in_(days))
    for cluster_id, day, risks in session.execute(asked):
        found[cluster_id][place[day]] += risks
    return found


def spread(session: Session, cluster_id: str, shown: int = 20) -> Spread:
    """Where the members of a cluster come from; modalities and languages stand in the cluster itself."""

    def counts(column: Any) -> dict[str, int]:
        asked = select(column, func.count()).where(RiskRow.cluster_id == cluster_id, column.is_not(None))
        rows = session.execute(asked.group_by(column).order_by(func.count().desc(), column).limit(shown))
        return {str(value): count for value, count in rows}

    by_author = counts(RiskRow.author_id)
    return Spread(counts(RiskRow.revision), counts(RiskRow.name), max(by_author.values(), default=0))


def history(session: Session, cluster_id: str) -> list[ClusterEventRow]:
    """What happened to a cluster, the latest first."""
    asked = select(ClusterEventRow).where(ClusterEventRow.cluster_id == cluster_id)
    return list(session.scalars(asked.order_by(ClusterEventRow.at.desc(), ClusterEventRow.id.desc())))


def risk(session: Session, risk_id: str) -> RiskRow | None:
    """One risk by its id; None where there is none, or none any more (see erasing.was_erased)."""
    return session.scalar(select(RiskRow).where(RiskRow.risk_id == risk_id))


def risk_of_post(session: Session, post_id: str) -> RiskRow | None:
    """The latest risk of a post."""
    asked = select(RiskRow).where(RiskRow.post_id == post_id).order_by(RiskRow.observed_at.desc())
    return session.scalar(asked.limit(1))


def revisions(session: Session) -> list[RevisionRow]:
    """Guard revisions that judged something, the latest first."""
    return list(session.scalars(select(RevisionRow).order_by(RevisionRow.first_seen.desc(), RevisionRow.revision)))


def rates(session: Session, wanted: RateFilter) -> dict[tuple[str, ...], int]:
    """Verdicts by parts: day, hour, revision, modality, outcome, category or stratum, in that order of the filter."""
    columns = {
        "day": func.substr(VerdictCountRow.hour, 1, 10),
        "hour": VerdictCountRow.hour,
        "revision": VerdictCountRow.revision,
        "modality": VerdictCountRow.modality,
        "outcome": VerdictCountRow.outcome,
        "category": VerdictCountRow.category,
        "stratum": VerdictCountRow.stratum,
    }
    parts: list[Any] = [columns[part].label(part) for part in wanted.parts]
    asked = select(*parts, func.sum(VerdictCountRow.verdicts))
    asked = asked.where(VerdictCountRow.hour >= hour_of(wanted.since), VerdictCountRow.hour < hour_of(wanted.until))
    for column, value in (("revision", wanted.revision), ("modality", wanted.modality), ("category", wanted.category)):
        if value is not None:
            asked = asked.where(columns[column] == value)
    rows = session.execute(asked.group_by(*parts))
    return {tuple(str(each) for each in row[:-1]): int(row[-1]) for row in rows}


def centroids(session: Session) -> dict[str, Any]:
    """Centres of the clusters that take members, as unit vectors by id."""
    asked = select(ClusterRow.id, ClusterRow.centroid).where(ClusterRow.state != ClusterState.GONE)
    return {cluster_id: np.asarray(centroid) for cluster_id, centroid in session.execute(asked)}


def hour_of(time: datetime) -> str:
    """The hour of an aware UTC time, as verdicts are counted by."""
    return time.strftime("%Y-%m-%dT%H")


def paged(
    session: Session,
    asked: Select[Any],
    conditions: Sequence[ColumnElement[bool]],
    key: InstrumentedAttribute[Any],
    order: Sequence[Any],
    span: tuple[int, int],
    total: int | None = None,
) -> Page[Any]:
    """A page of the rows that are asked for, under the conditions. key: the rows' primary key: rows are wide, so that
    they are counted and sorted by it, and only those of the page are read. span: rows before the page, rows of it.
    total: of all, where it is known already.
    """
    offset, limit = span
    matching = select(key).where(*conditions)
    if total is None:
        total = session.scalar(select(func.count()).select_from(matching.subquery())) or 0
    here = list(session.scalars(matching.order_by(*order).offset(offset).limit(limit)))
    return Page(session.scalars(asked.where(key.in_(here)).order_by(*order)).all(), total, offset)


def _conditions(wanted: ClusterFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [ClusterRow.state.in_(wanted.states), ClusterRow.size >= wanted.min_size]
    if wanted.emerging is not None:
        found.append(ClusterRow.emerging.is_(wanted.emerging))
    if wanted.modality is not None:
        found.append(ClusterRow.modalities[wanted.modality].as_string().is_not(None))
    if wanted.language is not None:
        found.append(ClusterRow.languages[wanted.language].as_string().is_not(None))
    if wanted.nearest is not None:
        found.append(ClusterRow.nearest_code == wanted.nearest)
    if wanted.owner is not None:
        found.append(ClusterRow.owner == wanted.owner)
    if wanted.since is not None:
        found.append(ClusterRow.last_seen >= wanted.since)
    if wanted.snoozed_at is not None:
        found.append((ClusterRow.snoozed_until.is_(None)) | (ClusterRow.snoozed_until <= wanted.snoozed_at))
    return found


def _shares(session: Session, span: RateFilter, part: str) -> list[Share]:
    counted = rates(session, RateFilter(span.since, span.until, parts=(part, "outcome")))
    total = sum(counted.values())
    judged: dict[str, int] = {}
    for (name, _), count in counted.items():
        judged[name] = judged.get(name, 0) + count
    unsafe = {name: count for (name, outcome), count in counted.items() if outcome == "unsafe"}
    if part == "category":
        found = [Share(name, count, total) for name, count in unsafe.items()]
    else:
        found = [Share(name, unsafe.get(name, 0), count) for name, count in judged.items()]
    return sorted(found, key=lambda each: (-each.part, each.name))


def _days(now: datetime, count: int) -> list[str]:
    return [(now - timedelta(days=back)).strftime("%Y-%m-%d") for back in range(count - 1, -1, -1)]


def _start(days: Sequence[str]) -> datetime:
    return datetime.fromisoformat(f"{days[0]}T00:00:00+00:00")
