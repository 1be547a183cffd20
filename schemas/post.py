"""A post as platforms write it: text, pictures by S3 reference, or both; a conversation with an AI has a response."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from schemas.common import Identifier, Modality, Timestamp, Version

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)
_URI_SCHEMA = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[\s\S]+$"
_MAX_KEY_BYTES = 1024
_TEXT = Modality.TEXT  # asked for every post, and enumerations are slow to ask

NO_CONTENT = "no_content"
_CONTENT_SCHEMA: JsonDict = {
    "anyOf": [
        {"required": ["text"], "properties": {"text": {"type": "string", "pattern": "\\S"}}},
        {"required": ["response"], "properties": {"response": {"type": "string", "pattern": "\\S"}}},
        {"required": ["images"], "properties": {"images": {"minItems": 1}}},
    ]
}


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://bucket/key` reference; ValueError when it is none.

    Relative segments and control characters are refused: clients normalise them differently.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValueError("not of the form s3://bucket/key")
    bucket, key = match.groups()
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise ValueError(f"the key is longer than {_MAX_KEY_BYTES} bytes")
    if ".." in bucket or any(part in {"", ".", ".."} for part in key.split("/")):
        raise ValueError("empty or relative segments are not allowed in an image reference")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in key):
        raise ValueError("control characters are not allowed in an image reference")
    return bucket, key


def _checked_uri(uri: str) -> str:
    split_uri(uri)
    return uri


class ImageReference(BaseModel):
    """Where a picture lies. Its bytes are fetched by the worker; a guard never sees the reference."""

    model_config = ConfigDict(extra="allow", frozen=True)

    uri: Annotated[str, AfterValidator(_checked_uri)] = Field(
        examples=["s3://pictures/2026/11/cat.jpg"], json_schema_extra={"pattern": _URI_SCHEMA}
    )
    version_id: Annotated[str, Field(max_length=1024)] | None = Field(None, description="S3 version of the object.")
    etag: Annotated[str, Field(max_length=256)] | None = Field(
        None, description="If given, another ETag at fetch time makes the post undetermined (image_changed)."
    )


def _null_is_none(images: object) -> object:
    """Writers who spell out every field write null where there is no picture, as they do for text."""
    return [] if images is None else images


class Post(BaseModel):
    """What is moderated. Unknown fields are kept and ignored.

    Required: post_id, and at least one of text, response and images with something in it.
    """

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra=_CONTENT_SCHEMA)

    schema_version: Version | None = Field(None, description="Optional in what others write.")
    post_id: Identifier = Field(description="The platform's own; an edit of a post repeats it.")
    author_id: Identifier | None = Field(None, description="Copied into the verdict; never judged.")
    created_at: Timestamp | None = Field(None, description="Times in the future are accepted: clocks differ.")
    text: str | None = Field(None, description="The post, or the user's turn of a conversation.")
    response: str | None = Field(None, description="An assistant's answer, where the stream carries conversations.")
    images: Annotated[list[ImageReference], BeforeValidator(_null_is_none)] = Field(
        default_factory=list, description="Pictures, in the order they are shown; null is read as none."
    )
    language: Annotated[str, Field(max_length=35)] | None = Field(None, description="BCP 47 tag.")
    context: JsonValue = Field(None, description="Anything the platform wants to find again; never judged.")

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if not (self.images or (self.text and self.text.strip()) or (self.response and self.response.strip())):
            raise PydanticCustomError(NO_CONTENT, "a post needs text, a response or an image")
        return self

    @property
    def modality(self) -> Modality:
        """Text, picture, or both."""
        if not self.images:
            return _TEXT
        return Modality.TEXT_IMAGE if self.text or self.response else Modality.IMAGE
