"""The openai engine against scripted servers, for these tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image

from proguard_core.guards.openai import create
from proguard_core.guards.protocol import Guard, GuardOptions, GuardRequest, Judgement, Picture
from proguard_core.policy.loader import load_policy
from schemas.common import Outcome
from tests.support.openai_server import OpenAIServer

MODEL = "proguard"
POLICY = load_policy()


def options(*servers: OpenAIServer, **settings: Any) -> GuardOptions:
    return GuardOptions(MODEL, tuple(server.base_url for server in servers), {"request_timeout_s": 5.0, **settings})


@asynccontextmanager
async def started(*servers: OpenAIServer, **settings: Any) -> AsyncIterator[Guard]:
    guard = create(options(*servers, **settings), POLICY)
    await guard.start()
    try:
        yield guard
    finally:
        await guard.close()


def picture(colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (48, 32)) -> Picture:
    return Picture(Image.new("RGB", size, colour), f"digest of {colour}")


def texts(count: int) -> list[GuardRequest]:
    return [GuardRequest(f"post number {number}") for number in range(count)]


def outcomes(judgements: list[Judgement]) -> list[Outcome]:
    return [judgement.outcome for judgement in judgements]
