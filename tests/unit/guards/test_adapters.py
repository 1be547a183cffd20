"""Adapters' names and revisions: never used for other weights, kept as long as something may ask for them."""

from pathlib import Path

import pytest

from proguard_core.guards.adapters import BASE, CONFIG_FILE, WEIGHTS_FILE, Adapter, Revisions
from proguard_core.guards.protocol import GuardError

PARTS = ("model", "prompts")


def write(folder: Path, name: str, weights: bytes = b"weights") -> Path:
    path = folder / name
    path.mkdir(exist_ok=True)
    (path / CONFIG_FILE).write_text("{}")
    (path / WEIGHTS_FILE).write_bytes(weights)
    return path


def swap(revisions: Revisions, name: str) -> str:
    revisions.use(revisions.find(name))
    return revisions.current


def test_a_revision_says_the_adapter_and_depends_on_everything(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write(tmp_path, name)
    seen = set()
    for parts in (PARTS, ("model", "other prompts")):
        revisions = Revisions(parts, tmp_path)
        seen |= {revisions.current, swap(revisions, "first"), swap(revisions, "second")}
    write(tmp_path, "first", b"other weights")
    seen.add(swap(Revisions(PARTS, tmp_path), "first"))
    assert len(seen) == 7
    assert sorted(revision.rpartition("-")[0] for revision in seen) == [
        "",
        "",
        "first",
        "first",
        "first",
        *["second"] * 2,
    ]


def test_what_was_in_force_before_is_still_judged_by_and_what_was_before_that_is_not(tmp_path: Path) -> None:
    revisions = Revisions(PARTS, tmp_path)
    for name in ("first", "second"):
        write(tmp_path, name)
    base, first = revisions.current, swap(revisions, "first")
    assert (revisions.resolve(base), revisions.resolve(None)) == (base, first)
    assert revisions.adapter(base) is None
    second = swap(revisions, "second")
    assert [revisions.resolve(wanted) for wanted in (base, first, second, "unknown")] == [second, first, second, second]
    with pytest.raises(GuardError):
        revisions.adapter(base)


def test_back_to_an_earlier_adapter_is_the_same_revision_and_number(tmp_path: Path) -> None:
    revisions = Revisions(PARTS, tmp_path)
    for name in ("first", "second"):
        write(tmp_path, name)
    first = swap(revisions, "first")
    number = revisions.kept[-1].number
    swap(revisions, "second")
    assert revisions.kept[-1].number == number + 1
    assert swap(revisions, first) == first
    assert revisions.kept[-1].number == number
    assert swap(revisions, BASE) == Revisions(PARTS, None).current
    assert revisions.is_current(BASE)


def test_a_name_is_not_used_for_other_weights(tmp_path: Path) -> None:
    revisions = Revisions(PARTS, tmp_path)
    write(tmp_path, "first")
    first = swap(revisions, "first")
    swap(revisions, BASE)
    write(tmp_path, "first", b"changed")
    with pytest.raises(GuardError, match="another name"):
        revisions.find("first")
    write(tmp_path, "first")
    assert swap(revisions, "first") == first


def test_one_that_could_not_be_loaded_may_come_back_whole_and_has_another_number(tmp_path: Path) -> None:
    revisions = Revisions(PARTS, tmp_path)
    for name in ("first", "second"):
        write(tmp_path, name)
    swap(revisions, "first")
    half = revisions.find("second")
    assert half is not None
    with pytest.raises(OSError, match="half"), revisions.loading(half):
        raise OSError("half of it")
    write(tmp_path, "second", b"all of the weights")
    whole = revisions.find("second")
    assert whole is not None
    assert whole.digest != half.digest
    assert len({revisions.kept[-1].number, half.number, whole.number}) == 3
    with (
        pytest.raises(OSError, match="gone"),
        revisions.loading(revisions.kept[-1]),
    ):  # in force: its name stays its own
        raise OSError("gone")
    write(tmp_path, "first", b"other weights")
    with pytest.raises(GuardError, match="another name"):
        revisions.find("first")


async def test_after_a_restart_the_one_in_force_is_loaded_and_the_one_before_it_where_it_can_be(tmp_path: Path) -> None:
    revisions = Revisions(PARTS, tmp_path)
    for name in ("first", "second"):
        write(tmp_path, name)
        swap(revisions, name)
    before, current = (revisions.revision(adapter) for adapter in revisions.kept)
    loaded: list[str] = []

    async def load(adapter: Adapter) -> None:
        if adapter.name in broken:
            raise GuardError(f"{adapter.name} is gone")
        loaded.append(adapter.name)

    broken = {"second"}
    with pytest.raises(GuardError, match="second is gone"):
        await revisions.load_kept(load)
    assert revisions.resolve(before) == before
    broken = {"first"}
    loaded.clear()
    await revisions.load_kept(load)
    assert loaded == ["second"]
    assert revisions.resolve(before) == revisions.resolve(current) == current


@pytest.mark.parametrize("name", ["", ".", "..", "../first", "first/", "a b", "-x", "x" * 101, "no-such"])
def test_what_is_no_name_of_an_adapter_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, "first")
    with pytest.raises(GuardError):
        Revisions(PARTS, tmp_path).find(name)


def test_a_half_written_adapter_is_refused(tmp_path: Path) -> None:
    (write(tmp_path, "half") / WEIGHTS_FILE).unlink()
    with pytest.raises(GuardError, match="cannot be read"):
        Revisions(PARTS, tmp_path).find("half")


def test_without_a_folder_there_is_only_the_base(tmp_path: Path) -> None:
    revisions = Revisions(PARTS, None)
    assert revisions.find(BASE) is None
    with pytest.raises(GuardError, match=r"guard\.settings\.adapters"):
        revisions.find("first")
