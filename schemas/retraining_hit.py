"""A novel risk together with the post that showed it: what the retraining job learns from."""

from pydantic import Field

from schemas.post import Post
from schemas.risk import Risk


class RetrainingHit(Risk):
    """Published to `moderation.retraining`, keyed by post_id. Pictures stay references."""

    post: Post = Field(description="The post as judged, unknown fields included.")
    post_truncated: bool = Field(False, description="True if text was cut so that the hit fits its topic.")
