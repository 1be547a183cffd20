"""Law 6: what was in the guard at an unclean exit runs alone; alone at two deaths convicts."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.moderation import poison
from worker.moderation.poison import Coordinates, Journal

FIRST, SECOND, THIRD = [("posts", 0, offset) for offset in (1, 2, 3)]


def path(folder: Path) -> Path:
    return folder / "group.host.0.journal"


def journal(folder: Path) -> Journal:
    return Journal(folder, "group.host.0")


def die(folder: Path, *batches: tuple[Coordinates, ...], alone: bool = False) -> None:
    """A process that ends with these batches in the guard: its file stays as it was in that moment."""
    noted = journal(folder)
    with ExitStack() as stack:
        for batch in batches:
            stack.enter_context(noted.in_flight(batch, alone=alone))
        left = path(folder).read_bytes()
    noted.close()
    path(folder).write_bytes(left)


def test_a_clean_exit_leaves_nothing(tmp_path: Path) -> None:
    noted = journal(tmp_path / "new" / "folder")
    with noted.in_flight([FIRST], alone=False):
        assert path(tmp_path / "new" / "folder").exists()
    noted.close()
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_an_unclean_exit_makes_suspects_of_all_in_flight_and_of_nobody_else(tmp_path: Path) -> None:
    noted = journal(tmp_path)
    with noted.in_flight([THIRD], alone=False):
        pass
    noted._file.close()
    die(tmp_path, (FIRST, FIRST), (SECOND,))
    after = journal(tmp_path)
    assert [after.is_suspect(post) for post in (FIRST, SECOND, THIRD)] == [True, True, False]
    assert not any(after.is_convicted(post) for post in (FIRST, SECOND, THIRD))


def test_alone_at_two_deaths_convicts(tmp_path: Path) -> None:
    for _death in range(2):
        assert not journal(tmp_path).is_convicted(FIRST)
        die(tmp_path, (FIRST,), alone=True)
    assert journal(tmp_path).is_convicted(FIRST)


def test_many_deaths_among_others_do_not_convict(tmp_path: Path) -> None:
    for _death in range(5):
        die(tmp_path, (FIRST, SECOND))
    assert not journal(tmp_path).is_convicted(FIRST)


def test_a_block_that_raises_is_left(tmp_path: Path) -> None:
    noted = journal(tmp_path)
    with pytest.raises(RuntimeError), noted.in_flight([FIRST], alone=True):
        raise RuntimeError
    noted._file.close()
    assert not journal(tmp_path).suspects


def test_acquitted_is_forgotten_also_after_a_death(tmp_path: Path) -> None:
    die(tmp_path, (FIRST, SECOND))
    noted = journal(tmp_path)
    noted.acquit(FIRST)
    noted.acquit(FIRST)
    noted._file.close()
    after = journal(tmp_path)
    assert (after.is_suspect(FIRST), after.is_suspect(SECOND)) == (False, True)


def test_suspects_that_were_not_judged_outlive_a_clean_exit(tmp_path: Path) -> None:
    die(tmp_path, (FIRST,), alone=True)
    journal(tmp_path).close()
    assert journal(tmp_path).suspects[FIRST].deaths == 1


@pytest.mark.parametrize("keep", range(1, 40, 3))
def test_the_line_that_the_death_cut_short_is_tolerated(tmp_path: Path, keep: int) -> None:
    die(tmp_path, (FIRST,))
    whole = path(tmp_path).read_bytes().rstrip(b"\0")
    path(tmp_path).write_bytes(whole + b'{"begin": 1, "alone": false, "posts": [["posts", 0, 2]]}'[:keep])
    after = journal(tmp_path)
    assert (after.is_suspect(FIRST), after.is_suspect(SECOND)) == (True, False)


def test_it_stays_small_and_forgets_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under steady load some batch is always open: compaction must not wait for a quiet moment."""
    monkeypatch.setattr(poison, "_FILE_BYTES", 2000)
    die(tmp_path, (THIRD,), alone=True)
    noted = journal(tmp_path)
    with noted.in_flight([FIRST], alone=True):
        for _ in range(500):
            with noted.in_flight([SECOND], alone=False):
                pass
            assert path(tmp_path).stat().st_size < 3000
        left = path(tmp_path).read_bytes()
    noted.close()
    path(tmp_path).write_bytes(left)
    after = journal(tmp_path)
    assert {post: suspect.deaths for post, suspect in after.suspects.items()} == {THIRD: 1, FIRST: 1}


def test_a_folder_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigurationError, match=r"kafka\.state_dir"):
        journal(tmp_path / "file")


def test_workers_of_one_folder_have_files_of_their_own(tmp_path: Path) -> None:
    die(tmp_path, (FIRST,))
    assert not Journal(tmp_path, "a/b.host.1").suspects


@pytest.mark.parametrize("junk", [b"123", b"null", b'{"begin": 1}', b'{"suspect": 3}', b'{"acquit": []}', b"\xff\x00"])
def test_what_a_crashed_machine_leaves_is_skipped(tmp_path: Path, junk: bytes) -> None:
    die(tmp_path, (FIRST,))
    whole = path(tmp_path).read_bytes().rstrip(b"\0")
    path(tmp_path).write_bytes(junk + b"\n" + whole)
    assert list(journal(tmp_path).suspects) == [FIRST]
