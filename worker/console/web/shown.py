"""What of the store's rows is shown, and how: the law on minors, and what is only shown when asked for.

Every page, export and answer of the API takes posts and clusters through here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from proguard_core.policy.policy import concerns_minors
from schemas.common import CategoryKind
from worker.console.store.minors import WITHHELD as WITHHELD_CODES
from worker.console.store.minors import means_minors
from worker.console.store.models import ClusterRow, QueueRow, RiskRow

WITHHELD = "(withheld)"


@dataclass(frozen=True, slots=True)
class Pictures:
    """How many a post has, and how the console serves them: `picture?KIND=ID&n=0`."""

    kind: str
    of: str
    count: int


@dataclass(frozen=True, slots=True)
class ShownRisk:
    """A member as pages show it. severe: its text is behind a warning."""

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
    pictures: Pictures
    severe: bool


def is_withheld(row: RiskRow | ClusterRow) -> bool:
    """Law 11, again: the store takes in nothing of the kind, but the store is not what a page trusts."""
    decided = row.code if isinstance(row, ClusterRow) else None
    near = concerns_minors(CategoryKind.NOVEL, None, row.nearest_code)
    return near or decided in WITHHELD_CODES or means_minors([row.name])


def is_severe(code: str | None, severe: Sequence[str]) -> bool:
    """Whether a code is one of these, or below one of them."""
    return code is not None and (code in severe or code.partition("S")[0] in severe)


def cluster_name(row: ClusterRow) -> str:
    """The name of a cluster, where it may be said."""
    return WITHHELD if is_withheld(row) else row.name


def shown_risk(row: RiskRow, severe: Sequence[str], cluster: ClusterRow | None = None) -> ShownRisk | None:
    """A member; None where nothing of it may be shown. cluster: the one that it is shown in."""
    if is_withheld(row) or (cluster is not None and is_withheld(cluster)):
        return None
    near = is_severe(row.nearest_code, severe)
    above = cluster is not None and (
        cluster.severity in ("high", "critical")
        or is_severe(cluster.nearest_code, severe)
        or is_severe(cluster.code, severe)
    )
    return ShownRisk(
        risk_id=row.risk_id,
        post_id=row.post_id,
        author_id=row.author_id,
        observed_at=row.observed_at,
        name=row.name,
        rationale=row.rationale,
        nearest_code=row.nearest_code,
        nearest_similarity=row.nearest_similarity,
        revision=row.revision,
        policy_version=row.policy_version,
        source=f"{row.source_topic}:{row.source_partition}:{row.source_offset}",
        modality=row.modality,
        language=row.language,
        text=row.text,
        response=row.response,
        truncated=row.post_truncated,
        similarity=row.similarity,
        cluster_id=row.cluster_id,
        pictures=Pictures("risk", row.risk_id, len(row.images)),
        severe=near or above,
    )


def shown_risks(rows: Sequence[RiskRow], severe: Sequence[str], clusters: Mapping[str, ClusterRow]) -> list[ShownRisk]:
    """Those that may be shown. clusters: those that the rows lie in, by id."""
    found = (shown_risk(row, severe, clusters.get(row.cluster_id or "")) for row in rows)
    return [each for each in found if each is not None]


def shown_post(row: QueueRow) -> dict[str, Any]:
    """A post of the review queue: nothing that tells how it came there."""
    return {
        "id": row.id,
        "text": row.text,
        "response": row.response,
        "modality": row.modality,
        "language": row.language,
        "pictures": Pictures("post", str(row.id), len(row.images)),
    }


def cluster_facts(row: ClusterRow) -> dict[str, Any]:
    """A cluster for exports, the API and the webhook: plain values. JSON has no infinity, so that is None."""
    facts = _facts(row)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in facts.items()
    }


def _facts(row: ClusterRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": cluster_name(row),
        "state": row.state.value,
        "code": row.code,
        "words": [] if is_withheld(row) else [str(each) for each in row.words],
        "version": row.version,
        "emerging": row.emerging,
        "emerging_since": row.emerging_since,
        "held_since": row.held_since,
        "nearest_code": row.nearest_code,
        "nearest_similarity": row.nearest_similarity,
        "size": row.size,
        "authors": row.authors,
        "last_day": row.last_day,
        "first_seen": row.first_seen,
        "last_seen": row.last_seen,
        "burst_ratio": row.burst_ratio,
        "burst_low": row.burst_low,
        "burst_high": row.burst_high,
        "burst_p": row.burst_p,
        "growth": row.growth,
        "growth_low": row.growth_low,
        "growth_high": row.growth_high,
        "modalities": dict(row.modalities),
        "languages": dict(row.languages),
        "severity": row.severity,
        "action": row.action,
        "owner": row.owner,
        "due_at": row.due_at,
        "snoozed_until": row.snoozed_until,
        "successor": row.successor,
    }
