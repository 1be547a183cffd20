"""One champion: races, rollbacks, other bases, a store that is away."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proguard_core.training.registry.champions import (
    CHAMPION,
    Champions,
    LostRaceError,
    NothingBeforeError,
    NotPromotedError,
    OtherBaseError,
    ServedBeforeError,
)
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.patience import PatientStore
from proguard_core.training.registry.records import Cause, DamagedError
from proguard_core.training.registry.runs import Registry, RunError
from proguard_core.training.registry.store import Unavailable
from tests.unit.training.registry.builders import BASE, OTHER_BASE, registry_in, registry_of, trained


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return registry_in(tmp_path / "registry")


@pytest.fixture
def champions(registry: Registry, tmp_path: Path) -> Champions:
    """Run `one` is the first release."""
    found = Champions(registry)
    found.release(trained(registry, tmp_path, "one"), "ops", "shipped")
    return found


def serving(champions: Champions) -> str:
    current = champions.current()
    assert current is not None
    return current.champion.run


def promoted(champions: Champions, registry: Registry, work: Path, *runs: str) -> None:
    for run in runs:
        champions.promote(trained(registry, work, run, serving(champions)), "retrain", "the gate passed")


def test_there_is_none_before_the_first_release(registry: Registry, tmp_path: Path) -> None:
    champions = Champions(registry)
    assert (champions.current(), champions.changed(None), champions.changed("x"), champions.history()) == (
        None,
        None,
        None,
        [],
    )
    with pytest.raises(RunError, match="release one first"):
        champions.first()
    with pytest.raises(NothingBeforeError):
        champions.roll_back("ops", "")
    with pytest.raises(NotPromotedError, match="release one first"):
        champions.promote(trained(registry, tmp_path, "one"), "retrain", "")


def test_the_first_release_stands(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    assert champions.release(registry.run("one"), "ops", "again").number == 1
    with pytest.raises(LostRaceError):
        champions.release(trained(registry, tmp_path, "two"), "ops", "another")


def test_a_promotion_names_everything(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    run = trained(registry, tmp_path, "two", "one")
    champions.promote(run, "retrain", "the gate passed", report="c" * 64, signed_by=["Ada"])
    current = champions.current()
    assert current is not None
    made = current.champion
    assert (made.number, made.run, made.revision, made.cause) == (2, "two", "revision-two", Cause.PROMOTION)
    assert (made.report, made.signed_by, made.base) == ("c" * 64, ("Ada",), BASE)
    assert champions.changed(current.tag) is None
    assert [each.run for each in champions.history()] == ["two", "one"]
    assert champions.first().run == "one"


def test_a_promotion_again_changes_nothing(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    promoted(champions, registry, tmp_path, "two")
    before = champions.current()
    champions.promote(registry.run("two"), "retrain", "again")
    assert champions.current() == before


def test_who_was_trained_from_an_older_champion_loses(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    late = trained(registry, tmp_path, "late", "one")
    promoted(champions, registry, tmp_path, "two")
    with pytest.raises(LostRaceError, match="goes on from one, but two is champion now"):
        champions.promote(late, "retrain", "")
    assert serving(champions) == "two"


def test_two_at_once_one_loses(
    champions: Champions, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (trained(registry, tmp_path, run, "one") for run in ("two", "three"))
    replace = FolderStore.replace

    def late(store: FolderStore, key: str, body: bytes, tag: str) -> str:
        monkeypatch.setattr(FolderStore, "replace", replace)
        Champions(registry_in(tmp_path / "registry")).promote(other, "retrain", "")
        return replace(store, key, body, tag)

    monkeypatch.setattr(FolderStore, "replace", late)
    with pytest.raises(LostRaceError, match="nothing was changed"):
        champions.promote(one, "retrain", "")
    assert serving(champions) == "three"
    assert [each.run for each in champions.history()] == ["three", "one"]


def test_another_base_is_refused(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(OtherBaseError, match="stands on other"):
        champions.promote(trained(registry, tmp_path, "two", "one", OTHER_BASE), "retrain", "")
    current = champions.current()
    assert current is not None
    with pytest.raises(OtherBaseError, match="not on other"):
        champions.fetch(current.champion, tmp_path / "back", OTHER_BASE)
    assert not (tmp_path / "back").exists()
    champions.fetch(current.champion, tmp_path / "back", BASE)
    assert (tmp_path / "back" / "model.onnx").read_bytes() == b"weights of one"


def test_a_half_written_artefact_is_neither_promoted_nor_served(
    champions: Champions, registry: Registry, tmp_path: Path
) -> None:
    run = trained(registry, tmp_path, "two", "one")
    path = next((tmp_path / "registry").glob("runs/two/train.*/model.onnx"))
    whole = path.read_bytes()
    path.write_bytes(whole[:5])
    with pytest.raises(DamagedError, match="not what its manifest says"):
        champions.promote(run, "retrain", "")
    assert serving(champions) == "one"
    path.write_bytes(whole)
    made = champions.promote(run, "retrain", "")
    path.write_bytes(whole[:5])
    with pytest.raises(DamagedError):
        champions.fetch(made, tmp_path / "back")


def test_a_training_record_that_was_exchanged_is_not_served(
    champions: Champions, registry: Registry, tmp_path: Path
) -> None:
    current = champions.current()
    assert current is not None
    path = tmp_path / "registry" / "runs" / "one" / "train.json"
    path.write_bytes(path.read_bytes().replace(b"revision-one", b"revision-xxx"))
    with pytest.raises(DamagedError, match="not the one that became champion"):
        champions.fetch(current.champion, tmp_path / "back")


def test_rollbacks_go_back_one_promotion_each(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    promoted(champions, registry, tmp_path, "two", "three")
    assert champions.roll_back("Ada", "it forgot C5").run == "two"
    assert champions.roll_back("Ada", "that one too").run == "one"
    with pytest.raises(NothingBeforeError, match="first release"):
        champions.roll_back("Ada", "further")
    history = champions.history()
    assert [each.run for each in history] == ["one", "two", "three", "two", "one"]
    assert (history[0].cause, history[0].by, history[0].reason) == (Cause.ROLLBACK, "Ada", "that one too")


def test_after_a_rollback_the_next_promotion_is_what_is_rolled_back(
    champions: Champions, registry: Registry, tmp_path: Path
) -> None:
    promoted(champions, registry, tmp_path, "two")
    champions.roll_back("Ada", "")
    promoted(champions, registry, tmp_path, "three")
    assert champions.roll_back("Ada", "").run == "one"


def test_a_run_that_was_rolled_back_is_not_promoted_again(
    champions: Champions, registry: Registry, tmp_path: Path
) -> None:
    promoted(champions, registry, tmp_path, "two")
    champions.roll_back("Ada", "")
    with pytest.raises(ServedBeforeError):
        champions.promote(registry.run("two"), "retrain", "")
    assert champions.roll_back("Ada", "it was not at fault", to="two").run == "two"


@pytest.mark.parametrize(("to", "said"), [("never", "never was champion"), ("two", "is champion now")])
def test_there_is_no_way_back_to(champions: Champions, registry: Registry, tmp_path: Path, to: str, said: str) -> None:
    promoted(champions, registry, tmp_path, "two")
    with pytest.raises(NothingBeforeError, match=said):
        champions.roll_back("Ada", "", to=to)


def test_a_rollback_to_damaged_files_is_refused(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    promoted(champions, registry, tmp_path, "two")
    next((tmp_path / "registry").glob("runs/one/train.*/model.onnx")).write_bytes(b"")
    with pytest.raises(DamagedError):
        champions.roll_back("Ada", "")
    assert serving(champions) == "two"


def test_a_chain_that_was_cut_is_not_trusted(champions: Champions, registry: Registry, tmp_path: Path) -> None:
    promoted(champions, registry, tmp_path, "two")
    record = next((tmp_path / "registry" / "champions").glob("000001-*"))
    body = record.read_bytes()
    record.write_bytes(body.replace(b"shipped", b"whatever"))
    with pytest.raises(DamagedError, match="not the record that it was"):
        champions.history()
    record.unlink()
    with pytest.raises(DamagedError, match="missing"):
        champions.history()


class Flaky(FolderStore):
    """Fails before or after it did what champion.json asks of it."""

    def __init__(self, folder: Path, failures: int, done_first: bool) -> None:
        super().__init__(folder)
        self.failures = failures
        self._done_first = done_first

    def replace(self, key: str, body: bytes, tag: str) -> str:
        def write() -> str:
            return super(Flaky, self).replace(key, body, tag)

        return self._failing(write) if key == CHAMPION else write()

    def _failing(self, write: Callable[[], str]) -> str:
        if not self.failures:
            return write()
        self.failures -= 1
        if self._done_first and self.failures == 0:
            write()
        raise Unavailable("away")


@pytest.mark.parametrize("done_first", [False, True])
def test_a_store_that_is_away_is_waited_for(
    champions: Champions, registry: Registry, tmp_path: Path, done_first: bool
) -> None:
    run = trained(registry, tmp_path, "two", "one")
    naps: list[float] = []
    store = PatientStore(Flaky(tmp_path / "registry", 3, done_first), sleep=naps.append)
    made = Champions(registry_of(store)).promote(run, "retrain", "")
    assert len(naps) == 3
    assert [each.run for each in champions.history()] == ["two", "one"]
    assert champions.history()[0].digest == made.digest


@pytest.mark.parametrize("done_first", [False, True])
def test_a_store_that_stays_away_is_tried_again_by_the_next_run(
    champions: Champions, registry: Registry, tmp_path: Path, done_first: bool
) -> None:
    run = trained(registry, tmp_path, "two", "one")
    away = PatientStore(Flaky(tmp_path / "registry", 1, done_first), patience_s=0)
    with pytest.raises(Unavailable):
        Champions(registry_of(away)).promote(run, "retrain", "")
    champions.promote(run, "retrain", "")
    assert [each.run for each in champions.history()] == ["two", "one"]
