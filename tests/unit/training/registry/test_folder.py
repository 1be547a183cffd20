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
