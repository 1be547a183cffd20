"""Several servers: in turn, around those that fail, and back once they answer."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from proguard_core.guards.openai import servers as module
from proguard_core.guards.openai.client import Busy, Unreachable
from proguard_core.guards.openai.servers import Server, Servers
from proguard_core.guards.protocol import GuardError, GuardUnavailable
from schemas.common import Outcome
from tests.support.openai_server import OpenAIServer
from tests.unit.guards.openai.engine import outcomes, started, texts
from worker.moderation.judge import Judge
from worker.settings import GuardSettings


@pytest.fixture
def servers() -> Iterator[list[OpenAIServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(OpenAIServer()) for _ in range(3)]


def asked(servers: list[OpenAIServer]) -> list[int]:
    return [len(server.script.posts) for server in servers]


async def until_used(server: OpenAIServer) -> None:
    """Until the server was asked the canary question, and a moment for its answer."""
    seen = len(server.script.seen)
    for _ in range(250):
        await asyncio.sleep(0.02)
        if len(server.script.seen) > seen:
            break
    await asyncio.sleep(0.1)


async def test_all_are_asked_in_turn(servers: list[OpenAIServer]) -> None:
    async with started(*servers) as guard:
        await guard.judge(texts(9))
    assert asked(servers) == [3, 3, 3]


@pytest.mark.parametrize("trouble", ["reset", "error", "malformed", "busy", "wrong_key", "unknown_model"])
async def test_one_that_fails_costs_no_answer_and_is_left_out_until_it_answers_again(
    servers: list[OpenAIServer], trouble: str
) -> None:
    async with started(*servers) as guard:
        servers[0].script.trouble = trouble
        assert outcomes(await guard.judge(texts(3))) == [Outcome.SAFE] * 3
        before = asked(servers)
        assert (before[0], sum(before)) == (1, 4)
        assert outcomes(await guard.judge(texts(6))) == [Outcome.SAFE] * 6
        assert asked(servers)[0] == before[0]
        servers[0].script.trouble = None
        await until_used(servers[0])
        await guard.judge(texts(6))
        assert asked(servers)[0] == before[0] + 2


async def test_one_that_is_gone_is_left_out_and_used_again(servers: list[OpenAIServer]) -> None:
    async with started(*servers) as guard:
        servers[1].stop()
        assert outcomes(await guard.judge(texts(12))) == [Outcome.SAFE] * 12
        servers[1].start()
        await until_used(servers[1])
        before = asked(servers)[1]
        await guard.judge(texts(6))
        assert asked(servers)[1] == before + 2


async def test_there_is_one_quick_try_and_no_more(servers: list[OpenAIServer]) -> None:
    for server in servers:
        server.script.trouble = "error"
    async with started(*servers) as guard:
        with pytest.raises(GuardError, match="500"):
            await guard.judge(texts(1))
    assert sum(asked(servers)) == 2


async def test_with_all_of_them_gone_a_batch_waits_for_the_first_to_come_back(servers: list[OpenAIServer]) -> None:
    async with started(*servers) as guard:
        judge = Judge(guard, GuardSettings(max_attempts=1, timeout_s=5))
        for server in servers:
            server.stop()
        judging = asyncio.create_task(judge.judge(texts(5)))
        await asyncio.sleep(0.5)
        assert not judging.done()
        servers[2].start()
        async with asyncio.timeout(10):
            assert outcomes(await judging) == [Outcome.SAFE] * 5
        await judge.dependency.close()


async def test_the_canary_is_asked_of_all_at_once(servers: list[OpenAIServer]) -> None:
    for server in servers[:2]:
        server.script.trouble = "silence"
    async with started(*servers, request_timeout_s=0.8) as guard:
        async with asyncio.timeout(0.6):
            await guard.probe()
        servers[2].script.trouble = "error"
        with pytest.raises(GuardUnavailable, match=r"no answer in.*500"):
            await guard.probe()


async def test_a_request_that_was_asked_nowhere_waits_for_a_server() -> None:
    """Failing it would count as its own failure in the worker while the canary is answered again."""
    with OpenAIServer() as server:
        async with started(server) as guard:
            server.script.trouble = "error"
            with pytest.raises(GuardError, match="500"):
                await guard.judge(texts(1))
            judging = asyncio.create_task(guard.judge(texts(2)))
            await asyncio.sleep(0.1)
            assert not judging.done()
            server.script.trouble = None
            async with asyncio.timeout(5):
                assert outcomes(await judging) == [Outcome.SAFE] * 2


async def test_it_does_not_wait_for_ever(servers: list[OpenAIServer]) -> None:
    for server in servers:
        server.script.trouble = "error"
    async with started(*servers, request_timeout_s=0.3) as guard:
        for _ in range(2):
            with pytest.raises(GuardError):
                await guard.judge(texts(1))
        with pytest.raises(GuardUnavailable, match="500"):
            await guard.judge(texts(1))


async def test_a_canary_question_that_breaks_off_in_another_way_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two swaps while it is asked, say: without another try the server were left out until all others fail."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    answered = asyncio.Event()
    tries = 0

    async def canary(_server: Server) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise GuardError("the revision was replaced twice meanwhile")
        answered.set()

    servers = Servers(["http://one", "http://two"], canary)
    servers.leave_out(servers.all[0], Unreachable("gone"))
    async with asyncio.timeout(5):
        await answered.wait()
        used = [await servers.wait(1.0) for _ in range(2)]
    assert used == servers.all
    await servers.close()


async def test_what_breaks_off_at_the_end_asks_no_canary() -> None:
    asked: list[str] = []

    async def canary(server: Server) -> None:
        asked.append(server.url)

    servers = Servers(["http://127.0.0.1:1/v1"], canary)
    await servers.close()
    servers.leave_out(servers.all[0], Unreachable("the connection broke"))
    assert servers.all[0].recovering is None
    servers.open()
    servers.leave_out(servers.all[0], Unreachable("the connection broke"))
    await asyncio.sleep(module.FIRST_PAUSE_S + 0.1)
    assert asked == ["http://127.0.0.1:1/v1"]
    await servers.close()


async def test_one_that_asked_for_time_has_it_although_what_was_under_way_is_answered() -> None:
    now = 0.0

    async def canary(_server: Server) -> None: ...

    servers = Servers(["http://one", "http://two"], canary, lambda: now)
    busy, other = servers.all
    servers.leave_out(busy, Busy(429, 20.0))
    servers.answered(busy)  # a question that was on its way when another one was turned away
    assert [servers.next() for _ in range(3)] == [other] * 3
    now = 20.0
    servers.answered(busy)
    assert busy in [servers.next() for _ in range(2)]
    await servers.close()
