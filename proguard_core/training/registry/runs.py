"""Runs: a folder each, filled step by step, never changed.

runs/RUN/run.json               what the run is about
runs/RUN/STEP.json              written last: the step is done, and these are its files with their hashes
runs/RUN/STEP.ATTEMPT/NAME      the files; an attempt that was killed leaves a folder that no record names
"""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from proguard_core.beside import folder_beside
from proguard_core.training.registry.records import (
    RUN_ID,
    AnyRecord,
    DamagedError,
    File,
    RunRecord,
    Step,
    StepRecord,
)
from proguard_core.training.registry.store import Conflict, Missing, Store, checked

_BLOCK = 1 << 20


class RunError(ValueError):
    """A run or step that is not there, or not what it is said to be."""


def now() -> datetime:
    """UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class Registry:
    """Runs and champions in one store. clock: gives the time that records carry."""

    def __init__(self, store: Store, clock: Callable[[], datetime] = now) -> None:
        self.store = store
        self.clock = clock

    def begin(self, record: RunRecord) -> "Run":
        """The run of this record: new, or the one that began before. RunError where that one differs."""
        key = _run_key(record.run)
        try:
            self.store.create(key, record.encoded())
        except Conflict:
            begun = self.read(RunRecord, key)
            if begun.model_dump(exclude={"created_at"}) != record.model_dump(exclude={"created_at"}):
                raise RunError(f"run {record.run} is there already, and is another one") from None
            return Run(self, begun)
        return Run(self, record)

    def run(self, run: str) -> "Run":
        """Raises RunError."""
        if not RUN_ID.fullmatch(run):
            raise RunError(f"{run[:80]!r} is no name of a run")
        try:
            record = self.read(RunRecord, _run_key(run))
        except Missing:
            raise RunError(f"there is no run {run} in {self.store.address}") from None
        if record.run != run:
            raise DamagedError(f"{_run_key(run)} speaks of run {record.run}")
        return Run(self, record)

    def run_ids(self) -> list[str]:
        """Of every run that began, sorted."""
        return [name.rstrip("/") for name in self.store.names("runs") if name.endswith("/")]

    def lineage(self, run: str) -> list["Run"]:
        """A run and all that it goes back to, the youngest first. Raises RunError, also where that is a circle."""
        found: list[Run] = []
        following: str | None = run
        while following is not None:
            if any(each.record.run == following for each in found):
                raise DamagedError(f"run {following} is its own ancestor")
            found.append(self.run(following))
            following = found[-1].record.parent
        return found

    def read(self, kind: type[AnyRecord], key: str) -> AnyRecord:
        """The record under a key. Raises Missing, DamagedError."""
        return kind.decoded(self.store.read(key).body, key)


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Every step is written once; who comes second gets what the first one left."""

    registry: Registry
    record: RunRecord

    def step(self, step: Step) -> StepRecord | None:
        """The record of a step that is done, else None. Raises DamagedError."""
        key = self._key(f"{step}.json")
        try:
            record = self.registry.read(StepRecord, key)
        except Missing:
            return None
        if (record.run, record.step) != (self.record.run, step):
            raise DamagedError(f"{key} speaks of {record.step} of {record.run}")
        return record

    def finished(self, step: Step) -> StepRecord:
        """The record of a step that must be done. Raises RunError."""
        record = self.step(step)
        if record is None:
            raise RunError(f"run {self.record.run} has no {step} step yet")
        return record

    def finish(
        self,
        step: Step,
        folder: Path | None = None,
        *,
        inputs: Iterable[Step] = (),
        facts: Mapping[str, JsonValue] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> StepRecord:
        """Store a folder's files and then the record. Where the step is done already, that record; nothing is changed.

        inputs: steps that it used, whose records must be there.
        """
        if (done := self.step(step)) is not None:
            return done
        used = {each: self.finished(each).digest for each in inputs}
        place = self._key(f"{step}.{secrets.token_hex(4)}") if folder is not None else None
        files = {}
        for name, path in _files(folder) if folder is not None else ():
            files[name] = measured(path)
            self.registry.store.upload(checked(f"{place}/{name}"), path)
        record = StepRecord(
            run=self.record.run,
            step=step,
            folder=place,
            files=files,
            inputs=used,
            facts=dict(facts or {}),
            metrics=dict(metrics or {}),
            finished_at=self.registry.clock(),
        )
        try:
            self.registry.store.create(self._key(f"{step}.json"), record.encoded())
        except Conflict:
            return self.finished(step)
        return record

    def fetch(self, step: Step, into: Path) -> StepRecord:
        """The files of a step in a new folder, which appears whole. DamagedError where one is not as recorded."""
        record = self.finished(step)
        if into.exists():
            raise RunError(f"{into} is there already")
        with folder_beside(into) as made:
            for name, file in record.files.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                self._fetch_file(record, name, file, made / name)
            made.chmod(0o755)
            os.replace(made, into)
        return record

    def fetch_file(self, step: Step, name: str, path: Path) -> None:
        """One file of a step. Raises RunError where the step has no such file, DamagedError."""
        record = self.finished(step)
        if name not in record.files:
            raise RunError(f"the {step} step of run {self.record.run} left no {name}")
        self._fetch_file(record, name, record.files[name], path)

    def verify(self, step: Step) -> StepRecord:
        """Read every file of a step once. DamagedError where one is missing or not as recorded."""
        record = self.finished(step)
        with tempfile.TemporaryDirectory(prefix="proguard-verify-") as folder:
            for name, file in record.files.items():
                path = Path(folder) / "file"
                self._fetch_file(record, name, file, path)
                path.unlink()
        return record

    def _fetch_file(self, record: StepRecord, name: str, file: File, path: Path) -> None:
        key = record.key_of(name)
        try:
            self.registry.store.download(key, path)
        except Missing:
            raise DamagedError(f"{key} is missing") from None
        if (found := measured(path)) != file:
            path.unlink()
            raise DamagedError(
                f"{key} is not what its manifest says: {found.size} bytes with SHA-256 {found.sha256[:12]}, "
                f"not {file.size} with {file.sha256[:12]}"
            )

    def _key(self, name: str) -> str:
        return f"runs/{self.record.run}/{name}"


def measured(path: Path) -> File:
    """Hash and size of a file."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
            size += len(block)
    return File(sha256=found.hexdigest(), size=size)


def _run_key(run: str) -> str:
    return f"runs/{run}/run.json"


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Regular files with their names below the folder; hidden ones (caches, locks) are no part of a step."""
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            found.append(("/".join(parts), path))
    return found
