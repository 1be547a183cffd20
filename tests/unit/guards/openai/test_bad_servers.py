"""Each bad answer of a guard server, and what law 5 makes of it: through the worker's Judge, on real sockets."""

import asyncio
import logging

import pytest

from proguard_core.guards.protocol import GuardError, GuardRequest, GuardUnavailable
from schemas.common import Outcome, Reason
from tests.support.openai_server import OpenAIServer
from tests.unit.guards.openai.engine import outcomes, picture, started, texts
from worker.moderation.judge import Judge
from worker.settings import GuardSettings

ONE_TRY = GuardSettings(max_attempts=1, timeout_s=5)
DOWN = [
    "busy",
    "error",
    "reset",
    "silence",
    "malformed",
    "aborted",
    "no_choices",
    "endless",
    "unknown_model",
    "wrong_key",
    "refuse",
]


@pytest.mark.parametrize("trouble", DOWN)
async def test_a_server_in_trouble_is_waited_for_and_no_try_is_counted(trouble: str) -> None:
    """The canary fails too, so nothing is the post's fault: no verdict, then the right one."""
    with OpenAIServer(silence_s=10) as server:
        async with started(server, request_timeout_s=1.0) as guard:
            judge = Judge(guard, ONE_TRY)
            server.script.trouble = trouble
            judging = asyncio.create_task(judge.judge([*texts(2), GuardRequest("unsafe:C3S1")]))
            async with asyncio.timeout(10):
                while judge.dependency.down_since is None:  # noqa: ASYNC110  # nothing tells of it
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            assert not judging.done()
            assert server.base_url in str(judge.dependency.cause)
            server.script.trouble = None
            async with asyncio.timeout(10):
                assert outcomes(await judging) == [Outcome.SAFE, Outcome.SAFE, Outcome.UNSAFE]
            await judge.dependency.close()


async def test_a_server_that_is_gone_is_waited_for() -> None:
    with OpenAIServer() as server:
        async with started(server) as guard:
            judge = Judge(guard, ONE_TRY)
            assert outcomes(await judge.judge(texts(1))) == [Outcome.SAFE]
            server.stop()
            judging = asyncio.create_task(judge.judge(texts(3)))
            await asyncio.sleep(0.5)
            assert not judging.done()
            server.start()
            async with asyncio.timeout(10):
                assert outcomes(await judging) == [Outcome.SAFE] * 3
            await judge.dependency.close()


OF_THE_POST = {
    "error": Reason.GUARD_FAILED,
    "reset": Reason.GUARD_FAILED,
    "malformed": Reason.GUARD_FAILED,
    "aborted": Reason.GUARD_FAILED,
    "silence": Reason.GUARD_TIMEOUT,
    "overflow": Reason.NOT_JUDGEABLE,
    "refused_image": Reason.IMAGE_UNREADABLE,
    "refuse": Reason.GUARD_FAILED,
    "gibberish": Reason.UNPARSEABLE,
    "mumble": Reason.FORCED,
}


@pytest.mark.parametrize(("trouble", "reason"), OF_THE_POST.items())
async def test_a_post_in_trouble_alone_is_undetermined_and_its_neighbours_are_judged(
    trouble: str, reason: Reason
) -> None:
    with OpenAIServer(silence_s=10) as server:
        async with started(server, request_timeout_s=0.3) as guard:
            judge = Judge(guard, GuardSettings(max_attempts=2, timeout_s=5))
            bad = GuardRequest(f"server:{trouble}", None, picture((0, 255, 0)))
            async with asyncio.timeout(20):
                judgements = await judge.judge([*texts(2), bad, *texts(1)])
            await judge.dependency.close()
    assert (judgements[2].outcome, judgements[2].reason) == (Outcome.UNDETERMINED, reason)
    assert outcomes(judgements[:2] + judgements[3:]) == [Outcome.SAFE] * 3


@pytest.mark.parametrize("trouble", ["overflow", "refused_image", "refuse"])
async def test_what_is_refused_costs_its_neighbours_nothing(trouble: str) -> None:
    with OpenAIServer() as server:
        async with started(server) as guard:
            await guard.judge([*texts(3), GuardRequest(f"server:{trouble}", None, picture((0, 255, 0)))])
        assert len(server.script.posts) == 4


@pytest.mark.parametrize("trouble", ["busy", "unavailable"])
async def test_busy_posts_never_run_out_of_tries(trouble: str) -> None:
    """The canary would be answered, but neither 429 nor 503 is the post's fault: nobody asks before the server says."""
    with OpenAIServer() as server:
        async with started(server) as guard:
            server.script.trouble = trouble
            with pytest.raises(GuardUnavailable):
                await guard.judge(texts(1))
            server.script.trouble = None
            with pytest.raises(GuardUnavailable, match="busy"):
                await guard.probe()
            await asyncio.sleep(0.25)
            await guard.probe()


async def test_silence_is_a_timeout_and_is_not_doubled_at_another_server() -> None:
    with OpenAIServer(trouble="silence") as silent, OpenAIServer() as other:
        async with started(silent, other, request_timeout_s=0.3) as guard:
            with pytest.raises(TimeoutError) as raised:
                await guard.judge(texts(1))
            assert isinstance(raised.value, GuardError)
        assert not other.script.posts


async def test_a_failure_gives_up_what_was_asked_beside_it() -> None:
    with OpenAIServer() as server:
        async with started(server) as guard:
            slow = [GuardRequest("server:silence")]
            async with asyncio.timeout(3):
                with pytest.raises(GuardError):
                    await guard.judge([*slow, GuardRequest("server:error")])


async def test_neither_key_nor_content_is_in_any_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-hidden")
    with OpenAIServer(key="sk-very-hidden") as server, caplog.at_level(logging.INFO):
        async with started(server) as guard:
            judge = Judge(guard, GuardSettings(max_attempts=1))
            for trouble in ("overflow", "error", "gibberish", "malformed"):
                await judge.judge([GuardRequest(f"server:{trouble} private-words")])
            server.script.key = "another"
            with pytest.raises(GuardUnavailable) as raised:
                await guard.probe()
            await judge.dependency.close()
        assert {seen.authorization for seen in server.script.seen} == {"Bearer sk-very-hidden"}
    assert "OPENAI_API_KEY" in str(raised.value)
    for hidden in ("sk-very-hidden", "private-words"):
        assert hidden not in caplog.text
        assert hidden not in str(raised.value)
