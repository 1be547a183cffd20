"""Law 6: decoding is noted too; a picture that kills the process is found, and nobody else is blamed."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.unit.moderation import killing_decode
from tests.unit.moderation.clients import Clock
from tests.unit.moderation.test_pipeline import Bench
from tests.unit.moderation.test_poison import die, journal
from worker.moderation.absentees import ABSENT_S, Absentees

SUSPECT, OTHER, THIRD = [("posts", 0, offset) for offset in (1, 2, 3)]


def test_a_picture_that_kills_the_process_is_convicted_and_nobody_else(tmp_path: Path) -> None:
    """Once among others, twice alone; then it is not decoded any more."""
    command = [sys.executable, "-m", killing_decode.__name__, str(tmp_path)]
    lives: list[subprocess.CompletedProcess[str]] = []
    while not lives or (lives[-1].returncode == -signal.SIGKILL and len(lives) < 8):
        lives.append(subprocess.run(command, capture_output=True, text=True, check=False, timeout=60))
    assert lives[-1].returncode == 0, lives[-1].stderr
    answers = json.loads(lives[-1].stdout)
    assert answers.pop(str(killing_decode.POISON)) == "guard_crashed"
    assert set(answers.values()) == {None}
    assert len(lives) == 4
    assert list(tmp_path.iterdir()) == []


async def enter(stack: AsyncExitStack, bench: Bench, number: int) -> asyncio.Task[None]:
    """Begin to decode a picture of a post; the task ends once that may begin."""
    turn = bench.pipeline._turns.decoder(("posts", 0, number))
    task = asyncio.create_task(stack.enter_async_context(turn))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_suspect_is_decoded_with_nothing_else_in_a_decoder_or_in_the_guard(tmp_path: Path) -> None:
    die(tmp_path, (("posts", 0, 20),))
    bench = Bench(tmp_path)
    bench.gate.clear()
    bench.pipeline.submit([bench.work(9)])
    await bench.asked_of(1)
    async with AsyncExitStack() as before, AsyncExitStack() as alone, AsyncExitStack() as after:
        assert (await enter(before, bench, 2)).done()
        suspect, other = await enter(alone, bench, 20), await enter(after, bench, 3)
        bench.pipeline.submit([bench.work(8)])
        assert not suspect.done()
        bench.gate.set()
        await bench.answers(1)
        assert not suspect.done()
        await before.aclose()
        await suspect
        await asyncio.sleep(0.05)
        assert (other.done(), bench.asked) == (False, [["t9"]])
        await alone.aclose()
        await other
        await bench.answers(2)


@pytest.mark.parametrize("given", [True, False])
async def test_a_turn_whose_partition_went_away_is_given_on(tmp_path: Path, given: bool) -> None:
    die(tmp_path, (SUSPECT, OTHER))
    bench = Bench(tmp_path)
    async with AsyncExitStack() as first, AsyncExitStack() as gone, AsyncExitStack() as after:
        assert (await enter(first, bench, 1)).done()
        leaving, other = await enter(gone, bench, 2), await enter(after, bench, 3)
        if given:
            await first.aclose()  # the turn is there, and the task that waits for it has not run yet
            leaving.cancel()
        else:
            leaving.cancel()
            await asyncio.sleep(0)
            await first.aclose()
        await asyncio.wait_for(other, 5)
        assert not bench.pipeline._turns.alone


async def test_a_suspect_with_pictures_is_decoded_alone_and_judged_alone(tmp_path: Path) -> None:
    die(tmp_path, (SUSPECT,))
    bench = Bench(tmp_path)
    bench.pipeline.submit([bench.work(number, pictures=1) for number in (1, 2, 3)])
    await bench.answers(3)
    assert ["t10"] in bench.asked
    assert not bench.journal.suspects


def test_suspects_of_partitions_that_moved_away_are_acquitted(tmp_path: Path) -> None:
    """At once where the partition went on without them, after a while where it does not come at all."""
    die(tmp_path, (SUSPECT, THIRD, ("posts", 1, 7), ("posts", 2, 7)))
    noted, clock = journal(tmp_path), Clock()
    absentees = Absentees(noted, clock)
    absentees.look([OTHER])
    assert set(noted.suspects) == {THIRD, ("posts", 1, 7), ("posts", 2, 7)}
    absentees.look([THIRD, ("posts", 0, 4), ("posts", 1, 6)])
    assert set(noted.suspects) == {THIRD, ("posts", 1, 7), ("posts", 2, 7)}
    clock.sleep(ABSENT_S)
    absentees.look([("posts", 0, 5)])
    assert set(noted.suspects) == {THIRD, ("posts", 1, 7)}
    noted.close()
