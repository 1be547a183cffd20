"""Run folders: seals that a kill leaves out, one process a folder, digests."""

from pathlib import Path

import pytest

from proguard_core.training.grpo import checkpoints
from proguard_core.training.grpo.files import RunError, RunRefused, alone_in, base_digest, read_json, write_json


def checkpoint(folder: Path, step: int, sealed: bool = True) -> Path:
    path = checkpoints.place(folder, step)
    path.mkdir()
    (path / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (path / "trainer_state.json").write_text("{}")
    if sealed:
        checkpoints.seal(path, {"step": step})
    return path


def test_the_newest_whole_checkpoint_counts(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    checkpoint(tmp_path, 8)
    whole = checkpoint(tmp_path, 16)
    unsealed = checkpoint(tmp_path, 100, sealed=False)
    (tmp_path / "checkpoint-notes").mkdir()
    assert checkpoints.newest(tmp_path) == (whole, {"step": 16})
    assert not unsealed.exists()
    assert (tmp_path / "checkpoint-notes").is_dir()


@pytest.mark.parametrize("broken", ["shorter", "missing", "seal"])
def test_a_broken_checkpoint_gives_way_to_the_one_before(tmp_path: Path, broken: str) -> None:
    older = checkpoint(tmp_path, 8)
    newer = checkpoint(tmp_path, 16)
    weights = newer / "adapter_model.safetensors"
    if broken == "shorter":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif broken == "missing":
        weights.unlink()
    else:
        (newer / checkpoints.SEAL).write_text('{"files": ')
    assert checkpoints.newest(tmp_path) == (older, {"step": 8})
    assert not newer.exists()


def test_old_checkpoints_go(tmp_path: Path) -> None:
    for step in (2, 4, 10):
        checkpoint(tmp_path, step)
    checkpoints.prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-4"]


def test_one_process_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "run"), pytest.raises(RunError, match="another process"), alone_in(tmp_path / "run"):
        pass
    with alone_in(tmp_path / "run"):
        pass


def test_a_base_is_known_by_its_weights_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    assert base_digest(tmp_path / "a") == base_digest(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").write_bytes(b"weightz")
    assert base_digest(tmp_path / "a") != base_digest(tmp_path / "b")
    (tmp_path / "b" / "model.safetensors").unlink()
    with pytest.raises(RunRefused, match="no checkpoint"):
        base_digest(tmp_path / "b")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"at": 1})
    with pytest.raises(TypeError):
        write_json(path, {"at": object()})
    assert read_json(path) == {"at": 1}
    path.write_text("[1]")
    with pytest.raises(RunError, match="no object"):
        read_json(path)
