"""`[retraining]`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from worker.setting_section import Section


class RetrainingSettings(Section):
    """The loop: docs/retraining.md."""

    trainer: Literal["embedded", "grpo", "verl"] = Field(
        "embedded",
        description="What is taught: the embedded guard's heads, or a chat model's adapter here or on a Ray cluster.",
    )
    base: Path | None = Field(
        None, description="grpo, verl: folder of the frozen model; default: guard.model, where that is a folder."
    )
    recipe: dict[str, Any] = Field(
        default_factory=dict, description="grpo, verl: what `python -m proguard_core.training.grpo --help` lists."
    )
    cluster: dict[str, Any] = Field(
        default_factory=dict,
        description="verl: address, nodes, gpus, ...; work and base as the cluster names these folders.",
    )
    work: Path = Field(
        Path(".proguard-retraining"),
        description="grpo, verl: keeps checkpoints until the training is done; for verl on what the cluster shares.",
    )
    registry: str | None = Field(None, description="s3://BUCKET/PREFIX, reached as the pictures are, or a folder.")
    follow: bool = Field(
        False, description="Workers serve its champion: brought to guard.settings.adapters, named in revision_file."
    )
    follow_every_s: float = Field(10.0, gt=0, description="How often a worker asks for the champion.")
    group_id: str = Field("proguard-retraining", min_length=1, description="Notes in Kafka what was learned from.")
    min_new: int = Field(50, ge=1, description="Newly labelled posts below which no run begins.")
    replay: tuple[Path, ...] = Field((), description="Rows to replay (JSON Lines); default: our own templates.")
    gate_rows: tuple[Path, ...] = Field((), description="Labelled rows for the gate, never trained on (JSON Lines).")
    modalities: tuple[Literal["text", "text-image", "image"], ...] = Field(
        ("text", "text-image", "image"), description="What is served, and judged by the gate."
    )
    sign_off: bool = Field(False, description="A person signs even what passed the gate.")
    gate_share: float = Field(
        0.4, gt=0, lt=1, description="Of a new category's reviewed posts, the latest: for the gate, not for training."
    )
    masked: float = Field(
        0.3, ge=0, le=1, description="grpo, verl: share of rows whose prompt lists a policy that lacks categories."
    )
    permuted: float = Field(
        0.5, ge=0, le=1, description="grpo, verl: share of rows in whose prompt codes mean something else than usual."
    )
    labels: Literal["reviews", "consensus"] = Field(
        "reviews",
        description="What has a label: what people reviewed alone, or also posts in crowds that agree on a name.",
    )
    overturned_days: int = Field(
        7,
        ge=0,
        description="Reviewed posts that are no hits are learned from where a verdict of so many days is overturned.",
    )
    label_new: bool = Field(True, description="Whether posts of new names teach safe and unsafe too, or the name only.")
    seed: int = Field(0, description="Of every draw.")
