"""What the loop teaches, behind one protocol: the embedded guard's heads, or an adapter of a chat model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from proguard_core.dataset.builder import Dataset, DatasetSettings
from proguard_core.dataset.items import Item
from proguard_core.dataset.pictures import Fetch
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.rows import Row
from proguard_core.policy.policy import Policy
from proguard_core.training.gate.evidence import Served
from proguard_core.training.registry.records import Base


class CollapsedError(RuntimeError):
    """The training stopped itself; the text says why. The same rows would end like this again."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """dataset: files of the run's dataset step. champion: of the run that it goes on from. out: a new folder, called as
    the revision will be. known: names of new categories that an ancestor was taught."""

    run: str
    dataset: Path
    champion: Path
    out: Path
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Taught:
    """new: names of categories that the champion did not have. metrics: figures to draw."""

    new: Sequence[str]
    metrics: Mapping[str, float] = field(default_factory=dict)


Asked = Sequence[tuple[Policy, Sequence[Row]]]
"""Rows, each part under its policy."""


class Trainer(Protocol):
    """One kind of guard. All calls block; none runs on an event loop."""

    kind: str
    reads_pictures: bool
    templates: Path | None

    @property
    def base(self) -> Base:
        """The frozen model. Raises ConfigurationError where it cannot be read."""

    @property
    def fetch(self) -> Fetch:
        """Bytes of a picture that a row names. Raises PictureGone, and WorkerError where S3 does not answer."""

    @property
    def dataset_settings(self) -> DatasetSettings:
        """How a dataset is made for it."""

    def config(self) -> dict[str, JsonValue]:
        """Its settings that change a result."""

    def code(self) -> str:
        """The package's version, and behind a plus what it depends on."""

    def untaught(self, out: Path) -> None:
        """Files of the base as it is in a new folder: what the first release is made of."""

    def replay(self) -> list[Item]:
        """Rows to replay where the settings name none."""

    def write(self, dataset: Dataset, folder: Path) -> None:
        """In a new folder: own rows, and what else it is taught from."""

    def teach(self, lesson: Lesson) -> Taught:
        """Files of the revision in lesson.out. The same lesson after a kill goes on. Raises CollapsedError."""

    def answers(self, revisions: Mapping[str, Path], asked: Asked) -> dict[str, list[dict[str, Answer]]]:
        """Of each revision (by name; its files), for each part, by row id. Rows without an answer are left out."""

    def served(self, policy: Policy) -> Served:
        """How the guard that will serve is asked."""
