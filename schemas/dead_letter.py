"""Headers of a dead letter. Key, value and the record's own headers are the original's bytes, untouched."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.common import DeadLetterReason, Stage, Version

HEADER_PREFIX = "__connect.errors."
REPLAY_HEADER = "proguard.replayed-from"


class DeadLetterHeaders(BaseModel):
    """Kafka Connect's error headers, so that its tools read them. Values are UTF-8 text; never content of the post."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    topic: str = Field(alias="__connect.errors.topic")
    partition: int = Field(alias="__connect.errors.partition")
    offset: int = Field(alias="__connect.errors.offset")
    stage: Stage = Field(alias="__connect.errors.stage")
    reason: DeadLetterReason = Field(alias="__connect.errors.exception.class.name")
    message: str = Field(
        alias="__connect.errors.exception.message", description="Which field is wrong and how; never its value."
    )
    group: str = Field(alias="__connect.errors.connector.name", description="Consumer group that refused the record.")
    schema_version: Version = Field("1", alias="proguard.schema-version")
