"""The one answer that every post gets."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from schemas.common import (
    Action,
    CategoryKind,
    Code,
    GuardReference,
    Identifier,
    Modality,
    Outcome,
    PolicyReference,
    Reason,
    Source,
    Timestamp,
    Written,
)

Label = Literal["safe", "unsafe"]

MAX_RATIONALE_CHARACTERS = 4096
MAX_NAME_CHARACTERS = 120


class Category(BaseModel):
    """Where in the taxonomy the risk lies."""

    kind: CategoryKind
    code: Code | None = Field(None, description="C* or C*S* of the policy; set when kind is known.")
    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)] | None = Field(
        None, description="The category's name, or the guard's own name for a novel risk."
    )
    nearest: Code | None = Field(None, description="Listed code closest to a novel risk.")
    similarity: float | None = Field(None, ge=-1, le=1)

    @model_validator(mode="after")
    def _known_has_a_code(self) -> Self:
        if self.kind is CategoryKind.KNOWN and self.code is None:
            raise ValueError("a known category needs its code")
        return self


class Coverage(BaseModel):
    """How much of the post was looked at. A verdict is safe only where each pair is equal."""

    text_bytes: int = Field(ge=0, description="UTF-8 bytes of text and response.")
    text_bytes_judged: int = Field(ge=0)
    images: int = Field(ge=0)
    images_judged: int = Field(ge=0)
    frames: int = Field(ge=0, description="Frames of animations; a still picture counts one.")
    frames_judged: int = Field(ge=0)

    @property
    def complete(self) -> bool:
        """Whether everything was looked at."""
        return (self.text_bytes, self.images, self.frames) == (
            self.text_bytes_judged,
            self.images_judged,
            self.frames_judged,
        )


class Timings(BaseModel):
    """Milliseconds on the worker's monotonic clock."""

    fetch: float = Field(ge=0, description="Fetching and decoding pictures.")
    queue: float = Field(ge=0, description="Waiting for a micro-batch.")
    judge: float = Field(ge=0, description="In the guard, with retries.")
    total: float = Field(ge=0, description="From receipt to outcome.")


class Verdict(Written):
    """Published to `moderation.verdicts`, keyed by post_id."""

    verdict_id: str = Field(description="topic-partition-offset of the post's record: the same on every delivery.")
    post_id: Identifier
    author_id: Identifier | None
    outcome: Outcome
    reason: Reason | None = Field(
        None, description="Set when undetermined, or when part of an unsafe post was not seen."
    )
    action: Action
    request: Label | None = Field(description="Label of the text or the picture.")
    response: Label | None = Field(description="Label of the assistant's answer, where there is one.")
    score: float | None = Field(
        None, ge=0, le=1, description="Calibrated probability of unsafe; null if the guard has none."
    )
    category: Category
    rationale: Annotated[str, Field(max_length=MAX_RATIONALE_CHARACTERS)]
    image: int | None = Field(None, ge=0, description="Index of the picture that decided, where one did.")
    coverage: Coverage
    modality: Modality
    guard: GuardReference
    policy: PolicyReference
    source: Source
    timings_ms: Timings
    judged_at: Timestamp

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.outcome is Outcome.UNDETERMINED and self.reason is None:
            raise ValueError("an undetermined verdict needs a reason")
        if self.outcome is Outcome.SAFE and not self.coverage.complete:
            raise ValueError("what was not looked at cannot be safe")
        return self
