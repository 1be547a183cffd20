"""One process a journal: a second one is refused, a dead or frozen one is not waited for."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.errors import FencedError
from worker.moderation import poison
from worker.moderation.journal_lock import JournalLock
from worker.moderation.poison import Journal

WORKER = "group.host.0"
POST = ("posts", 0, 1)
_HOLDER = """
import sys
from pathlib import Path
from worker.moderation.poison import Journal
journal = Journal(Path(sys.argv[1]), sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the journal until it is killed."""
    command = [sys.executable, "-c", _HOLDER, str(folder), WORKER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def fill(journal: Journal) -> None:
    """Enough notes that a small file is replaced."""
    for _ in range(20):
        with journal.in_flight([POST], alone=False):
            pass


def test_a_second_process_is_told_to_take_a_slot_of_its_own(tmp_path: Path) -> None:
    with other_process(tmp_path) as other:
        with pytest.raises(FencedError, match=rf"process {other.pid} .*kafka\.slot of its own") as refused:
            Journal(tmp_path, WORKER)
        Journal(tmp_path, "group.host.1").close()
    assert refused.value.exit_code == 75


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with other_process(tmp_path) as other:
        other.kill()
        other.wait()
        Journal(tmp_path, WORKER).close()


def test_a_frozen_process_gives_way(tmp_path: Path) -> None:
    with other_process(tmp_path) as other:
        other.send_signal(signal.SIGSTOP)
        os.waitpid(other.pid, os.WUNTRACED)  # until it stands still
        Journal(tmp_path, WORKER).close()


def test_who_gave_way_leaves_the_journal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it looks to a process that wakes: the lock's file is another's by now."""
    monkeypatch.setattr(poison, "_FILE_BYTES", 400)
    frozen = Journal(tmp_path, WORKER)
    (tmp_path / "group.host.0.lock").unlink()
    successor = Journal(tmp_path, WORKER)
    with successor.in_flight([POST], alone=True):
        noted = (tmp_path / "group.host.0.journal").read_bytes()
        with pytest.raises(FencedError, match="stood still"):
            fill(frozen)
        frozen.close()
        assert (tmp_path / "group.host.0.journal").read_bytes() == noted


def test_it_survives_that_the_journal_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poison, "_FILE_BYTES", 400)
    journal = Journal(tmp_path, WORKER)
    fill(journal)
    refused = subprocess.run(
        [sys.executable, "-c", _HOLDER, str(tmp_path), WORKER], capture_output=True, text=True, check=False
    )
    journal.close()
    assert refused.returncode != 0
    assert "FencedError" in refused.stderr


def test_closed_it_is_free_and_its_file_is_gone(tmp_path: Path) -> None:
    JournalLock(tmp_path / "lock", WORKER).close()
    assert list(tmp_path.iterdir()) == []
    with other_process(tmp_path):
        pass
