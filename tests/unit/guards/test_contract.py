"""The contract on every engine that needs no model: each cell of the table in docs/guards.md is one of these tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from proguard_core.guards.cached import CachedGuard
from proguard_core.guards.cascade import CascadeGuard, Sureness
from proguard_core.guards.disagreements import Disagreements
from proguard_core.guards.openai import create
from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.guards.shadow import ShadowGuard
from proguard_core.policy.loader import load_policy
from tests.support.guards import scripted
from tests.support.openai_server import OpenAIServer
from tests.support.scored_guard import ScoredGuard
from tests.support.word_list_guard import WordListGuard
from tests.unit.guards import contract
from tests.unit.guards.contract import Engine

POLICY = load_policy()


def _scripted() -> Guard:
    return scripted(GuardOptions(), POLICY)


def _cached() -> Guard:
    return CachedGuard(_scripted(), POLICY, 100)


def _cascade() -> Guard:
    return CascadeGuard(ScoredGuard(), _scripted(), Sureness())


def _shadow() -> Guard:
    return ShadowGuard(_scripted(), _scripted(), Disagreements(), share=1.0, queue=4, timeout_s=1.0)


def _word_list() -> Guard:
    return WordListGuard(GuardOptions(settings={"words": {"double your coins": "C3S1"}}), POLICY)


def _plain(make: Callable[[], Guard]) -> Callable[[], AbstractAsyncContextManager[Guard]]:
    @asynccontextmanager
    async def made() -> AsyncIterator[Guard]:
        yield make()

    return made


@asynccontextmanager
async def _openai() -> AsyncIterator[Guard]:
    with OpenAIServer() as first, OpenAIServer() as second:
        yield create(GuardOptions("proguard", (first.base_url, second.base_url)), POLICY)


ENGINES = (
    Engine("scripted", _plain(_scripted)),
    Engine("openai", _openai),
    Engine("cached", _plain(_cached)),
    Engine("cascade", _plain(_cascade)),
    Engine("shadow", _plain(_shadow)),
    Engine("word-list", _plain(_word_list), "We double your coins."),
)


@contract.parametrised(*ENGINES)
async def test_contract(engine: Engine, title: str) -> None:
    await contract.run(engine, title)
