"""Notes which posts are in the guard, so that a post that kills the process is found after restarts.

The journal is written without fsync: it must outlive the process, not the machine. After an unclean exit the posts that
were in flight are suspects and run one at a time; one that was alone in flight at two deaths is not judged again.
"""

import itertools
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from worker.errors import ConfigurationError

Coordinates = tuple[str, int, int]

DEATHS_ALONE_TO_CONVICT = 2
_COMPACT_BYTES = 4 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Suspect:
    """A post that was in flight when the process died. deaths: how often it was alone then."""

    deaths: int = 0


class Journal:
    """One file a worker: `<state_dir>/<transactional id>.journal`. Used by the pipeline's thread alone."""

    def __init__(self, state_dir: Path, worker: str) -> None:
        """Raises ConfigurationError when the folder cannot be written."""
        self._path = state_dir / f"{worker.replace('/', '_')}.journal"
        self._numbers = itertools.count()
        self._open: dict[int, dict[str, object]] = {}
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
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
            if self._file.tell() > _COMPACT_BYTES:
                self._file.close()
                self._file = self._rewrite()

    def close(self) -> None:
        """A clean exit: suspects that were not judged stay noted."""
        self._file.close()
        if not self.suspects:
            self._path.unlink(missing_ok=True)

    def _write(self, entry: dict[str, object]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()

    def _read(self) -> dict[Coordinates, Suspect]:
        suspects: dict[Coordinates, Suspect] = {}
        running: dict[int, tuple[bool, list[Coordinates]]] = {}
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # the line that the death cut short
                continue
            if "suspect" in entry:
                suspects[_coordinates(entry["suspect"])] = Suspect(entry["deaths"])
            elif "acquit" in entry:
                suspects.pop(_coordinates(entry["acquit"]), None)
            elif "begin" in entry:
                running[entry["begin"]] = (entry["alone"], [_coordinates(post) for post in entry["posts"]])
            elif "end" in entry:
                running.pop(entry["end"], None)
        for alone, posts in running.values():
            for post in posts:
                suspects.setdefault(post, Suspect()).deaths += alone
        return suspects

    def _rewrite(self) -> BinaryIO:
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            for coordinates, suspect in self.suspects.items():
                file.write(json.dumps({"suspect": coordinates, "deaths": suspect.deaths}).encode() + b"\n")
            for begin in self._open.values():
                file.write(json.dumps(begin).encode() + b"\n")
        os.replace(temporary, self._path)
        return self._path.open("ab")


def _coordinates(entry: list[object]) -> Coordinates:
    topic, partition, offset = entry
    return str(topic), int(str(partition)), int(str(offset))
