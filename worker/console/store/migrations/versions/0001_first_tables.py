"""The first tables."""

import sqlalchemy as sa
from alembic import op

from worker.console.store.migrations import full_text

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make them."""
    _audit_log()
    _clusters()
    _erasures()
    _notes()
    _offsets()
    _queue()
    _reviews()
    _revisions()
    _verdict_counts()
    _cluster_days()
    _cluster_events()
    _notices()
    _risks()
    full_text.create(op.get_bind())


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(512), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(512), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])


def _clusters() -> None:
    op.create_table(
        "clusters",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("named_by", sa.String(512)),
        sa.Column("words", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("code", sa.String(16)),
        sa.Column("successor", sa.String(64)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("centroid", sa.LargeBinary, nullable=False),
        sa.Column("nearest_code", sa.String(16)),
        sa.Column("nearest_similarity", sa.Double),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("authors", sa.Integer, nullable=False),
        sa.Column("last_day", sa.Integer, nullable=False),
        sa.Column("modalities", sa.JSON, nullable=False),
        sa.Column("languages", sa.JSON, nullable=False),
        *_bursts(),
        sa.Column("growth", sa.Double),
        sa.Column("growth_low", sa.Double),
        sa.Column("growth_high", sa.Double),
        sa.Column("severity", sa.String(64)),
        sa.Column("action", sa.String(64)),
        sa.Column("owner", sa.String(512)),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("snoozed_until", sa.DateTime(timezone=True)),
    )
    op.create_index("clusters_by_state", "clusters", ["state", "emerging", "last_seen"])


def _bursts() -> list[sa.Column[object]]:
    return [
        sa.Column("emerging", sa.Boolean, nullable=False),
        sa.Column("emerging_since", sa.DateTime(timezone=True)),
        sa.Column("held_since", sa.DateTime(timezone=True)),
        sa.Column("held_revision", sa.Text),
        sa.Column("burst_at", sa.DateTime(timezone=True)),
        sa.Column("burst_ratio", sa.Double),
        sa.Column("burst_low", sa.Double),
        sa.Column("burst_high", sa.Double),
        sa.Column("burst_p", sa.Double),
    ]


def _erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("post_hash", sa.String(64), primary_key=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_erasures_erased_at", "erasures", ["erased_at"])


def _notes() -> None:
    op.create_table(
        "notes",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )


def _offsets() -> None:
    op.create_table(
        "offsets",
        sa.Column("topic", sa.String(249), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )


def _queue() -> None:
    op.create_table(
        "queue",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("verdict_id", sa.String(512), nullable=False, unique=True),
        sa.Column("post_id", sa.String(512), nullable=False),
        sa.Column("author_id", sa.String(512)),
        sa.Column("stratum", sa.String(16), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("draw", sa.Double, nullable=False),
        sa.Column("order_key", sa.String(32), nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("modality", sa.String(64), nullable=False),
        sa.Column("language", sa.String(64)),
        sa.Column("source_topic", sa.String(249), nullable=False),
        sa.Column("source_partition", sa.Integer, nullable=False),
        sa.Column("source_offset", sa.BigInteger, nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True)),
        sa.Column("text", sa.Text),
        sa.Column("response", sa.Text),
        sa.Column("images", sa.JSON, nullable=False),
        sa.Column("missing", sa.Text),
        sa.Column("claimed_by", sa.String(512)),
        sa.Column("claimed_until", sa.DateTime(timezone=True)),
        sa.Column("label", sa.String(64)),
        sa.Column("code", sa.String(16)),
        sa.Column("labelled_by", sa.String(512)),
        sa.Column("labelled_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_queue_author_id", "queue", ["author_id"])
    op.create_index("ix_queue_judged_at", "queue", ["judged_at"])
    op.create_index("ix_queue_post_id", "queue", ["post_id"])
    op.create_index("queue_open", "queue", ["label", "fetched_at", "order_key"])


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("review_id", sa.String(512), primary_key=True),
        sa.Column("cluster_id", sa.String(64)),
        sa.Column("post_id", sa.String(512)),
        sa.Column("decision", sa.String(64), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("code", sa.String(16)),
        sa.Column("synonyms", sa.JSON, nullable=False),
        sa.Column("posts", sa.JSON, nullable=False),
        sa.Column("note", sa.Text),
        sa.Column("reviewer", sa.String(512), nullable=False),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undoes", sa.String(512), unique=True),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_reviews_cluster_id", "reviews", ["cluster_id"])
    op.create_index("ix_reviews_post_id", "reviews", ["post_id"])
    op.create_index("ix_reviews_published_at", "reviews", ["published_at"])
    op.create_index("ix_reviews_reviewed_at", "reviews", ["reviewed_at"])


def _revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("revision", sa.String(512), primary_key=True),
        sa.Column("guard_name", sa.Text, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_revisions_first_seen", "revisions", ["first_seen"])


def _verdict_counts() -> None:
    op.create_table(
        "verdict_counts",
        sa.Column("hour", sa.String(13), primary_key=True),
        sa.Column("revision", sa.String(512), primary_key=True),
        sa.Column("modality", sa.String(64), primary_key=True),
        sa.Column("outcome", sa.String(64), primary_key=True),
        sa.Column("category", sa.String(64), primary_key=True),
        sa.Column("stratum", sa.String(64), primary_key=True),
        sa.Column("verdicts", sa.Integer, nullable=False),
    )


def _cluster_days() -> None:
    op.create_table(
        "cluster_days",
        sa.Column("cluster_id", sa.String(64), sa.ForeignKey("clusters.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("revision", sa.String(512), primary_key=True),
        sa.Column("risks", sa.Integer, nullable=False),
        sa.Column("authors", sa.Integer, nullable=False),
    )


def _cluster_events() -> None:
    op.create_table(
        "cluster_events",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("cluster_id", sa.String(64), sa.ForeignKey("clusters.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("change", sa.String(16), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_index("ix_cluster_events_at", "cluster_events", ["at"])
    op.create_index("ix_cluster_events_cluster_id", "cluster_events", ["cluster_id"])


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("cluster_id", sa.String(64), sa.ForeignKey("clusters.id", ondelete="CASCADE"), nullable=False),
        sa.Column("emerging_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("cluster_id", "emerging_since"),
    )
    op.create_index("ix_notices_sent_at", "notices", ["sent_at"])


def _risks() -> None:
    op.create_table(
        "risks",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("risk_id", sa.String(512), nullable=False, unique=True),
        sa.Column("post_id", sa.String(512), nullable=False),
        sa.Column("author_id", sa.String(512)),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("rationale", sa.Text, nullable=False),
        sa.Column("nearest_code", sa.String(16)),
        sa.Column("nearest_similarity", sa.Double),
        sa.Column("guard_name", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("source_topic", sa.String(249), nullable=False),
        sa.Column("source_partition", sa.Integer, nullable=False),
        sa.Column("source_offset", sa.BigInteger, nullable=False),
        sa.Column("modality", sa.String(64)),
        sa.Column("language", sa.String(64)),
        sa.Column("text", sa.Text),
        sa.Column("response", sa.Text),
        sa.Column("images", sa.JSON, nullable=False),
        sa.Column("post_truncated", sa.Boolean, nullable=False),
        sa.Column("embedding", sa.LargeBinary),
        sa.Column("cluster_id", sa.String(64), sa.ForeignKey("clusters.id")),
        sa.Column("similarity", sa.Double),
        sa.Column("assigned_by", sa.String(64)),
    )
    op.create_index("ix_risks_author_id", "risks", ["author_id"])
    op.create_index("ix_risks_observed_at", "risks", ["observed_at"])
    op.create_index("ix_risks_post_id", "risks", ["post_id"])
    op.create_index("risks_by_revision", "risks", ["revision", "observed_at"])
    op.create_index("risks_of_cluster", "risks", ["cluster_id", "observed_at"])
    waiting = sa.text("embedding IS NULL")
    op.create_index("risks_waiting", "risks", ["observed_at"], sqlite_where=waiting, postgresql_where=waiting)
