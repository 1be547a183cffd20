"""The store contract on a folder, and what disks do."""

import errno
import os
from pathlib import Path

import pytest

from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.store import Refused, Store, Unavailable
from tests.support.store_contract import StoreContract


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return FolderStore(tmp_path / "registry")


class TestFolder(StoreContract):
    pass


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, Refused), (errno.EROFS, Refused), (errno.EIO, Unavailable)])
def test_a_disk_that_fails_leaves_nothing_behind(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    tag = store.create("a.json", b"one")

    def fail(_handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match=errno.errorcode[code]):
        store.create("b.json", b"x")
    with pytest.raises(kind, match=errno.errorcode[code]):
        store.replace("a.json", b"x", tag)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(kind):
        store.upload("c", tmp_path / "file")
    assert sorted(os.listdir(tmp_path / "registry")) == [".replacing", "a.json"]
    assert store.read("a.json").body == b"one"


def test_a_folder_without_an_object_is_none(store: Store, tmp_path: Path) -> None:
    """As in S3: a kill -9 between making a folder and filling it leaves nothing that anybody would read."""
    left = tmp_path / "registry" / "runs" / "killed"
    (left / "deeper").mkdir(parents=True)
    (left / ".run.json.x").write_bytes(b"{")
    store.create("runs/whole/train.1/model", b"x")
    assert store.names("runs") == ["whole/"]
    assert store.names("runs/whole") == ["train.1/"]


def test_other_users_may_read_what_a_round_wrote(store: Store, tmp_path: Path) -> None:
    (tmp_path / "heads").write_bytes(b"x")
    store.upload("runs/a/train.1/heads", tmp_path / "heads")
    store.create("runs/a/train.json", b"{}")
    for name in ("train.1/heads", "train.json"):
        assert (tmp_path / "registry" / "runs" / "a" / name).stat().st_mode & 0o777 == 0o644
