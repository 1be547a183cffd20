"""Headers of a dead letter. Key, value and the record's own headers are the original's bytes, untouched."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from schemas.common import SCHEMA_VERSION, DeadLetterReason, Stage, Version

HEADER_PREFIX = "__connect.errors."
REPLAY_HEADER = "proguard.replayed-from"

NumberAsText = Annotated[
    int, Field(ge=0), PlainSerializer(str), WithJsonSchema({"type": "string", "pattern": "^[0-9]+$"})
]


class DeadLetterHeaders(BaseModel):
    """Kafka Connect's error headers, so that its tools read them. Values are UTF-8 text; never content of the post."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    topic: str = Field(alias="__connect.errors.topic")
    partition: NumberAsText = Field(alias="__connect.errors.partition")
    offset: NumberAsText = Field(alias="__connect.errors.offset")
    stage: Stage = Field(alias="__connect.errors.stage")
    reason: DeadLetterReason = Field(alias="__connect.errors.exception.class.name")
    message: str = Field(
        alias="__connect.errors.exception.message", description="Which field is wrong and how; never its value."
    )
    group: str = Field(alias="__connect.errors.connector.name", description="Consumer group that refused the record.")
    schema_version: Version = Field(SCHEMA_VERSION, alias="proguard.schema-version")
