"""The registry's records, as they stand in JSON. Keys that a reader does not know are ignored; `format` stops it."""

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    StringConstraints,
    ValidationError,
)

from proguard_core.training.registry.store import checked

FORMAT: Literal[1] = 1
RUN_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
MAX_PERSON = 200

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
RunId = Annotated[str, StringConstraints(pattern=f"^{RUN_ID.pattern}$")]
Person = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PERSON)]


class DamagedError(ValueError):
    """Something in the registry is not what its manifest says, or no record at all: it must not be used."""


class Step(StrEnum):
    """The steps of a run, in order."""

    SNAPSHOT = "snapshot"
    DATASET = "dataset"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"
    PROMOTE = "promote"


class Cause(StrEnum):
    """Why a champion became one."""

    RELEASE = "release"
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


class Record(BaseModel):
    """Frozen; written once. What was read keeps its bytes, so that its digest outlives new fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = FORMAT
    _read: bytes | None = PrivateAttr(None)

    def encoded(self) -> bytes:
        """The bytes that were read, else the same ones for the same record."""
        if self._read is not None:
            return self._read
        said = self.model_dump(mode="json")
        return (json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.encoded()).hexdigest()

    @classmethod
    def decoded(cls, body: bytes, key: str) -> Self:
        """From what lies under a key. Raises DamagedError."""
        try:
            record = cls.model_validate_json(body)
            record._read = body
            return record
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise DamagedError(f"{key} is no {cls.__name__}: {where}: {first['msg']}") from None


AnyRecord = TypeVar("AnyRecord", bound=Record)


class Base(BaseModel):
    """The frozen model below every revision. sha256: of its weights."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1)
    sha256: Digest


class Code(BaseModel):
    """What ran: the project's version and commit (`unknown` outside a checkout)."""

    model_config = ConfigDict(frozen=True)

    version: str
    commit: str


class File(BaseModel):
    """One file of a step."""

    model_config = ConfigDict(frozen=True)

    sha256: Digest
    size: int = Field(ge=0)


class RunRecord(Record):
    """runs/RUN/run.json: what a run is about. kind: of guard (embedded, lora); parent: the run that it goes on from."""

    run: RunId
    kind: str = Field(min_length=1)
    base: Base
    parent: RunId | None = None
    config: dict[str, JsonValue] = Field(default_factory=dict)
    code: Code
    created_at: AwareDatetime


class StepRecord(Record):
    """runs/RUN/STEP.json, written last: the step is done. folder: of its files; inputs: digests of the steps' records
    that it used; facts: what later steps and people want to know; metrics: figures to draw."""

    run: RunId
    step: Step
    folder: str | None = None
    files: dict[str, File] = Field(default_factory=dict)
    inputs: dict[Step, Digest] = Field(default_factory=dict)
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)
    finished_at: AwareDatetime

    def key_of(self, name: str) -> str:
        """Where a file of the step lies. Raises DamagedError where the record names a place outside of the run."""
        try:
            key = checked(f"{self.folder}/{name}")
        except ValueError as error:
            raise DamagedError(f"{self.step} of {self.run}: {error}") from None
        if not key.startswith(f"runs/{self.run}/"):
            raise DamagedError(f"{self.step} of {self.run} names a folder of somebody else")
        return key


class Champion(Record):
    """champion.json, and champions/NAME.json for good: which revision serves, and why.

    number: counts the changes. train: digest of the training step's record, which names every file with its hash.
    revision: the name under which verdicts know it. previous: the record before, by name. report: SHA-256 of the
    gate's report. token: makes every attempt differ.
    """

    number: int = Field(ge=1)
    run: RunId
    revision: str = Field(min_length=1)
    kind: str
    base: Base
    train: Digest
    cause: Cause
    by: Person
    reason: str = Field(max_length=2000)
    signed_by: tuple[Person, ...] = ()
    report: Digest | None = None
    previous: str | None = None
    token: str
    at: AwareDatetime

    @property
    def name(self) -> str:
        """Of its record among champions/."""
        return f"{self.number:06d}-{self.digest[:16]}"


class SignOff(Record):
    """runs/RUN/sign-offs/KEY.json: a person who read the gate's report and says yes."""

    run: RunId
    report: Digest
    by: Person
    note: str = Field("", max_length=2000)
    at: AwareDatetime


def new_run_id(now: datetime, token: str) -> str:
    """Sorts by time: 20261126t064400-ab12cd34."""
    return f"{now:%Y%m%dt%H%M%S}-{token[:8].lower()}"
