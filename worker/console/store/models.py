"""The store's tables. What a column means stands here; what is done with them in the modules beside.

Content of posts lies in `risks` and `queue` only. Whatever concerns minors is in neither (law 11).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import JSON, BigInteger, Enum, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy import text as text_clause
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from worker.console.store.columns import SafeText, UtcTime, Vector

# SQLite counts rows by itself only where the key is an INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")
MOST_ID_CHARACTERS, MOST_TOPIC_CHARACTERS = 512, 249
_ID = String(MOST_ID_CHARACTERS)
MOST_CODE_CHARACTERS, MOST_CLUSTER_CHARACTERS = 16, 64
MOST_PARTITION, MOST_OFFSET = 2**31 - 1, 2**63 - 1
_CODE = String(MOST_CODE_CHARACTERS)
_SHORT = String(MOST_CLUSTER_CHARACTERS)


def _choice(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=16, values_callable=lambda each: [member.value for member in each])


class Base(DeclarativeBase):
    """Of all tables."""

    type_annotation_map = {str: SafeText, datetime: UtcTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


class ClusterState(StrEnum):
    """open: nobody decided; the others: what the last decision that stands says. gone: merged with another cluster."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    MERGED = "merged"
    REJECTED = "rejected"
    GONE = "gone"


class Change(StrEnum):
    """What happened to a cluster."""

    CREATED = "created"
    RENAMED = "renamed"
    SPLIT = "split"
    MERGED = "merged"
    GONE = "gone"
    EMERGED = "emerged"
    HELD = "held"
    CALMED = "calmed"
    REVIEWED = "reviewed"
    UNDONE = "undone"
    SNOOZED = "snoozed"
    CHANGED = "changed"


class Stratum(StrEnum):
    """Of which verdicts a post of the audit sample was drawn."""

    SAFE = "safe"
    UNDETERMINED = "undetermined"
    PASSED = "passed"


class OffsetRow(Base):
    """Where reading goes on: written in the transaction that holds what was read before it."""

    __tablename__ = "offsets"
    topic: Mapped[str] = mapped_column(String(MOST_TOPIC_CHARACTERS), primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    next_offset: Mapped[int] = mapped_column(BigInteger)


class ClusterRow(Base):
    """A crowd of like risks. id: `R` and a number, never given twice.

    version rises with each change that a reviewer sees, so that two decisions at once are found out.
    burst: authors of the last day against the cluster's own past, a ratio of rates with its 95 % interval and p-value;
    growth: the same of the last seven days against the seven before (mining/burst.py). None: not enough past; a ratio
    of None that has a low bound: nothing before.
    """

    __tablename__ = "clusters"
    id: Mapped[str] = mapped_column(_SHORT, primary_key=True)
    name: Mapped[str] = mapped_column()
    named_by: Mapped[str | None] = mapped_column(_ID)
    words: Mapped[list[Any]] = mapped_column(default=list)
    state: Mapped[ClusterState] = mapped_column(_choice(ClusterState), default=ClusterState.OPEN)
    code: Mapped[str | None] = mapped_column(_CODE)
    successor: Mapped[str | None] = mapped_column(_SHORT)
    version: Mapped[int] = mapped_column(default=1)
    centroid: Mapped[NDArray[np.float32]] = mapped_column(Vector)
    nearest_code: Mapped[str | None] = mapped_column(_CODE)
    nearest_similarity: Mapped[float | None]
    created_at: Mapped[datetime]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    size: Mapped[int] = mapped_column(default=0)
    authors: Mapped[int] = mapped_column(default=0)
    last_day: Mapped[int] = mapped_column(default=0)
    modalities: Mapped[dict[str, Any]] = mapped_column(default=dict)
    languages: Mapped[dict[str, Any]] = mapped_column(default=dict)
    emerging: Mapped[bool] = mapped_column(default=False)
    emerging_since: Mapped[datetime | None]
    held_since: Mapped[datetime | None]
    held_revision: Mapped[str | None]
    burst_at: Mapped[datetime | None]
    burst_ratio: Mapped[float | None]
    burst_low: Mapped[float | None]
    burst_high: Mapped[float | None]
    burst_p: Mapped[float | None]
    growth: Mapped[float | None]
    growth_low: Mapped[float | None]
    growth_high: Mapped[float | None]
    severity: Mapped[str | None] = mapped_column(_SHORT)
    action: Mapped[str | None] = mapped_column(_SHORT)
    owner: Mapped[str | None] = mapped_column(_ID)
    due_at: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]
    __table_args__ = (Index("clusters_by_state", "state", "emerging", "last_seen"),)


