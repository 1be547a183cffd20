"""Law 5: a failure is the guard's while its canary fails too. Law 6: the post at fault is found by halving."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import pytest

from proguard_core.guards.protocol import (
    GuardDied,
    GuardError,
    GuardLimits,
    GuardRequest,
    GuardUnavailable,
    Judgement,
)
from schemas.common import Outcome, Reason
from worker.moderation.judge import Judge
from worker.settings import GuardSettings

SAFE = Judgement(Outcome.SAFE)
Answer = Callable[[Sequence[GuardRequest]], Awaitable[list[Judgement]]]


class FakeGuard:
    """Judges with a function; up tells what the canary says. calls holds the sizes of the batches asked."""

    name, revision, limits = "fake", "r1", GuardLimits()

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.up = True
        self.calls: list[int] = []
        self.lifecycle: list[str] = []
        self.probed = asyncio.Event()

    async def start(self) -> None:
        self.lifecycle.append("start")

    async def close(self) -> None:
        self.lifecycle.append("close")

    async def swap(self, revision: str) -> None:
        raise NotImplementedError

    async def probe(self) -> None:
        self.probed.set()
        if not self.up:
            raise GuardUnavailable("down")

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        self.calls.append(len(requests))
        return await self.answer(requests)


def poisoned_by(bad: str, error: BaseException) -> Answer:
    async def answer(requests: Sequence[GuardRequest]) -> list[Judgement]:
        if any(request.text == bad for request in requests):
            raise error
        return [SAFE] * len(requests)

    return answer


def requests(count: int) -> list[GuardRequest]:
    return [GuardRequest(str(number)) for number in range(count)]


SETTINGS = GuardSettings(max_attempts=3, timeout_s=5)


@pytest.mark.parametrize("bad", [0, 31, 63])
@pytest.mark.parametrize("error", [GuardError("bad"), RuntimeError("a bug of the engine"), KeyError(1)])
async def test_halving_finds_the_one_bad_post_of_64(bad: int, error: Exception) -> None:
    guard = FakeGuard(poisoned_by(str(bad), error))
    judgements = await Judge(guard, SETTINGS).judge(requests(64))
    assert judgements.pop(bad) == Judgement(Outcome.UNDETERMINED, Reason.GUARD_FAILED)
    assert judgements == [SAFE] * 63
    assert guard.calls.count(1) == 4  # the bad one three times, its neighbour once
    assert len(guard.calls) == 1 + 2 * 6 + 2


async def test_while_the_guard_is_down_the_batch_waits_and_no_attempt_is_counted() -> None:
    guard = FakeGuard(poisoned_by("0", GuardError("down")))
    guard.up = False
    task = asyncio.create_task(Judge(guard, GuardSettings(max_attempts=1)).judge(requests(1)))
    for _ in range(3):
        guard.probed.clear()
        await guard.probed.wait()
    assert not task.done()
    guard.answer = poisoned_by("none", GuardError())
    guard.up = True
    assert await task == [SAFE]
    assert guard.calls == [1, 1]


async def test_a_timeout_is_named_so() -> None:
    async def never(requests: Sequence[GuardRequest]) -> list[Judgement]:
        await asyncio.Event().wait()
        raise AssertionError

    guard = FakeGuard(never)
    judge = Judge(guard, GuardSettings(max_attempts=2, timeout_s=0.01))
    assert await judge.judge(requests(1)) == [Judgement(Outcome.UNDETERMINED, Reason.GUARD_TIMEOUT)]
    assert guard.calls == [1, 1]


async def test_a_dead_engine_is_started_anew_and_the_batch_halved() -> None:
    guard = FakeGuard(poisoned_by("2", GuardDied("gone")))
    judgements = await Judge(guard, SETTINGS).judge(requests(4))
    assert [judgement.outcome for judgement in judgements] == [
        Outcome.SAFE,
        Outcome.SAFE,
        Outcome.UNDETERMINED,
        Outcome.SAFE,
    ]
    deaths = 1 + 1 + SETTINGS.max_attempts
    assert guard.lifecycle == ["close", "start"] * deaths


async def test_an_engine_found_dead_by_the_canary_is_started_anew() -> None:
    """It was only unavailable when the batch failed, and died while the batch waited."""

    class Dying(FakeGuard):
        async def probe(self) -> None:
            self.probed.set()
            if self.lifecycle.count("start") == 0:
                raise GuardDied("gone")

    guard = Dying(poisoned_by("0", GuardUnavailable("down")))
    task = asyncio.create_task(Judge(guard, SETTINGS).judge(requests(1)))
    await guard.probed.wait()
    guard.answer = poisoned_by("none", GuardError())
    async with asyncio.timeout(5):
        assert await task == [SAFE]
    assert guard.lifecycle == ["close", "start"]


async def test_a_post_beside_one_that_kills_the_engine_is_not_blamed() -> None:
    """Two batches in flight: each death takes what the other asks just then with it."""
    alive = asyncio.Event()

    async def answer(asked: Sequence[GuardRequest]) -> list[Judgement]:
        died = alive
        if any(each.text == "poison" for each in asked):
            await asyncio.sleep(0.01)
            died.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(died.wait(), 0.05)
        if died.is_set():
            raise GuardDied("gone")
        return [SAFE] * len(asked)

    class Restarted(FakeGuard):
        async def start(self) -> None:
            nonlocal alive
            await asyncio.sleep(0.02)
            alive = asyncio.Event()

    judge = Judge(Restarted(answer), SETTINGS)
    poisoned = [GuardRequest("poison"), *requests(7)]
    async with asyncio.timeout(30):
        first, second = await asyncio.gather(judge.judge(poisoned), judge.judge(requests(8)))
    assert second == [SAFE] * 8
    assert first == [Judgement(Outcome.UNDETERMINED, Reason.GUARD_FAILED)] + [SAFE] * 7


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_wrong_number_of_answers_is_a_failure(count: int) -> None:
    async def answer(requests: Sequence[GuardRequest]) -> list[Judgement]:
        return [SAFE] * count if len(requests) == 2 or count != 1 else []

    judgements = await Judge(FakeGuard(answer), SETTINGS).judge(requests(2))
    assert judgements == [Judgement(Outcome.UNDETERMINED, Reason.GUARD_FAILED)] * 2


async def test_nothing_is_safe_by_failure() -> None:
    async def answer(requests: Sequence[GuardRequest]) -> list[Judgement]:
        raise GuardError

    judgements = await Judge(FakeGuard(answer), SETTINGS).judge(requests(7))
    assert [judgement.outcome for judgement in judgements] == [Outcome.UNDETERMINED] * 7


async def test_cancelling_ends_it() -> None:
    guard = FakeGuard(poisoned_by("0", GuardError()))
    guard.up = False
    task = asyncio.create_task(Judge(guard, SETTINGS).judge(requests(1)))
    await guard.probed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
