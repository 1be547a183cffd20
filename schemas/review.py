"""What a person decided about a cluster of risks or a post."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from schemas.common import Code, Identifier, Timestamp, Written
from schemas.verdict import MAX_NAME_CHARACTERS

Phrase = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class Decision(StrEnum):
    """confirm: a new category; rename: another name; merge: into a known category; reject: no risk."""

    CONFIRM = "confirm"
    RENAME = "rename"
    MERGE = "merge"
    REJECT = "reject"


class Review(Written):
    """Published to `moderation.reviews`. Exactly one of cluster and post is set.

    A review that undoes another repeats what it said, and withdraws both: a reader that does not know `undoes` sees the
    first decision again, never another one.
    """

    review_id: Identifier
    cluster: Identifier | None = Field(
        None,
        description="Told apart from clusters of other consoles' stores: the id of the store, then its own number.",
    )
    post: Identifier | None = None
    decision: Decision
    name: Phrase | None = None
    code: Code | None = Field(None, description="The known category merged into; required for merge.")
    synonyms: list[Phrase] = Field(default_factory=list)
    posts: list[Identifier] = Field(
        default_factory=list,
        description="Members of the cluster that the decision speaks of: the post_ids, at most 2,000.",
    )
    undoes: Identifier | None = Field(None, description="The review_id that this one withdraws.")
    reviewer: Identifier
    reviewed_at: Timestamp

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.cluster is None) == (self.post is None):
            raise ValueError("a review speaks of a cluster or of a post, not both")
        if self.decision is Decision.MERGE and self.code is None:
            raise ValueError("a merge needs the code merged into")
        if self.decision in {Decision.CONFIRM, Decision.RENAME} and self.name is None:
            raise ValueError(f"{self.decision} needs a name")
        return self
