"""The clusters that some risks lie in: what may be shown of a risk depends on them too."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from worker.console.store.models import ClusterRow, RiskRow


def clusters_of(session: Session, rows: Sequence[RiskRow]) -> dict[str, ClusterRow]:
    """By id, without their centres."""
    wanted = {row.cluster_id for row in rows if row.cluster_id is not None}
    if not wanted:
        return {}
    asked = select(ClusterRow).options(defer(ClusterRow.centroid)).where(ClusterRow.id.in_(wanted))
    return {row.id: row for row in session.scalars(asked)}
