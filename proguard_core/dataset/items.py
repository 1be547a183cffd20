"""One row on its way into a dataset: the benchmark row form, and where the row comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from proguard_core.evaluation.rows import Row
from schemas.common import Modality

UNKNOWN_LICENCE = "not stated"


class Origin(StrEnum):
    """Who labelled a row, the most trusted first: of two near-duplicates the one of the earlier origin is kept."""

    REVIEW = "review"
    CONSENSUS = "consensus"
    OWN = "own"
    BASE = "base"


TRUST: Mapping[Origin, int] = {origin: place for place, origin in enumerate(Origin)}


@dataclass(frozen=True, slots=True)
class Item:
    """row.images holds at most one reference, a path or s3://bucket/key, that the builder's Pictures can fetch.

    synonyms: of row.ood_name. observed_at: RFC 3339 UTC, where the stream says it.
    """

    row: Row
    origin: Origin
    licence: str = UNKNOWN_LICENCE
    author: str | None = None
    post_id: str | None = None
    synonyms: tuple[str, ...] = ()
    observed_at: str | None = None

    @property
    def modality(self) -> Modality:
        """By the parts that the row has."""
        return self.row.modality

    @property
    def fresh(self) -> bool:
        """Whether the row is what this round is about rather than replay."""
        return self.origin is not Origin.BASE

    @property
    def stratum(self) -> str:
        """What must be spread alike over both sides of a split: safe, a code, a new name, or no known category."""
        if not self.row.unsafe:
            return "safe"
        return next(iter(self.row.categories), self.row.ood_name or "unsafe")
