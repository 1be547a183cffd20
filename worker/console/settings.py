"""`[console]`."""

from collections.abc import Collection
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from worker.console.web.settings import WebSettings
from worker.errors import ConfigurationError


class ConsoleSettings(WebSettings):
    """The risk store and what is mined from the stream: docs/risks.md."""

    store_url_secret: str | None = Field(
        None, description="SQLAlchemy URL of the store, such as postgresql+psycopg://user:password@host/risks."
    )
    store_path: Path = Field(Path(".proguard-risks.db"), description="SQLite file, where there is no URL.")
    retention_days: int = Field(90, ge=1, description="Risks, reviewed posts and the audit sample live so long.")
    audit_share: float = Field(0.005, ge=0, le=1, description="Of verdicts without a risk, drawn for review unmarked.")
    audit_posts_per_day: int = Field(200, ge=0, description="At most so many of them a day, each stratum by itself.")
    passed_guards: tuple[str, ...] = Field(
        (), description="Names of guards whose safe verdicts passed a cascade's first stage: a stratum of their own."
    )
    mine_every_s: float = Field(1.0, gt=0, description="Records are written so often, offsets in the same transaction.")
    refresh_every_s: float = Field(10.0, gt=0, description="How often figures of changed clusters are made anew.")
    recluster_every_s: float = Field(3600.0, gt=0, description="How often all risks are clustered anew.")
    recluster_risks: int = Field(50_000, ge=100, description="The latest risks that take part in it.")
    assign_similarity: float = Field(
        0.55, gt=-1, lt=1, description="Cosine to a cluster's centre from which a risk joins it."
    )
    min_cluster_size: int = Field(8, ge=2, description="Risks below which a crowd is no cluster.")
    emerging_authors: int = Field(5, ge=1, description="Distinct authors below which nothing is emerging.")
    emerging_p: float = Field(
        0.001, gt=0, lt=1, description="Probability of such a burst by chance below which it is one."
    )
    emerging_days: int = Field(7, ge=1, description="A cluster without a burst for so long is not emerging any more.")
    hold_hours: float = Field(
        24.0,
        ge=0,
        description="A burst that begins at a new guard revision is held so long, unless the old one agrees.",
    )
    two_persons: bool = Field(False, description="A decision on a cluster counts when a second person agrees.")

    @model_validator(mode="after")
    def _held_within_emerging(self) -> Self:
        if self.hold_hours > self.emerging_days * 24:
            raise ValueError(f"hold_hours must not be above emerging_days ({self.emerging_days} days)")
        return self

    @property
    def url(self) -> str:
        """Of the store."""
        return self.store_url_secret or f"sqlite:///{self.store_path}"

    def check_severe(self, listed: Collection[str]) -> None:
        """ConfigurationError for a code of `severe` that neither the policy (listed) nor the taxonomy has."""
        if unknown := [code for code in self.severe if code not in {*CATEGORY_NAMES, *SUBCATEGORY_NAMES, *listed}]:
            known = ", ".join(sorted(listed, key=lambda code: [int(part) for part in code[1:].split("S")]))
            raise ConfigurationError(f"console.severe: {', '.join(unknown)}: no such code; the policy has {known}")
