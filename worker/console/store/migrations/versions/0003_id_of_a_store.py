"""An id of the store, which tells its clusters from those of other stores on the topic of reviews."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Draw it."""
    notes = sa.table("notes", sa.column("key", sa.String), sa.column("value", sa.JSON))
    op.execute(notes.insert().values(key="store", value={"id": secrets.token_hex(4)}))
