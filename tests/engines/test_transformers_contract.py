"""The contract on the transformers engine: all of it with the taught model, what needs no sense with the random one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proguard_core.guards.factory import create
from proguard_core.guards.protocol import Guard, GuardOptions
from proguard_core.policy.loader import load_policy
from tests.unit.guards import contract
from tests.unit.guards.contract import CASES, Engine

UNSAFE = "I sell cracked software and licence keys in this town, write to me."
SETTINGS = {"output_cap": 96, "novelty": False}
# Those that ask for no certain outcome.
SENSELESS = (
    "names itself, its revision and its limits",
    "an empty batch has no answers",
    "texts, responses and pictures",
    "odd texts are answered and raise nothing",
    "the loop is not blocked while it judges",
    "the canary is answered",
)


def engine(model: Path) -> Engine:
    @asynccontextmanager
    async def made() -> AsyncIterator[Guard]:
        yield create("transformers", GuardOptions(str(model), settings=dict(SETTINGS)), load_policy())

    return Engine("transformers", made, UNSAFE)


@pytest.mark.parametrize("title", CASES)
async def test_contract(title: str, tiny_taught_model: Path) -> None:
    await contract.run(engine(tiny_taught_model), title)


@pytest.mark.parametrize("title", SENSELESS)
async def test_contract_where_answers_make_no_sense(title: str, tiny_random_model: Path) -> None:
    await contract.run(engine(tiny_random_model), title)
