"""`[retraining]`."""

from pydantic import Field

from worker.setting_section import Section


class RetrainingSettings(Section):
    """The loop: docs/retraining.md."""

    registry: str | None = Field(None, description="s3://BUCKET/PREFIX, reached as the pictures are, or a folder.")
    follow: bool = Field(
        False, description="Workers serve its champion: brought to guard.settings.adapters, named in revision_file."
    )
    follow_every_s: float = Field(10.0, gt=0, description="How often a worker asks for the champion.")
