"""A running worker learns which revision is wanted; what cannot be served changes nothing and is said."""

from pathlib import Path

import pytest

from proguard_core.guards.protocol import GuardError
from tests.unit.moderation.test_judge import FakeGuard
from worker.moderation import revision_watch
from worker.moderation.revision_watch import RETRY_S, RevisionWatch
from worker.telemetry.telemetry import Telemetry


class Swapping(FakeGuard):
    """Serves any revision but those that begin with `bad`."""

    def __init__(self) -> None:
        super().__init__(lambda requests: NotImplemented)
        self.asked: list[str] = []

    async def swap(self, revision: str) -> None:
        self.asked.append(revision)
        if revision.startswith("bad"):
            raise GuardError("it is broken")
        self.revision = f"{revision}-hash"


class Bench:
    """A watch whose clock and file the test turns."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "revision"
        self.guard = Swapping()
        self.telemetry = Telemetry()
        self.now = 0.0
        self.watch = RevisionWatch(self.guard, revision_watch.file(self.path), self.telemetry, lambda: self.now)

    async def look(self, content: str | None = None) -> str:
        if content is not None:
            self.path.write_text(content)
        await self.watch.look()
        return self.guard.revision


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_what_the_file_names_is_served_once(bench: Bench) -> None:
    assert await bench.look("first\n") == "first-hash"
    assert await bench.look() == "first-hash"
    assert await bench.look("  second \nwritten by release 7\n") == "second-hash"
    assert bench.guard.asked == ["first", "second"]


@pytest.mark.parametrize("content", [None, "", "\n", "  \nfirst"])
async def test_a_file_that_says_nothing_changes_nothing(bench: Bench, content: str | None) -> None:
    assert await bench.look(content) == "r1"
    assert bench.guard.asked == []


async def test_what_cannot_be_served_is_counted_and_tried_again_later(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.look("first")
    assert await bench.look("bad") == "first-hash"
    await bench.look()
    assert bench.guard.asked == ["first", "bad"]
    bench.now = RETRY_S
    await bench.look()
    assert bench.guard.asked == ["first", "bad", "bad"]
    assert bench.telemetry.swap_failures == 2
    assert (
        sum("'bad' is not served, first-hash stays: it is broken" in record.message for record in caplog.records) == 1
    )
    assert await bench.look("second") == "second-hash"
    assert await bench.look("first") == "first-hash"


async def test_it_looks_at_the_start_and_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision_watch, "EVERY_S", 0.001)
    bench.path.write_text("first")
    await bench.watch.start()
    assert bench.guard.revision == "first-hash"
    await bench.watch.close()
    await bench.watch.close()
    bench.path.write_text("second")
    assert bench.guard.asked == ["first"]
