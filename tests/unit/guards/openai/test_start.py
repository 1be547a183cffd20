"""What is wrong with the settings is said at the start; a server that is not there yet is waited for."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from proguard_core.guards.openai import create
from proguard_core.guards.openai.settings import read
from proguard_core.guards.protocol import GuardError, GuardOptions, GuardUnavailable
from proguard_core.policy.loader import parse_policy
from proguard_core.policy.policy import Policy
from schemas.common import Outcome
from tests.support.openai_server import OpenAIServer
from tests.unit.guards.openai.engine import MODEL, POLICY, options, outcomes, started, texts
from tests.unit.policy.builders import SMALL

URL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (GuardOptions(None, (URL,)), "guard.model"),
        (GuardOptions(MODEL, ()), "guard.base_urls"),
        (GuardOptions(MODEL, ("127.0.0.1:8000",)), "guard.base_urls"),
        (GuardOptions(MODEL, ("ftp://host/v1",)), "guard.base_urls"),
        (GuardOptions(MODEL, ("http://127.0.0.1:99999/v1",)), "guard.base_urls"),
        (GuardOptions(MODEL, ("http://user:word@127.0.0.1:99999/v1",)), "no login in an address"),
        (GuardOptions(MODEL, ("http://127.0.0.1:abc/v1",)), "guard.base_urls"),
        (GuardOptions(MODEL, ("http://exa mple/v1",)), "guard.base_urls"),
        (GuardOptions(MODEL, ("http://a..b/v1",)), "guard.base_urls"),
        (GuardOptions(MODEL, (f"http://{'a' * 64}.example/v1",)), "guard.base_urls"),
        (GuardOptions(MODEL, ("http://[::1/v1",)), "guard.base_urls"),
        (GuardOptions(MODEL, (URL, f"{URL}/")), "twice"),
        (GuardOptions(MODEL, (URL,), {"temperature": 1}), "temperature"),
        (GuardOptions(MODEL, (URL,), {"output_cap": 0}), "output_cap"),
        (GuardOptions(MODEL, (URL,), {"output_cap": True}), "output_cap"),
        (GuardOptions(MODEL, (URL,), {"request_timeout_s": "soon"}), "request_timeout_s"),
        (GuardOptions(MODEL, (URL,), {"request_timeout_s": float("nan")}), "request_timeout_s"),
        (GuardOptions(MODEL, (URL,), {"image_format": "gif"}), "image_format"),
        (GuardOptions(MODEL, (URL,), {"structured_retry": "perhaps"}), "structured_retry"),
        (GuardOptions(MODEL, (URL,), {"api_key": "sk-hidden"}), "api_key"),
        (GuardOptions(MODEL, (URL,), {"prompts": "no/such/folder"}), "no/such/folder"),
        (GuardOptions(MODEL, (URL,), {"adapter": "second"}), "guard.settings.adapters"),
        (GuardOptions(MODEL, (URL,), {"server_adapters": "/mnt/adapters"}), "guard.settings.adapters"),
    ],
)
def test_wrong_settings_are_named(given: GuardOptions, named: str) -> None:
    with pytest.raises(ValueError, match=named) as raised:
        create(given, POLICY)
    assert "sk-hidden" not in str(raised.value)


def test_a_login_in_an_address_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="no login") as raised:
        create(GuardOptions(MODEL, ("http://me:hidden@host/v1",)), POLICY)
    assert "hidden" not in str(raised.value)


def test_values_from_the_environment_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " sk-hidden\n")
    given: dict[str, object] = {
        "output_cap": "64",
        "request_timeout_s": "2.5",
        "structured_retry": "false",
        "key_variable": "MY_KEY",
    }
    settings = read(GuardOptions(MODEL, (URL,), given))
    assert (settings.output_cap, settings.request_timeout_s, settings.structured_retry) == (64, 2.5, False)
    assert settings.api_key == "sk-hidden"
    assert "sk-hidden" not in repr(settings)


def test_a_key_that_no_header_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a\nb")
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        create(GuardOptions(MODEL, (URL,)), POLICY)


async def test_a_wrong_key_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    with OpenAIServer(key="another") as server:
        with pytest.raises(GuardError, match="the key in OPENAI_API_KEY") as raised:
            async with started(server):
                pass
        assert "sk-hidden" not in str(raised.value)


async def test_a_key_that_is_missing_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with OpenAIServer(key="another") as server, pytest.raises(GuardError, match="without a key"):
        async with started(server):
            pass


async def test_an_unknown_model_ends_the_start_and_the_served_one_is_named() -> None:
    with OpenAIServer(model="another-model") as server, pytest.raises(GuardError, match="another-model"):
        async with started(server):
            pass


async def test_an_address_without_an_api_ends_the_start() -> None:
    with OpenAIServer() as server:
        guard = create(replace(options(server), base_urls=(server.base_url.removesuffix("/v1"),)), POLICY)
        with pytest.raises(GuardError, match="/v1"):
            await guard.start()


async def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    server = OpenAIServer()
    with server:
        pass  # its port is known and free now
    async with started(server) as guard:
        with pytest.raises(GuardUnavailable, match=server.base_url):
            await guard.probe()
        with server:
            await guard.probe()
            assert outcomes(await guard.judge(texts(1))) == [Outcome.SAFE]


async def test_after_an_end_a_server_that_was_left_out_is_used_again() -> None:
    with OpenAIServer() as server:
        async with started(server, request_timeout_s=1.0) as guard:
            server.script.trouble = "error"
            with pytest.raises(GuardError, match="500"):
                await guard.judge(texts(1))
            await guard.close()
            server.script.trouble = None
            await guard.start()
            assert outcomes(await guard.judge(texts(1))) == [Outcome.SAFE]


async def test_a_released_checkpoint_with_other_prompts_warns_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    released = "yushaohan/ProGuard-7B"
    with OpenAIServer(model=released) as server:
        guard = create(replace(options(server), model=released), POLICY)
        await guard.start()
        await guard.close()
    assert "was trained on the authors' prompts" in caplog.text


async def test_one_server_that_is_set_up_wrongly_is_left_out_beside_a_good_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with OpenAIServer(model="another") as wrong, OpenAIServer() as good, caplog.at_level(logging.WARNING):
        async with started(wrong, good) as guard:
            await guard.judge(texts(4))
        assert (len(wrong.script.posts), len(good.script.posts)) == (0, 4)
    assert "does not serve the model" in caplog.text


def revision(policy: Policy = POLICY, model: str = MODEL, urls: tuple[str, ...] = (URL,), **settings: Any) -> str:
    return create(GuardOptions(model, urls, settings), policy).revision


def test_the_revision_is_of_all_that_an_answer_depends_on() -> None:
    small = parse_policy(SMALL.encode(), "small.yaml", "small.yaml")
    revisions = [
        revision(),
        revision(small),
        revision(model="another"),
        revision(weights="2026-11-24"),
        revision(output_cap=512),
        revision(image_format="png"),
        revision(structured_retry=False),
        revision(max_pixels=500_000),
    ]
    assert len(set(revisions)) == len(revisions)
    same = [revision(urls=("http://other:1/v1",)), revision(concurrency=2), revision(request_timeout_s=3)]
    assert set(same) == {revision()}


async def test_the_name_says_engine_and_model_and_another_revision_is_refused() -> None:
    guard = create(GuardOptions(MODEL, (URL,)), POLICY)
    assert guard.name == f"openai:{MODEL}"
    await guard.swap(guard.revision)
    with pytest.raises(GuardError, match="another"):
        await guard.swap("another")
