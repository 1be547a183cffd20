"""Notes which posts are in the guard, so that a post that kills the process is found after restarts.

The journal lies in mapped memory: it must outlive the process, not the machine, and a system call a batch would cost
more than the note (it hands Python's lock to another thread). After an unclean exit the posts that were in flight are
suspects and run one at a time; one that was alone in flight at two deaths is not judged again.
"""

import itertools
import logging
import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from worker.errors import ConfigurationError
from worker.moderation.journal_lock import JournalLock

Coordinates = tuple[str, int, int]

DEATHS_ALONE_TO_CONVICT = 2
_FILE_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Suspect:
    """A post that was in flight when the process died. deaths: how often it was alone then."""

    deaths: int = 0


class Journal:
    """One file a worker: `<state_dir>/<transactional id>.journal`. Used by the pipeline's thread alone."""

    def __init__(self, state_dir: Path, worker: str) -> None:
        """ConfigurationError when the folder cannot be written, FencedError when another process has this journal."""
        self._path = state_dir / f"{worker.replace('/', '_')}.journal"
        self._numbers = itertools.count()
        self._open: dict[int, dict[str, object]] = {}
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._lock = JournalLock(self._path.with_suffix(".lock"), worker)
            self.suspects = self._read()
            self._file = self._rewrite()
        except OSError as error:
            raise ConfigurationError(f"kafka.state_dir: {self._path} cannot be written: {error}") from error
        if self.suspects:
            log.warning("unclean exit: %d posts were in the guard and run one at a time now", len(self.suspects))

    def is_suspect(self, coordinates: Coordinates) -> bool:
        """Whether the post has to run alone."""
        return coordinates in self.suspects

    def is_convicted(self, coordinates: Coordinates) -> bool:
        """Whether the post was alone in flight at two deaths."""
        suspect = self.suspects.get(coordinates)
        return suspect is not None and suspect.deaths >= DEATHS_ALONE_TO_CONVICT

    def acquit(self, coordinates: Coordinates) -> None:
        """The post left the guard alive, or belongs to another worker now."""
        if self.suspects.pop(coordinates, None) is not None:
            self._write({"acquit": coordinates})

    @contextmanager
    def in_flight(self, coordinates: Iterable[Coordinates], *, alone: bool) -> Iterator[None]:
        """Noted for as long as the block runs, however it ends."""
        number = next(self._numbers)
        begin: dict[str, object] = {"begin": number, "alone": alone, "posts": list(dict.fromkeys(coordinates))}
        self._write(begin)
        self._open[number] = begin
        try:
            yield
        finally:
            del self._open[number]
            self._write({"end": number})

    def close(self) -> None:
        """A clean exit: suspects that were not judged stay noted."""
        self._file.close()
        if not self.suspects and self._lock.held:
            self._path.unlink(missing_ok=True)
        self._lock.close()

    def _write(self, entry: dict[str, object]) -> None:
        line = orjson.dumps(entry) + b"\n"
        if self._file.tell() + len(line) > len(self._file):
            self._lock.check()
            written = self._rewrite(len(line))  # first: on a full disk the old one must still be there
            self._file.close()
            self._file = written
        self._file.write(line)

    def _read(self) -> dict[Coordinates, Suspect]:
        suspects: dict[Coordinates, Suspect] = {}
        running: dict[int, tuple[bool, list[Coordinates]]] = {}
        content = self._path.read_bytes() if self._path.exists() else b""
        lines = content.rstrip(b"\0").splitlines()
        for line in lines:
            # A line that the death cut short is skipped, and so is whatever else a crashed machine leaves.
            with suppress(ValueError, KeyError, TypeError):
                _replay(orjson.loads(line), suspects, running)
        for alone, posts in running.values():
            for post in posts:
                suspects.setdefault(post, Suspect()).deaths += alone
        return suspects

    def _rewrite(self, room: int = 0) -> mmap.mmap:
        """Only what still holds, in a new file with space for as much again and `room` bytes more."""
        kept: list[dict[str, object]] = [
            {"suspect": coordinates, "deaths": suspect.deaths} for coordinates, suspect in self.suspects.items()
        ]
        content = b"".join(orjson.dumps(entry) + b"\n" for entry in (*kept, *self._open.values()))
        size = max(_FILE_BYTES, 2 * (len(content) + room))
        temporary = self._path.with_suffix(".new")
        with temporary.open("w+b") as file:
            # Reserved now: a disk that is full must be an error here, not a signal when the memory is touched.
            os.posix_fallocate(file.fileno(), 0, size)
            mapped = mmap.mmap(file.fileno(), size)
        mapped.write(content)
        os.replace(temporary, self._path)
        return mapped


def _replay(
    entry: dict[str, Any],
    suspects: dict[Coordinates, Suspect],
    running: dict[int, tuple[bool, list[Coordinates]]],
) -> None:
    """What one line of the journal says, on top of those before it. ValueError, KeyError or TypeError for no entry."""
    if "suspect" in entry:
        suspects[_coordinates(entry["suspect"])] = Suspect(entry["deaths"])
    elif "acquit" in entry:
        suspects.pop(_coordinates(entry["acquit"]), None)
    elif "begin" in entry:
        running[entry["begin"]] = (entry["alone"], [_coordinates(post) for post in entry["posts"]])
    elif "end" in entry:
        running.pop(entry["end"], None)


def _coordinates(entry: list[object]) -> Coordinates:
    topic, partition, offset = entry
    return str(topic), int(str(partition)), int(str(offset))
