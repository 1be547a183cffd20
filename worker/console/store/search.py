"""Search over names and rationales of risks, and over the names of clusters: one function for both databases."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy import text as clause
from sqlalchemy.orm import Session, defer

from worker.console.store.models import ClusterRow, ClusterState, RiskRow
from worker.console.store.reading import PAGE, Page, paged

_WORDS = re.compile(r"\w+")
_MAX_WORDS = 12
_CLUSTERS = 20
_MATCHING = "SELECT rowid FROM risks_text WHERE risks_text MATCH :query"
# Of SQLite: from so many matches on they are looked for along the times.
_MANY = 10_000


@dataclass(frozen=True, slots=True)
class RiskFilter:
    """Which risks; None leaves a part open. since, until: of observation, until without the time itself."""

    cluster_id: str | None = None
    modality: str | None = None
    language: str | None = None
    revision: str | None = None
    nearest: str | None = None
    author_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """risks, the latest first; clusters whose name has all the words, the largest first."""

    risks: Page[RiskRow]
    clusters: list[ClusterRow]


def search(session: Session, query: str, wanted: RiskFilter | None = None, offset: int = 0, limit: int = PAGE) -> Found:
    """Risks with all words of the query, the last one as a beginning; without words all of the filter.

    Anything may stand in a query: only its letters and digits count, and at most twelve words.
    """
    words = [_lower(word) for word in _WORDS.findall(query)[:_MAX_WORDS]]
    total: int | None = None
    conditions: list[Any] = [*_conditions(wanted or RiskFilter())]
    if words and session.get_bind().dialect.name == "sqlite":
        conditions, total = _in_sqlite(session, words, conditions)
    elif words:
        lexemes = " & ".join(f"'{word}'" for word in words) + ":*"
        conditions.append(clause("risks.words @@ to_tsquery('simple', :query)").bindparams(query=lexemes))
    asked, order = select(RiskRow).options(defer(RiskRow.embedding)), (RiskRow.observed_at.desc(), RiskRow.id.desc())
    risks = paged(session, asked, conditions, RiskRow.id, order, (offset, limit), total)
    return Found(risks, _clusters(session, words))


def _in_sqlite(session: Session, words: list[str], conditions: list[Any]) -> tuple[list[Any], int]:
    """All conditions, and how many risks meet them.

    SQLite fetches every match from the table by its rowid and sorts them, also where nearly all risks match. Those are
    better met by walking along the times until the page is full: the + keeps it from the rowid.
    """
    quoted = " ".join(f'"{word}"' for word in words) + "*"
    matching = clause(_MATCHING).bindparams(query=quoted)
    if conditions:
        met = select(RiskRow.id).where(*conditions, RiskRow.id.in_(matching)).subquery()
        total = session.scalar(select(func.count()).select_from(met)) or 0
    else:
        total = session.scalar(clause(f"SELECT count(*) FROM ({_MATCHING})").bindparams(query=quoted)) or 0
    if total < _MANY:
        return [*conditions, RiskRow.id.in_(matching)], total
    return [*conditions, clause(f"+risks.id IN ({_MATCHING})").bindparams(query=quoted)], total


def _clusters(session: Session, words: list[str]) -> list[ClusterRow]:
    if not words:
        return []
    asked = select(ClusterRow).options(defer(ClusterRow.centroid)).where(ClusterRow.state != ClusterState.GONE)
    for word in words:
        part = func.lower(word.replace("_", "/_"))
        asked = asked.where(func.lower(ClusterRow.name).contains(part, escape="/"))
    return list(session.scalars(asked.order_by(ClusterRow.size.desc(), ClusterRow.id).limit(_CLUSTERS)))


def _lower(word: str) -> str:
    """As both indexes have it. What is longer in small letters (İ) is left to them: its new mark would be no letter."""
    small = word.lower()
    return small if len(small) == len(word) else word


def _conditions(wanted: RiskFilter) -> list[ColumnElement[bool]]:
    equal = {
        RiskRow.cluster_id: wanted.cluster_id,
        RiskRow.modality: wanted.modality,
        RiskRow.language: wanted.language,
        RiskRow.revision: wanted.revision,
        RiskRow.nearest_code: wanted.nearest,
        RiskRow.author_id: wanted.author_id,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if wanted.since is not None:
        found.append(RiskRow.observed_at >= wanted.since)
    if wanted.until is not None:
        found.append(RiskRow.observed_at < wanted.until)
    return found
