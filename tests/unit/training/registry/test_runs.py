"""Runs: steps are done once, files come back as they were or not at all."""

import errno
import json
import os
from pathlib import Path

import pytest

from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.records import DamagedError, RunRecord, Step, StepRecord, new_run_id
from proguard_core.training.registry.runs import Registry, RunError
from proguard_core.training.registry.store import Refused, Unavailable
from tests.unit.training.registry.builders import OTHER_BASE, START, Clock, registry_in, run_record, trained


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_in(tmp_path / "registry")


def artefact(tmp_path: Path, name: str = "model.onnx") -> Path:
    return next((tmp_path / "registry").glob(f"runs/one/train.*/{name}"))


def test_a_run_begins_once(registry: Registry) -> None:
    registry.begin(run_record("one"))
    assert registry.begin(run_record("one")).record.run == "one"
    with pytest.raises(RunError, match="another one"):
        registry.begin(run_record("one", base=OTHER_BASE))
    assert registry.run_ids() == ["one"]


def test_a_run_that_a_full_disk_kept_from_beginning_is_none(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Refused):
            registry.begin(run_record("one"))
    assert registry.run_ids() == []
    registry.begin(run_record("one"))
    assert registry.run_ids() == ["one"]


def test_a_run_that_begins_again_later_is_the_same(tmp_path: Path) -> None:
    registry = registry_in(tmp_path)
    registry.begin(run_record("one"))
    later = run_record("one").model_copy(update={"created_at": START.replace(year=2027)})
    assert registry.begin(later).record.created_at == START


@pytest.mark.parametrize("name", ["", "../one", "One", "a/b", "x" * 81])
def test_no_run_has_such_a_name(registry: Registry, name: str) -> None:
    with pytest.raises(RunError):
        registry.run(name)


def test_a_step_is_done_once(registry: Registry, tmp_path: Path) -> None:
    run = trained(registry, tmp_path, "one")
    first = run.finished(Step.TRAIN)
    (tmp_path / "made-one" / "model.onnx").write_bytes(b"others")
    again = run.finish(Step.TRAIN, tmp_path / "made-one", facts={"revision": "others"})
    assert again.digest == first.digest
    assert len(list((tmp_path / "registry" / "runs" / "one").glob("train.*/"))) == 1


def test_two_who_finish_a_step_agree(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = registry.begin(run_record("one"))
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "model").write_bytes(b"mine")
    upload = FolderStore.upload
    during: list[str] = []

    def slow(store: FolderStore, key: str, path: Path) -> None:
        upload(store, key, path)
        if not during:
            during.append(key)
            other = registry_in(tmp_path / "registry").run("one")
            other.finish(Step.TRAIN, facts={"who": "the other"})

    monkeypatch.setattr(FolderStore, "upload", slow)
    assert run.finish(Step.TRAIN, folder, facts={"who": "me"}).facts == {"who": "the other"}


def test_a_step_names_what_it_used(registry: Registry, tmp_path: Path) -> None:
    run = trained(registry, tmp_path, "one")
    with pytest.raises(RunError, match="has no dataset step"):
        run.finish(Step.GATE, inputs=[Step.TRAIN, Step.DATASET])
    made = run.finish(Step.EVALUATE, inputs=[Step.TRAIN])
    assert made.inputs == {Step.TRAIN: run.finished(Step.TRAIN).digest}


def test_an_attempt_that_was_cut_short_leaves_no_step(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = registry.begin(run_record("one"))
    folder = tmp_path / "made"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(name.encode())
    upload = FolderStore.upload

    def cut(store: FolderStore, key: str, path: Path) -> None:
        if key.endswith("/b"):
            raise Unavailable("away")
        upload(store, key, path)

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "upload", cut)
        with pytest.raises(Unavailable):
            run.finish(Step.TRAIN, folder)
    assert run.step(Step.TRAIN) is None
    run.finish(Step.TRAIN, folder)
    run.fetch(Step.TRAIN, tmp_path / "back")
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == {"a": b"a", "b": b"b"}


