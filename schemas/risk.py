"""Out-of-distribution risk description: an unsafe post whose risk the policy has no category for."""

from typing import Annotated

from pydantic import Field

from schemas.common import GuardReference, Identifier, Nearest, PolicyReference, Source, Timestamp, Written
from schemas.verdict import MAX_NAME_CHARACTERS, MAX_RATIONALE_CHARACTERS


class Risk(Written):
    """Published to `moderation.risks`, keyed by post_id, in the same transaction as the verdict."""

    risk_id: str = Field(description="The verdict's id.")
    post_id: Identifier
    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] = Field(description="The guard's name for the risk.")
    rationale: Annotated[str, Field(max_length=MAX_RATIONALE_CHARACTERS)]
    nearest: Nearest | None
    guard: GuardReference
    policy: PolicyReference
    source: Source
    observed_at: Timestamp
