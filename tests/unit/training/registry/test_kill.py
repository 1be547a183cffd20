"""kill -9 before and after every call to the store, then the same again: the same result, nothing twice."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from proguard_core.training.gate.report import Finding, Report, Status
from proguard_core.training.promotion import finish_gate, promote
from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.lease import Lease
from proguard_core.training.registry.records import Step
from proguard_core.training.registry.store import Stored
from tests.unit.training.registry.builders import registry_in, registry_of, run_record, trained

MOST_CALLS = 200
Value = TypeVar("Value")


class Deadly(FolderStore):
    """Kills its own process at a call, before or after that is done; -1: never."""

    def __init__(self, folder: Path, at: int = -1, done_first: bool = False) -> None:
        super().__init__(folder)
        self.calls = 0
        self._at = at
        self._done_first = done_first

    def _counted(self, call: Callable[[], Value]) -> Value:
        is_last = self.calls == self._at
        self.calls += 1
        if is_last and not self._done_first:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return call()
        finally:
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)

    def read(self, key: str) -> Stored:
        return self._counted(lambda: super(Deadly, self).read(key))

    def create(self, key: str, body: bytes) -> str:
        return self._counted(lambda: super(Deadly, self).create(key, body))

    def replace(self, key: str, body: bytes, tag: str) -> str:
        return self._counted(lambda: super(Deadly, self).replace(key, body, tag))

    def upload(self, key: str, path: Path) -> None:
        self._counted(lambda: super(Deadly, self).upload(key, path))


def whole_run(store: FolderStore, work: Path) -> None:
    """What a round does to the registry."""
    registry = registry_of(store)
    champions = Champions(registry)
    lease = Lease(registry)
    lease.take()
    run = registry.begin(run_record("two", "one"))
    run.finish(Step.DATASET, work)
    run.finish(Step.TRAIN, work, inputs=[Step.DATASET], facts={"revision": "two"})
    finish_gate(run, Report({}, [Finding("request", "text", Status.PASSED, "as good")]))
    lease.check()
    promote(champions, run)
    run.finish(Step.PROMOTE, inputs=[Step.GATE])
    lease.give_back()


def killed(folder: Path, work: Path, at: int, done_first: bool) -> bool:
    """Run it in a process of its own; whether that was killed, or came to its end."""
    child = os.fork()
    if child == 0:
        try:
            whole_run(Deadly(folder, at, done_first), work)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("done_first", [False, True])
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path: Path, done_first: bool) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "model").write_bytes(b"weights")
    at = 0
    while True:
        folder = tmp_path / f"registry-{at}"
        champions = Champions(registry_in(folder))
        champions.release(trained(champions.registry, tmp_path / f"first-{at}", "one"), "ops", "shipped")
        was_killed = killed(folder, work, at, done_first)
        whole_run(FolderStore(folder), work)
        assert [each.run for each in champions.history()] == ["two", "one"]
        run = champions.registry.run("two")
        assert [run.step(step) is not None for step in Step] == [False, True, True, False, True, True]
        run.verify(Step.TRAIN)
        if not was_killed:
            break
        at += 1
        assert at < MOST_CALLS
    assert at > 20