class RiskRow(Base):
    """A novel risk, with its post once the retraining hit was read. cluster_id None: not assigned, or noise.

    embedding: unit vector of 384 numbers; assigned_by: online or batch; similarity: cosine to the centre then.
    """

    __tablename__ = "risks"
    id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    risk_id: Mapped[str] = mapped_column(_ID, unique=True)
    post_id: Mapped[str] = mapped_column(_ID, index=True)
    author_id: Mapped[str | None] = mapped_column(_ID, index=True)
    observed_at: Mapped[datetime] = mapped_column(index=True)
    name: Mapped[str]
    rationale: Mapped[str]
    nearest_code: Mapped[str | None] = mapped_column(_CODE)
    nearest_similarity: Mapped[float | None]
    guard_name: Mapped[str]
    revision: Mapped[str]
    policy_version: Mapped[str]
    source_topic: Mapped[str] = mapped_column(String(MOST_TOPIC_CHARACTERS))
    source_partition: Mapped[int]
    source_offset: Mapped[int] = mapped_column(BigInteger)
    modality: Mapped[str | None] = mapped_column(_SHORT)
    language: Mapped[str | None] = mapped_column(_SHORT)
    text: Mapped[str | None]
    response: Mapped[str | None]
    images: Mapped[list[Any]] = mapped_column(default=list)
    post_truncated: Mapped[bool] = mapped_column(default=False)
    embedding: Mapped[NDArray[np.float32] | None] = mapped_column(Vector)
    cluster_id: Mapped[str | None] = mapped_column(ForeignKey("clusters.id"))
    similarity: Mapped[float | None]
    assigned_by: Mapped[str | None] = mapped_column(_SHORT)
    __table_args__ = (
        Index("risks_of_cluster", "cluster_id", "observed_at"),
        # What a cluster's page counts is read from these alone: the rows of a large cluster are most of the table's.
        Index("risks_closest", "cluster_id", "similarity", "revision", "name"),
        Index("risks_by_author", "cluster_id", "author_id"),
        Index("risks_by_revision", "revision", "observed_at"),
        Index(
            "risks_waiting",
            "observed_at",
            sqlite_where=text_clause("embedding IS NULL"),
            postgresql_where=text_clause("embedding IS NULL"),
        ),
    )


