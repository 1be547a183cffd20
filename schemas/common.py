"""What all records share: the schema version, closed enumerations and the base model."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

SCHEMA_VERSION: Final = "1"

_RFC_3339 = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$"
_rfc_3339 = re.compile(_RFC_3339, re.ASCII)


def _is_usual(value: str) -> bool:
    """Whether fromisoformat reads 2026-11-24T08:00:00Z, and nothing else of that shape: faster than the pattern."""
    return len(value) == 20 and value[4::3] == "--T::Z"


def _read_rfc_3339(value: object) -> datetime:
    """Refuse what pydantic would guess a time from: numbers, minutes without seconds, no offset."""
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and (_is_usual(value) or _rfc_3339.fullmatch(value)):
            return datetime.fromisoformat(value if value[-1] == "Z" else value.upper())
    except ValueError:  # the 30th of February
        pass
    raise PydanticCustomError("rfc_3339", "a time needs date, time and offset, such as 2026-11-24T08:00:00Z")


Version = Literal["1"]
Identifier = Annotated[
    # Control characters would break log lines and are not allowed in CloudEvents attributes.
    str, Field(min_length=1, max_length=512, pattern=r"^[^\u0000-\u001f\u007f-\u009f]+$")
]
Code = Annotated[str, Field(pattern=r"^C[1-9][0-9]*(S[1-9][0-9]*)?$")]
Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_read_rfc_3339),
    Field(description="RFC 3339 with an offset; we write UTC.", json_schema_extra={"pattern": _RFC_3339}),
]


class Outcome(StrEnum):
    """What a verdict says. Safe is never a default: what was not judged is undetermined."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    UNDETERMINED = "undetermined"


class Action(StrEnum):
    """What the policy asks the platform to do with the post."""

    ALLOW = "allow"
    REVIEW = "review"
    REMOVE = "remove"
    ESCALATE = "escalate"


class Modality(StrEnum):
    """Which parts a post has."""

    TEXT = "text"
    TEXT_IMAGE = "text-image"
    IMAGE = "image"


class CategoryKind(StrEnum):
    """Whether the policy lists the risk.

    none: no risk; known: a code of the policy; novel: a name of the guard's own; hallucinated: a code nobody listed.
    """

    NONE = "none"
    KNOWN = "known"
    NOVEL = "novel"
    HALLUCINATED = "hallucinated"


class Reason(StrEnum):
    """Why a verdict is undetermined, or what part of an unsafe post was not looked at."""

    TRUNCATED = "truncated"
    FRAMES_SKIPPED = "frames_skipped"
    TOO_MANY_IMAGES = "too_many_images"
    IMAGE_BUCKET_NOT_ALLOWED = "image_bucket_not_allowed"
    IMAGE_MISSING = "image_missing"
    IMAGE_FORBIDDEN = "image_forbidden"
    IMAGE_CHANGED = "image_changed"
    IMAGE_UNAVAILABLE = "image_unavailable"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_MANY_PIXELS = "image_too_many_pixels"
    IMAGE_EMPTY = "image_empty"
    IMAGE_FORMAT = "image_format"
    IMAGE_UNREADABLE = "image_unreadable"
    NOT_JUDGEABLE = "not_judgeable"
    UNSUPPORTED_LANGUAGE = "unsupported_language"
    UNPARSEABLE = "unparseable"
    FORCED = "forced"
    GUARD_FAILED = "guard_failed"
    GUARD_TIMEOUT = "guard_timeout"
    GUARD_CRASHED = "guard_crashed"
    SKIPPED_BY_OPERATOR = "skipped_by_operator"

    @property
    def is_failure(self) -> bool:
        """Whether many of these in a row mean that something is broken, so that the breaker counts them.

        What a post's author can cause at will by size, and what the guard is known not to judge, is no storm.
        """
        return self not in _EXPECTED


_EXPECTED = frozenset(
    {
        Reason.TRUNCATED,
        Reason.FRAMES_SKIPPED,
        Reason.TOO_MANY_IMAGES,
        Reason.NOT_JUDGEABLE,
        Reason.UNSUPPORTED_LANGUAGE,
        Reason.SKIPPED_BY_OPERATOR,
    }
)


class Stage(StrEnum):
    """Where a record was found to be no post."""

    DECODE = "decode"
    VALIDATE = "validate"
    ERASE = "erase"


class DeadLetterReason(StrEnum):
    """Why a record is no post."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    INVALID = "invalid"
    NO_CONTENT = "no_content"
    NULL_KEY_AND_VALUE = "null_key_and_value"


class Written(BaseModel):
    """A record that we write: readers may meet fields they do not know, and must ignore them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: Version = SCHEMA_VERSION


class GuardReference(BaseModel):
    """Which guard judged."""

    name: str = Field(description="Engine and model, for people.")
    revision: str = Field(description="Changes whenever weights, prompt or thresholds change; never used twice.")


class PolicyReference(BaseModel):
    """Under which policy."""

    name: str
    version: str = Field(description="Hash of the policy's content.")


class Source(BaseModel):
    """The record that a verdict, risk or dead letter speaks of."""

    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class Nearest(BaseModel):
    """The listed category that lies closest to a risk without a name."""

    code: Code
    similarity: float = Field(ge=-1, le=1)
