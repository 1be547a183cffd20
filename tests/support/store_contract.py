"""What every store of a registry promises; run on a folder by the unit tests, on a real S3 by the integration tests."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proguard_core.training.registry.store import Conflict, Missing, Store

WRITERS = 8


class StoreContract:
    """Tests for a fixture `store`."""

    def test_what_is_created_is_read(self, store: Store) -> None:
        tag = store.create("a/b.json", b"one")
        stored = store.read("a/b.json")
        assert (stored.body, stored.tag) == (b"one", tag)

    def test_what_is_there_is_not_created(self, store: Store) -> None:
        store.create("a.json", b"one")
        with pytest.raises(Conflict):
            store.create("a.json", b"two")
        assert store.read("a.json").body == b"one"

    def test_what_is_missing_is_missing(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(Missing):
            store.read("none.json")
        with pytest.raises(Missing):
            store.read_unless("none.json", "x")
        with pytest.raises(Missing):
            store.download("none", tmp_path / "none")
        with pytest.raises(Conflict):
            store.replace("none.json", b"one", '"0123456789abcdef0123456789abcdef"')

    def test_only_who_saw_the_last_content_replaces_it(self, store: Store) -> None:
        first = store.create("a.json", b"one")
        second = store.replace("a.json", b"two", first)
        with pytest.raises(Conflict):
            store.replace("a.json", b"three", first)
        assert store.read("a.json").body == b"two"
        store.replace("a.json", b"four", second)
        assert store.read("a.json").body == b"four"

    def test_nothing_is_read_twice(self, store: Store) -> None:
        first = store.create("a.json", b"one")
        assert store.read_unless("a.json", first) is None
        second = store.replace("a.json", b"two", first)
        changed = store.read_unless("a.json", first)
        assert changed is not None
        assert (changed.body, changed.tag) == (b"two", second)

    def test_of_many_who_create_one_does(self, store: Store) -> None:
        assert _winners(lambda body: store.create("race.json", body)) == 1

    def test_of_many_who_replace_one_does(self, store: Store) -> None:
        tag = store.create("race.json", b"start")
        assert _winners(lambda body: store.replace("race.json", body, tag)) == 1
        assert store.read("race.json").body != b"start"

    def test_files_come_back_as_they_went(self, store: Store, tmp_path: Path) -> None:
        content = random.Random(7).randbytes(12_000_000)
        (tmp_path / "big").write_bytes(content)
        (tmp_path / "empty").write_bytes(b"")
        for name in ("big", "empty"):
            store.upload(f"runs/r/train.1/{name}", tmp_path / name)
            store.download(f"runs/r/train.1/{name}", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == (tmp_path / name).read_bytes()

    def test_names_are_those_directly_below(self, store: Store) -> None:
        for key in ("runs/b/run.json", "runs/a/run.json", "runs/a/train.json", "runs/a/train.1/x/y", "other.json"):
            store.create(key, b"{}")
        assert store.names("runs") == ["a/", "b/"]
        assert store.names("runs/a") == ["run.json", "train.1/", "train.json"]
        assert store.names("nothing") == []

    @pytest.mark.parametrize("key", ["", "../x", "/x", "a//b", "a/../b", "a/.b", "a b", "ü", "x" * 600, "a/"])
    def test_foul_keys_are_no_keys(self, store: Store, key: str) -> None:
        with pytest.raises(ValueError, match="no key"):
            store.create(key, b"")


def _winners(write: Callable[[bytes], str]) -> int:
    def won(at: int) -> bool:
        try:
            write(b"%d" % at)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        return sum(pool.map(won, range(WRITERS)))
