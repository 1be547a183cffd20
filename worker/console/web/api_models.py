"""What the API takes and gives."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.common import Code
from schemas.review import Decision, Phrase
from worker.console.store.audit import Label
from worker.console.web.deciding import ACTIONS, MAX_NOTE, MAX_SNOOZE_DAYS, MAX_SYNONYMS, SEVERITIES
from worker.console.web.inputs import MAX_VERSION, Day, Plain

ShortCode = Annotated[Code, Field(max_length=16)]


class Given(BaseModel):
    """Base of bodies: a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid")


class DecisionGiven(Given):
    """version: of the cluster as it was seen; another one since then is answered with 409."""

    decision: Decision
    version: int = Field(ge=0, le=MAX_VERSION)
    name: Phrase | None = None
    code: ShortCode | None = None
    synonyms: list[Phrase] = Field(default_factory=list, max_length=MAX_SYNONYMS)
    note: str | None = Field(None, max_length=MAX_NOTE)


class SnoozeGiven(Given):
    """0 wakes it."""

    days: int = Field(ge=0, le=MAX_SNOOZE_DAYS)


class PlanGiven(Given):
    """What is to be done about a cluster; what is left out is taken away. version: as with decisions, if it is said."""

    version: int | None = Field(None, ge=0, le=MAX_VERSION)
    severity: Literal[SEVERITIES] | None = None  # type: ignore[valid-type]
    action: Literal[ACTIONS] | None = None  # type: ignore[valid-type]
    owner: Annotated[Plain, Field(max_length=200)] | None = None
    due: Day = None


class LabelGiven(Given):
    """What a person says of a post of the queue."""

    label: Label
    code: ShortCode | None = None


class EraseGiven(Given):
    """Exactly one of both."""

    author_id: Plain | None = None
    post_id: Plain | None = None


class ClusterFacts(BaseModel):
    """A cluster; names and words of what is withheld are not told."""

    id: str
    name: str
    state: str
    code: str | None
    words: list[str]
    version: int
    emerging: bool
    emerging_since: datetime | None
    held_since: datetime | None
    nearest_code: str | None
    nearest_similarity: float | None
    size: int
    authors: int
    last_day: int
    first_seen: datetime
    last_seen: datetime
    burst_ratio: float | None
    burst_low: float | None
    burst_high: float | None
    burst_p: float | None
    growth: float | None
    growth_low: float | None
    growth_high: float | None
    modalities: dict[str, Any]
    languages: dict[str, Any]
    severity: str | None
    action: str | None
    owner: str | None
    due_at: datetime | None
    snoozed_until: datetime | None
    successor: str | None


class ClusterPage(BaseModel):
    """Some of `total`."""

    total: int
    offset: int
    clusters: list[ClusterFacts]


class RiskFacts(BaseModel):
    """A member. Its pictures are served at /picture?risk=ID&n=0."""

    risk_id: str
    post_id: str
    author_id: str | None
    observed_at: datetime
    name: str
    rationale: str
    nearest_code: str | None
    nearest_similarity: float | None
    revision: str
    policy_version: str
    source: str
    modality: str | None
    language: str | None
    text: str | None
    response: str | None
    truncated: bool
    similarity: float | None
    cluster_id: str | None
    severe: bool
    pictures: int


class RiskPage(BaseModel):
    """Some of `total`; what is withheld is counted and not given."""

    total: int
    offset: int
    risks: list[RiskFacts]


class ReviewFacts(BaseModel):
    """A decision. counts: False where a second person must agree first. undoes: the one that it withdraws."""

    review_id: str
    cluster: str | None
    post: str | None
    decision: str
    name: str | None
    code: str | None
    synonyms: list[str]
    reviewer: str
    reviewed_at: datetime
    undoes: str | None
    counts: bool = True


class EventFacts(BaseModel):
    """Something that happened to a cluster."""

    at: datetime
    change: str
    detail: dict[str, Any]


class OverviewFacts(BaseModel):
    """What is new. trends: risks of a cluster on each of the days."""

    emerging: list[ClusterFacts]
    held: list[ClusterFacts]
    days: list[str]
    trends: dict[str, list[int]]
    risks: int
    clusters: int
    verdicts: int
    latest: datetime | None


class Interval(BaseModel):
    """A value with its 95 % interval; None where it is not bounded."""

    value: float
    low: float
    high: float | None


class PrevalenceFacts(BaseModel):
    """Unsafe posts that the guard did not call so, estimated from the audit sample."""

    since: datetime
    until: datetime
    found: int
    posts: Interval | None
    missed: Interval | None


class RevisionFacts(BaseModel):
    """A guard revision that judged something."""

    revision: str
    guard_name: str
    first_seen: datetime
    last_seen: datetime


class PostFacts(BaseModel):
    """A post that waits for a label, claimed for ten minutes. pictures: served at /picture?post=ID&n=0."""

    id: int
    text: str | None
    response: str | None
    modality: str
    language: str | None
    pictures: int


class Done(BaseModel):
    """It is done."""

    done: bool = True


class Erased(BaseModel):
    """How many rows went."""

    risks: int
    queued: int


class Problem(BaseModel):
    """Why not."""

    error: str
    detail: str
