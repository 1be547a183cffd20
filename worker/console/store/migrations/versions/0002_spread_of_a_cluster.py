"""Indexes that a cluster's page is answered from, whatever part of all risks the cluster is."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them."""
    op.create_index("risks_closest", "risks", ["cluster_id", "similarity", "revision", "name"])
    op.create_index("risks_by_author", "risks", ["cluster_id", "author_id"])