class ClusterDayRow(Base):
    """Risks of a cluster a day (UTC, ISO date) and revision. Kept when the risks themselves expire."""

    __tablename__ = "cluster_days"
    cluster_id: Mapped[str] = mapped_column(ForeignKey("clusters.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    revision: Mapped[str] = mapped_column(String(512), primary_key=True)
    risks: Mapped[int]
    authors: Mapped[int]


class ClusterEventRow(Base):
    """History of a cluster: renames, splits, merges, bursts, decisions. detail: numbers, names, other clusters."""

    __tablename__ = "cluster_events"
    id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    cluster_id: Mapped[str] = mapped_column(ForeignKey("clusters.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    change: Mapped[Change] = mapped_column(_choice(Change))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class VerdictCountRow(Base):
    """Verdicts of an hour (UTC, YYYY-MM-DDTHH). category: a code of the policy, novel, hallucinated or none."""

    __tablename__ = "verdict_counts"
    hour: Mapped[str] = mapped_column(String(13), primary_key=True)
    revision: Mapped[str] = mapped_column(String(512), primary_key=True)
    modality: Mapped[str] = mapped_column(_SHORT, primary_key=True)
    outcome: Mapped[str] = mapped_column(_SHORT, primary_key=True)
    category: Mapped[str] = mapped_column(_SHORT, primary_key=True)
    stratum: Mapped[str] = mapped_column(_SHORT, primary_key=True)
    verdicts: Mapped[int]


class RevisionRow(Base):
    """A guard revision that judged something."""

    __tablename__ = "revisions"
    revision: Mapped[str] = mapped_column(String(512), primary_key=True)
    guard_name: Mapped[str]
    first_seen: Mapped[datetime] = mapped_column(index=True)
    last_seen: Mapped[datetime]


class ReviewRow(Base):
    """A decision, never changed but for published_at (None: not on the topic yet). undoes: the review withdrawn.

    before: state, name and code of the cluster, for undoing. posts: the members that it speaks of, as published.
    """

    __tablename__ = "reviews"
    review_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    cluster_id: Mapped[str | None] = mapped_column(_SHORT, index=True)
    post_id: Mapped[str | None] = mapped_column(_ID, index=True)
    decision: Mapped[str] = mapped_column(_SHORT)
    name: Mapped[str | None]
    code: Mapped[str | None] = mapped_column(_CODE)
    synonyms: Mapped[list[Any]] = mapped_column(default=list)
    posts: Mapped[list[Any]] = mapped_column(default=list)
    note: Mapped[str | None]
    reviewer: Mapped[str] = mapped_column(_ID)
    reviewed_at: Mapped[datetime] = mapped_column(index=True)
    undoes: Mapped[str | None] = mapped_column(_ID, unique=True)
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)
    published_at: Mapped[datetime | None] = mapped_column(index=True)


class QueueRow(Base):
    """A post of the audit sample that waits for a person. Pages show it as any other post: stratum is not told.

    draw: the number in [0, 1) by which it was drawn; of a day and stratum those with the smallest stay. label: unsafe,
    safe or unsure. missing: why its content cannot be had.
    """

    __tablename__ = "queue"
    id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    verdict_id: Mapped[str] = mapped_column(_ID, unique=True)
    post_id: Mapped[str] = mapped_column(_ID, index=True)
    author_id: Mapped[str | None] = mapped_column(_ID, index=True)
    stratum: Mapped[Stratum] = mapped_column(_choice(Stratum))
    judged_at: Mapped[datetime] = mapped_column(index=True)
    draw: Mapped[float]
    order_key: Mapped[str] = mapped_column(String(32))
    revision: Mapped[str]
    modality: Mapped[str] = mapped_column(_SHORT)
    language: Mapped[str | None] = mapped_column(_SHORT)
    source_topic: Mapped[str] = mapped_column(String(MOST_TOPIC_CHARACTERS))
    source_partition: Mapped[int]
    source_offset: Mapped[int] = mapped_column(BigInteger)
    fetched_at: Mapped[datetime | None]
    text: Mapped[str | None]
    response: Mapped[str | None]
    images: Mapped[list[Any]] = mapped_column(default=list)
    missing: Mapped[str | None]
    claimed_by: Mapped[str | None] = mapped_column(_ID)
    claimed_until: Mapped[datetime | None]
    label: Mapped[str | None] = mapped_column(_SHORT)
    code: Mapped[str | None] = mapped_column(_CODE)
    labelled_by: Mapped[str | None] = mapped_column(_ID)
    labelled_at: Mapped[datetime | None]
    __table_args__ = (Index("queue_open", "label", "fetched_at", "order_key"),)


class AuditRow(Base):
    """Who did what in the console. detail never holds a post's content."""

    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(_ID)
    what: Mapped[str] = mapped_column(_SHORT)
    subject: Mapped[str] = mapped_column(_ID)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ErasureRow(Base):
    """A post that was erased, by the SHA-256 of its id: what was observed up to then never comes back.

    erased_at: the last day of the year 9999 where a person found that it concerns minors.
    """

    __tablename__ = "erasures"
    post_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    erased_at: Mapped[datetime] = mapped_column(index=True)


class NoticeRow(Base):
    """What a webhook is to be told, once: a cluster that began to emerge."""

    __tablename__ = "notices"
    id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    cluster_id: Mapped[str] = mapped_column(ForeignKey("clusters.id", ondelete="CASCADE"))
    emerging_since: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None] = mapped_column(index=True)
    __table_args__ = (UniqueConstraint("cluster_id", "emerging_since"),)


class NoteRow(Base):
    """One value of the mining process: the next cluster number, the encoder, when risks were last clustered anew."""

    __tablename__ = "notes"
    key: Mapped[str] = mapped_column(_SHORT, primary_key=True)
    value: Mapped[dict[str, Any]]
