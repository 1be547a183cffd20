"""The contract on the openai engine against vLLM: all of it with the taught model, a part with the random one."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proguard_core.guards.factory import create
from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.loader import load_policy
from tests.engines.test_transformers_contract import SENSELESS, UNSAFE
from tests.support.vllm_server import SERVED_NAME, VllmServer
from tests.unit.guards import contract
from tests.unit.guards.contract import CASES, Engine

SETTINGS = {"output_cap": 96, "request_timeout_s": 120.0, "connect_timeout_s": 60.0, "novelty": False}


@pytest.fixture(scope="module")
def taught_server(tiny_taught_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    with VllmServer(tmp_path_factory.mktemp("taught"), tiny_taught_model, adapters=False) as running:
        yield running


def engine(server: VllmServer) -> Engine:
    @asynccontextmanager
    async def made() -> AsyncIterator[Guard]:
        yield create("openai", GuardOptions(SERVED_NAME, (server.base_url,), dict(SETTINGS)), load_policy())

    return Engine("openai", made, UNSAFE)


@pytest.mark.parametrize("title", SENSELESS)
async def test_contract_where_answers_make_no_sense(title: str, server: VllmServer) -> None:
    await contract.run(engine(server), title)


@pytest.mark.parametrize("title", CASES)
async def test_contract(title: str, taught_server: VllmServer) -> None:
    await contract.run(engine(taught_server), title)
