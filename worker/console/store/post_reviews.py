"""Decisions on single posts, of which the precision of a cluster is told."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.console.store.models import ReviewRow, RiskRow


def decided_members(session: Session, cluster_id: str) -> list[str]:
    """The latest decision that stands on each member of a cluster that somebody decided on by itself."""
    undone = select(ReviewRow.undoes).where(ReviewRow.undoes.is_not(None))
    asked = select(ReviewRow.post_id, ReviewRow.decision).join(RiskRow, RiskRow.post_id == ReviewRow.post_id)
    asked = asked.where(RiskRow.cluster_id == cluster_id, ReviewRow.undoes.is_(None))
    asked = asked.where(ReviewRow.review_id.not_in(undone)).order_by(ReviewRow.reviewed_at, ReviewRow.review_id)
    return list({row.post_id: str(row.decision) for row in session.execute(asked)}.values())
