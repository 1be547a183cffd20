"""Registries in a folder, filled with small runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.records import Base, Code, RunRecord, Step
from proguard_core.training.registry.runs import Registry, Run
from proguard_core.training.registry.store import Store

BASE = Base(name="tiny", sha256="a" * 64)
OTHER_BASE = Base(name="other", sha256="b" * 64)
START = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        """Forward, or back."""
        self.time += timedelta(seconds=seconds)


def registry_in(folder: Path, clock: Clock | None = None) -> Registry:
    """A registry on a folder."""
    return registry_of(FolderStore(folder), clock)


def registry_of(store: Store, clock: Clock | None = None) -> Registry:
    """A registry with a clock that stands still."""
    return Registry(store, clock or Clock())


def run_record(run: str, parent: str | None = None, base: Base = BASE) -> RunRecord:
    """What a run is about."""
    code = Code(version="0.1.0", commit="unknown")
    return RunRecord(run=run, kind="embedded", base=base, parent=parent, code=code, created_at=START)


def trained(registry: Registry, work: Path, run: str, parent: str | None = None, base: Base = BASE) -> Run:
    """A run whose training is done."""
    begun = registry.begin(run_record(run, parent, base))
    folder = work / f"made-{run}"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(f"weights of {run}".encode())
    (folder / "sub" / "tokens.json").write_bytes(b"{}")
    begun.finish(Step.TRAIN, folder, facts={"revision": f"revision-{run}"}, metrics={"loss": 0.5})
    return begun