def test_files_come_back(registry: Registry, tmp_path: Path) -> None:
    trained(registry, tmp_path, "one").fetch(Step.TRAIN, tmp_path / "back")
    assert (tmp_path / "back" / "model.onnx").read_bytes() == b"weights of one"
    assert (tmp_path / "back" / "sub" / "tokens.json").read_bytes() == b"{}"


@pytest.mark.parametrize("damage", ["shorter", "changed", "missing"])
def test_half_written_files_are_refused(registry: Registry, tmp_path: Path, damage: str) -> None:
    run = trained(registry, tmp_path, "one")
    path = artefact(tmp_path)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if damage == "shorter" else b"weights of two")
    with pytest.raises(DamagedError, match=r"model\.onnx"):
        run.fetch(Step.TRAIN, tmp_path / "back")
    with pytest.raises(DamagedError):
        run.verify(Step.TRAIN)
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob(".back*"))


@pytest.mark.parametrize("body", [b"", b'{"format": 1, "run": "one"', b"[]", b'{"format": 2}', b"\xff"])
def test_records_that_are_none_are_refused(registry: Registry, tmp_path: Path, body: bytes) -> None:
    run = trained(registry, tmp_path, "one")
    (tmp_path / "registry" / "runs" / "one" / "train.json").write_bytes(body)
    with pytest.raises(DamagedError, match=r"train\.json is no StepRecord"):
        run.step(Step.TRAIN)


@pytest.mark.parametrize("name", ["../../champion.json", "/etc/passwd", "x/../../y"])
def test_a_manifest_cannot_name_what_lies_elsewhere(registry: Registry, tmp_path: Path, name: str) -> None:
    run = trained(registry, tmp_path, "one")
    path = tmp_path / "registry" / "runs" / "one" / "train.json"
    said = json.loads(path.read_bytes())
    said["files"] = {name: said["files"]["model.onnx"]}
    path.write_text(json.dumps(said))
    with pytest.raises(DamagedError):
        run.fetch(Step.TRAIN, tmp_path / "back")


def test_a_manifest_of_another_run_is_refused(registry: Registry, tmp_path: Path) -> None:
    one, two = trained(registry, tmp_path, "one"), trained(registry, tmp_path, "two")
    folder = tmp_path / "registry" / "runs"
    (folder / "two" / "train.json").write_bytes((folder / "one" / "train.json").read_bytes())
    with pytest.raises(DamagedError, match="speaks of train of one"):
        two.step(Step.TRAIN)
    assert one.step(Step.TRAIN) is not None


def test_what_a_later_version_added_changes_no_digest(tmp_path: Path) -> None:
    said = json.loads(run_record("one").encoded())
    body = json.dumps({**said, "added": 1}).encode()
    assert RunRecord.decoded(body, "run.json").encoded() == body


def test_records_are_the_same_bytes_after_reading() -> None:
    record = run_record("one")
    assert RunRecord.decoded(record.encoded(), "run.json").digest == record.digest
    step = StepRecord(run="one", step=Step.GATE, finished_at=START)
    assert StepRecord.decoded(step.encoded(), "gate.json").digest == step.digest


def test_lineage_goes_back_to_the_first(registry: Registry) -> None:
    for run, parent in (("one", None), ("two", "one"), ("three", "two")):
        registry.begin(run_record(run, parent))
    assert [run.record.run for run in registry.lineage("three")] == ["three", "two", "one"]


def test_a_lineage_is_no_circle(registry: Registry) -> None:
    registry.begin(run_record("one", "two"))
    registry.begin(run_record("two", "one"))
    with pytest.raises(DamagedError, match="its own ancestor"):
        registry.lineage("one")


def test_run_ids_sort_by_time() -> None:
    clock = Clock()
    first = new_run_id(clock(), "FFFFFFFF")
    clock.move(1)
    assert first < new_run_id(clock(), "00000000")
