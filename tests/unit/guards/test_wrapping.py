"""cache_size and shadow of `[guard.settings]` put wrappers around any engine; the rest is the engine's own."""

from typing import Any

import pytest

from proguard_core.guards.cached import CachedGuard
from proguard_core.guards.cascade import CascadeGuard
from proguard_core.guards.factory import create
from proguard_core.guards.protocol import GuardOptions, GuardRequest
from proguard_core.guards.shadow import ShadowGuard
from proguard_core.policy.loader import load_policy
from tests.support.guards import ScriptedGuard
from tests.unit.policy.builders import SMALL, parse

POLICY = load_policy()
SCRIPTED = "tests.support.guards:scripted"


def made(**settings: Any) -> object:
    return create(SCRIPTED, GuardOptions(settings=settings), POLICY)


def test_without_their_keys_there_are_none() -> None:
    assert isinstance(made(), ScriptedGuard)
    assert isinstance(made(cache_size=0), ScriptedGuard)


def test_the_embedded_guard_asks_no_server() -> None:
    with pytest.raises(ValueError, match="base_urls is for"):
        create("embedded", GuardOptions(base_urls=("http://127.0.0.1:1/v1",)), POLICY)


def test_the_shadow_is_outermost_and_the_engine_keeps_its_own_keys() -> None:
    guard = made(cache_size="50", revision="7", shadow={"engine": SCRIPTED, "settings": {"revision": "8"}})
    assert isinstance(guard, ShadowGuard)
    assert isinstance(guard._live, CachedGuard)
    assert isinstance(guard._second, ScriptedGuard)
    assert (guard.name, guard.revision, guard._second.revision) == ("scripted", "7", "8")


def test_the_second_guard_may_be_of_any_engine() -> None:
    table = {"engine": "openai", "model": "m", "base_urls": ["http://127.0.0.1:1/v1"], "share": 0.5, "queue": 2}
    guard = made(shadow=table)
    assert isinstance(guard, ShadowGuard)
    assert guard._second.name == "openai:m"


def test_a_cascade_warns_of_categories_that_its_first_guard_cannot_know(caplog: pytest.LogCaptureFixture) -> None:
    made(cascade={})
    assert "cascade" not in caplog.text
    create(SCRIPTED, GuardOptions(settings={"cascade": {}}), parse(SMALL))
    assert "the policy alone lists C12:" in caplog.text


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cache_size": -1}, "cache_size"),
        ({"cache_size": "many"}, "cache_size"),
        ({"shadow": "openai"}, "shadow must be a table"),
        ({"shadow": {"share": 0.1}}, "shadow.*engine"),
        ({"shadow": {}}, "shadow.*engine"),
        ({"shadow": {"engine": SCRIPTED, "shares": 1}}, "shadow.*shares"),
        ({"shadow": {"engine": SCRIPTED, "share": 1.5}}, "shadow.*share"),
        ({"shadow": {"engine": "nothing"}}, "shadow.*nothing"),
        ({"shadow": {"engine": "openai", "base_urls": "http://x/v1"}}, "shadow.*base_urls"),
        ({"shadow": {"engine": SCRIPTED, "settings": {"shadow": {"engine": SCRIPTED}}}}, "shadow of its own"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        made(**settings)


@pytest.mark.parametrize(
    ("engine", "keys"),
    [
        ("embedded", "adapter, adapters, cache_size, cascade, shadow, threads, workers"),
        ("openai", ".*cache_size, cascade,.* novelty,.* shadow"),
    ],
)
def test_a_wrong_key_is_told_all_that_are_right(engine: str, keys: str) -> None:
    with pytest.raises(ValueError, match=rf"^guard\.settings has no colour for the {engine} guard, only {keys}"):
        create(engine, GuardOptions(model=None, settings={"colour": 1}), POLICY)
    with pytest.raises(ValueError, match=r"^guard\.settings\.cascade: there is no colour, only audit, first, "):
        made(cascade={"colour": 1})
    for share in ("often", -0.1, 1.1, "nan", True):
        with pytest.raises(ValueError, match=r"unsafe_from = .* must be a number"):
            made(cascade={"unsafe_from": share})
    for never in (0, 0.0, "0", "0.0"):  # the environment knows text alone
        made(cascade={"unsafe_from": never})


def test_lists_and_tables_may_be_json_text_as_the_environment_has_no_other() -> None:
    second = {
        "engine": "openai",
        "model": "m",
        "base_urls": '["http://127.0.0.1:1/v1"]',
        "settings": '{"weights": "1"}',
    }
    guard = made(cascade="{}", shadow=second)
    assert isinstance(guard, ShadowGuard)
    assert isinstance(guard._live, CascadeGuard)
    with pytest.raises(ValueError, match=r"guard\.settings\.cascade must be a table"):
        made(cascade="{")


@pytest.mark.parametrize("engine", ["json:__name__", ".x:y", ":y", "json:"])
def test_what_is_no_factory_is_named(engine: str) -> None:
    with pytest.raises(ValueError, match=r"^guard\.engine = "):
        create(engine, GuardOptions(), POLICY)


@pytest.mark.parametrize("number", [10**400, "1" * 5000, "inf", "nan"], ids=["digits", "text", "inf", "nan"])
def test_numbers_beyond_all_bounds_are_named(number: object) -> None:
    for key in ("request_timeout_s", "output_cap"):
        with pytest.raises(ValueError, match=rf"guard\.settings\.{key}"):
            create("openai", GuardOptions("m", ("http://127.0.0.1:1/v1",), {key: number}), POLICY)


async def test_wrapped_it_judges() -> None:
    guard = create(SCRIPTED, GuardOptions(settings={"cache_size": 5, "shadow": {"engine": SCRIPTED}}), POLICY)
    await guard.start()
    judgements = await guard.judge([GuardRequest("unsafe:C3S1"), GuardRequest("a")])
    assert [str(judgement.outcome) for judgement in judgements] == ["unsafe", "safe"]
    await guard.close()
