"""What addresses may hold: bounded, so that nothing reaches the database that it could choke on."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query
from pydantic import AfterValidator, BeforeValidator, StringConstraints

from worker.console.store.models import ClusterState
from worker.console.store.reading import PAGE, ClusterFilter
from worker.console.store.search import RiskFilter

# PostgreSQL refuses NUL, and no id has control characters.
_PLAIN = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_MAX_OFFSET = 10_000_000
MAX_VERSION = 2**31 - 1

Sort = Literal["burst", "size", "growth", "last_seen", "first_seen", "name", "severity"]
State = Literal["waiting", "open", "confirmed", "merged", "rejected", "all"]


def _blank(value: Any) -> Any:
    """An empty field of a form is no value."""
    return None if value == "" else value


def _usual(value: date | None) -> date | None:
    if value is not None and not 1970 <= value.year <= 2999:
        raise ValueError("must be between 1970 and 2999")
    return value


Plain = Annotated[str, StringConstraints(max_length=512, pattern=_PLAIN)]
Words = Annotated[str, Query(max_length=500, description="All of these words, the last one as a beginning.")]
Optional = Annotated[Plain | None, BeforeValidator(_blank)]
Day = Annotated[date | None, BeforeValidator(_blank), AfterValidator(_usual)]
ClusterId = Annotated[str, Path(pattern=r"^R[0-9]{1,18}$")]
RowId = Annotated[int, Query(ge=1, le=2**53)]
Offset = Annotated[int, Query(ge=0, le=_MAX_OFFSET)]
Limit = Annotated[int, Query(ge=1, le=200)]

_STATES: dict[str, tuple[ClusterState, ...]] = {
    "waiting": (ClusterState.OPEN,),
    "all": (ClusterState.OPEN, ClusterState.CONFIRMED, ClusterState.MERGED, ClusterState.REJECTED),
}


@dataclass(frozen=True, slots=True)
class ClusterQuery:
    """Filters of clusters as an address holds them; `given` is what links repeat."""

    state: State
    sort: Sort
    emerging: bool
    modality: str | None
    language: str | None
    nearest: str | None
    owner: str | None
    since: date | None
    min_size: int

    @property
    def given(self) -> dict[str, Any]:
        """The parameters that are not at their default."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in said.items() if value not in (None, False, 0, "all", "burst")}

    def filter(self, now: datetime) -> ClusterFilter:
        """As the store takes it."""
        return ClusterFilter(
            states=_STATES.get(self.state) or (ClusterState(self.state),),
            emerging=True if self.emerging else None,
            modality=self.modality,
            language=self.language,
            nearest=self.nearest,
            owner=self.owner,
            since=midnight(self.since),
            min_size=self.min_size,
            snoozed_at=now if self.state == "waiting" else None,
            sort=self.sort,
        )


def cluster_query(
    state: State = "all",
    sort: Sort = "burst",
    emerging: bool = False,
    modality: Annotated[Optional, Query()] = None,
    language: Annotated[Optional, Query()] = None,
    nearest: Annotated[Optional, Query()] = None,
    owner: Annotated[Optional, Query()] = None,
    since: Annotated[Day, Query()] = None,
    min_size: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> ClusterQuery:
    """From an address."""
    return ClusterQuery(state, sort, emerging, modality, language, nearest, owner, since, min_size)


def risk_filter(
    modality: Annotated[Optional, Query()] = None,
    language: Annotated[Optional, Query()] = None,
    revision: Annotated[Optional, Query()] = None,
    nearest: Annotated[Optional, Query()] = None,
    since: Annotated[Day, Query()] = None,
    until: Annotated[Day, Query(description="This day included.")] = None,
) -> RiskFilter:
    """From an address."""
    end = None if until is None else midnight(until + timedelta(days=1))
    return RiskFilter(None, modality, language, revision, nearest, None, midnight(since), end)


def midnight(day: date | None) -> datetime | None:
    """The begin of a day in UTC."""
    return None if day is None else datetime.combine(day, time(), UTC)


Clusters = Annotated[ClusterQuery, Depends(cluster_query)]
Risks = Annotated[RiskFilter, Depends(risk_filter)]

__all__ = [
    "MAX_VERSION",
    "PAGE",
    "ClusterId",
    "ClusterQuery",
    "Clusters",
    "Day",
    "Limit",
    "Offset",
    "Optional",
    "Plain",
    "Risks",
    "RowId",
    "Words",
    "midnight",
]
