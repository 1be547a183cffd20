"""The workers of a storm: some run, some are broken just now, and what ends by itself is started again."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.worker_process import WorkerProcess

_FREEZES_S = 0.01
_EXITS_ALLOWED = 10
_DRAINED_S = 60.0
_TAIL = 3000


class StuckError(Exception):
    """Posts wait and nothing moves. The text holds the ends of the workers' logs."""


@dataclass(slots=True)
class _Flight:
    """What a worker's journal says is in its guard. condemned: one more death now would convict a post."""

    batches: int = 0
    condemned: bool = False


@dataclass(slots=True)
class WorkerGroup:
    """Workers by slot. busy slots are in a fault's hands. exits: (slot, code) of what ended without being killed."""

    make: Callable[[int], WorkerProcess]
    most: int
    workers: dict[int, WorkerProcess] = field(default_factory=dict)
    busy: set[int] = field(default_factory=set)
    exits: list[tuple[int, int]] = field(default_factory=list)
    _all: dict[int, WorkerProcess] = field(default_factory=dict)

    def start(self, slot: int) -> None:
        """A worker in this slot, with the state of the one that was there before."""
        if slot not in self._all:
            self._all[slot] = self.make(slot)
        self.workers[slot] = self._all[slot].start()

    def free_slot(self) -> int | None:
        """The lowest slot without a worker; None when there are enough."""
        return next((slot for slot in range(self.most) if slot not in self.workers), None)

    def sound(self) -> list[int]:
        """Slots whose worker runs and is in no fault's hands."""
        return [slot for slot, worker in list(self.workers.items()) if slot not in self.busy and _runs(worker)]

    def seize(self, slot: int) -> bool:
        """Freeze a worker with posts in its guard; False, and it runs on, if it has none.

        A kill that hits a post alone in the guard counts against that post, and the second convicts it (law 6). Here
        the post is not at fault, so a worker is left alone where that would happen.
        """
        worker = self.workers[slot]
        worker.suspend()
        time.sleep(_FREEZES_S)
        flight = _flight(Path(worker.settings["kafka"]["state_dir"]))
        if flight.batches and not flight.condemned:
            return True
        worker.resume()
        return False

    def kill(self, slot: int) -> None:
        """SIGKILL."""
        self.workers[slot].kill()

    def drain(self, slot: int) -> None:
        """Wait for a worker that was told to leave; it must end with 0."""
        try:
            code = self.workers[slot].process.wait(_DRAINED_S)
        except subprocess.TimeoutExpired:
            raise StuckError(f"worker {slot} does not leave\n{self.tails()}") from None
        if code != 0:
            self.exits.append((slot, code))
        del self.workers[slot]

    def revive(self) -> None:
        """Start again what ended by itself, as an orchestrator would, and remember how it ended."""
        for slot, worker in list(self.workers.items()):
            if slot not in self.busy and (code := worker.process.poll()) is not None:
                self.exits.append((slot, code))
                if len(self.exits) > _EXITS_ALLOWED:
                    raise RuntimeError(f"the workers do not stay up: {self.exits}\n{self.tails()}")
                worker.start()

    def leave(self) -> None:
        """All drain and end."""
        for worker in self.workers.values():
            worker.process.send_signal(signal.SIGTERM)
        for slot in list(self.workers):
            self.drain(slot)

    def end(self) -> None:
        """At once, whatever they do."""
        for worker in self._all.values():
            worker.__exit__()

    def tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- worker {slot}\n{worker.log[-_TAIL:]}" for slot, worker in sorted(self._all.items()))


def _runs(worker: WorkerProcess) -> bool:
    return worker.process.poll() is None


def _flight(state: Path) -> _Flight:
    journals = list(state.glob("*.journal"))
    deaths: dict[str, int] = {}
    begun: dict[int, tuple[bool, list[str]]] = {}
    for entry in _entries(journals[0].read_bytes().splitlines() if journals else []):
        if "suspect" in entry:
            deaths[str(entry["suspect"])] = int(str(entry["deaths"]))
        elif "begin" in entry:
            posts = entry["posts"]
            assert isinstance(posts, list)
            begun[int(str(entry["begin"]))] = (bool(entry["alone"]), [str(post) for post in posts])
        elif "end" in entry:
            begun.pop(int(str(entry["end"])), None)
    condemned = any(alone and any(deaths.get(post, 0) for post in posts) for alone, posts in begun.values())
    return _Flight(len(begun), condemned)


def _entries(lines: Iterable[bytes]) -> Iterable[dict[str, object]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:  # being written
            continue
