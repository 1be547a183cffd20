"""Adapters on scripted servers: loaded before they are used, on every server, after a restart too."""

import asyncio
from pathlib import Path

import pytest

from proguard_core.guards.adapters import Revisions
from proguard_core.guards.openai import create
from proguard_core.guards.openai.guard import served_name
from proguard_core.guards.protocol import GuardError, GuardRequest
from tests.support.openai_server import OpenAIServer
from tests.unit.guards.openai.engine import MODEL, POLICY, options, outcomes, started, texts


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    """A folder with two adapters."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
        (tmp_path / name / "adapter_model.safetensors").write_bytes(name.encode())
    return tmp_path


def served(adapters: Path, name: str) -> str:
    """What servers know an adapter by now."""
    adapter = Revisions((), adapters).find(name)
    assert adapter is not None
    return served_name(adapter)


def _asked(server: OpenAIServer) -> list[str]:
    """Names of models that posts were asked of."""
    return [seen.body["model"] for seen in server.script.posts]


async def test_a_swap_loads_on_every_server_and_the_next_question_asks_for_it(adapters: Path) -> None:
    with OpenAIServer() as one, OpenAIServer() as two:
        async with started(one, two, adapters=str(adapters)) as guard:
            base = guard.revision
            await guard.swap("first")
            assert one.script.adapters == two.script.adapters == {served(adapters, "first"): str(adapters / "first")}
            assert guard.revision.startswith("first-")
            judgements = await guard.judge(texts(4))
            assert {judgement.revision for judgement in judgements} == {guard.revision}
            await guard.swap("base")
            assert guard.revision == base
            (judgement,) = await guard.judge(texts(1))
            assert judgement.revision == base
    assert sorted(_asked(one) + _asked(two)) == [served(adapters, "first")] * 4 + [MODEL]


async def test_what_is_under_way_ends_on_the_one_before(adapters: Path) -> None:
    with OpenAIServer(delay_s=0.3) as server:
        async with started(server, adapters=str(adapters)) as guard:
            before = guard.revision
            judging = asyncio.create_task(guard.judge(texts(3)))
            await asyncio.sleep(0.1)
            await guard.swap("first")
            (after,) = await guard.judge(texts(1))
            assert after.revision == guard.revision
            assert {judgement.revision for judgement in await judging} == {before}
            (wanted,) = await guard.judge([GuardRequest("a post that came in before", revision=before)])
            assert wanted.revision == before
    assert sorted(_asked(server)) == [served(adapters, "first"), *[MODEL] * 4]


async def test_servers_may_see_the_folder_elsewhere(adapters: Path) -> None:
    with OpenAIServer() as server:
        async with started(server, adapters=str(adapters), server_adapters="/models/adapters") as guard:
            await guard.swap("second")
    assert server.script.adapters == {served(adapters, "second"): "/models/adapters/second"}


async def test_one_is_in_force_from_the_start_and_is_part_of_the_revision(adapters: Path) -> None:
    with OpenAIServer() as server:
        async with started(server, adapters=str(adapters)) as plain, started(server, adapters=str(adapters)) as other:
            await other.swap("first")
            async with started(server, adapters=str(adapters), adapter="first") as guard:
                assert server.script.adapters.keys() == {served(adapters, "first")}
                assert guard.revision == other.revision != plain.revision
                await guard.judge(texts(1))
    assert _asked(server) == [served(adapters, "first")]


async def test_a_server_that_was_started_again_loads_it_before_it_is_asked(adapters: Path) -> None:
    """Nobody noticed the restart: the first question finds that the adapter is gone."""
    with OpenAIServer() as server:
        async with started(server, adapters=str(adapters)) as guard:
            await guard.swap("first")
            server.stop()
            server.start()
            assert server.script.adapters == {}
            judgements = await guard.judge(texts(5))
            assert server.script.adapters.keys() == {served(adapters, "first")}
    assert len(outcomes(judgements)) == 5
    assert {judgement.revision for judgement in judgements} == {guard.revision}


async def test_what_a_server_loaded_under_a_name_before_this_worker_came_is_not_taken_for_other_weights(
    adapters: Path,
) -> None:
    with OpenAIServer() as server:
        async with started(server, adapters=str(adapters), adapter="first") as guard:
            before, revision = served(adapters, "first"), guard.revision
        (adapters / "first" / "adapter_model.safetensors").write_bytes(b"other weights")
        async with started(server, adapters=str(adapters), adapter="first") as guard:
            assert guard.revision != revision
            await guard.judge(texts(1))
        assert _asked(server) == [served(adapters, "first")] != [before]
        assert server.script.adapters.keys() == {before, served(adapters, "first")}


async def test_a_server_that_was_down_during_the_swap_is_not_asked_without_it(adapters: Path) -> None:
    with OpenAIServer() as one, OpenAIServer() as two:
        async with started(one, two, adapters=str(adapters)) as guard:
            two.stop()
            await guard.swap("first")
            await guard.judge(texts(4))
            two.start()
            await guard.probe()
            async with asyncio.timeout(20):
                while not two.script.posts:
                    await guard.judge(texts(2))
                    await asyncio.sleep(0.1)
            assert two.script.adapters.keys() == {served(adapters, "first")}
    assert set(_asked(two)) == {served(adapters, "first")}


async def test_a_server_that_refuses_keeps_the_old_one_everywhere(adapters: Path) -> None:
    with OpenAIServer() as one, OpenAIServer(refused_adapter=served(adapters, "first")) as two:
        async with started(one, two, adapters=str(adapters)) as guard:
            before = guard.revision
            with pytest.raises(GuardError, match=r"refuses the adapter 'first-\w+' .*No adapter found"):
                await guard.swap("first")
            assert guard.revision == before
            judgements = await guard.judge(texts(6))
            assert {judgement.revision for judgement in judgements} == {before}
    assert set(_asked(one) + _asked(two)) == {MODEL}


async def test_one_that_was_still_being_written_is_served_once_it_is_whole(adapters: Path) -> None:
    with OpenAIServer(refused_adapter=served(adapters, "first")) as server:
        async with started(server, adapters=str(adapters)) as guard:
            with pytest.raises(GuardError, match="refuses the adapter"):
                await guard.swap("first")
            (adapters / "first" / "adapter_model.safetensors").write_bytes(b"all of the weights")
            await guard.swap("first")
            (judgement,) = await guard.judge(texts(1))
        assert judgement.revision == guard.revision
        assert _asked(server) == [served(adapters, "first")]


async def test_no_server_there_changes_nothing(adapters: Path) -> None:
    with OpenAIServer() as server:
        async with started(server, adapters=str(adapters)) as guard:
            before = guard.revision
            server.stop()
            with pytest.raises(GuardError, match="no server loads the adapter 'first' now"):
                await guard.swap("first")
            assert guard.revision == before


async def test_a_server_that_takes_none_says_what_is_to_be_done(adapters: Path) -> None:
    with OpenAIServer(takes_adapters=False) as server:
        async with started(server, adapters=str(adapters)) as guard:
            with pytest.raises(GuardError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
                await guard.swap("first")
        guard = create(options(server, adapters=str(adapters), adapter="first"), POLICY)
        with pytest.raises(GuardError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            await guard.start()


async def test_two_workers_load_the_same_at_once(adapters: Path) -> None:
    with OpenAIServer() as server:
        async with started(server, adapters=str(adapters)) as one, started(server, adapters=str(adapters)) as two:
            await asyncio.gather(*(guard.swap("first") for guard in (one, two)))
            assert one.revision == two.revision


async def test_names_and_weights_that_cannot_be(adapters: Path) -> None:
    with OpenAIServer() as server:
        async with started(server, adapters=str(adapters)) as guard:
            await guard.swap("first")
            await guard.swap("second")
            for name, cause in (("third", "cannot be read"), ("../first", "is no name")):
                with pytest.raises(GuardError, match=cause):
                    await guard.swap(name)
            (adapters / "first" / "adapter_model.safetensors").write_bytes(b"other weights")
            with pytest.raises(GuardError, match="changed after it was loaded"):
                await guard.swap("first")
            assert guard.revision.startswith("second-")
        async with started(server) as guard:
            with pytest.raises(GuardError, match="names no folder"):
                await guard.swap("first")
