"""The line before the model: which questions share a batch, who gets what answer, and what giving up does."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from PIL import Image

from proguard_core.guards.adapters import Adapter
from proguard_core.guards.asking import Answer, Question, Refused
from proguard_core.guards.protocol import GuardDied, GuardError, Picture
from proguard_core.guards.transformers.line import Line
from proguard_core.guards.transformers.model import Model
from proguard_core.policy.prompts import Prompt
from proguard_core.policy.prompts.contract import PromptKind
from schemas.common import Reason

PICTURE = Picture(Image.new("RGB", (28, 28)), "a picture")
PATIENCE_S = 10.0


class Echo:
    """Answers with the question, as slowly as open() lets it, in the thread that asks it. `batches` has what it saw."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.stopped = 0
        self._go = threading.Event()

    def open(self) -> None:
        self._go.set()

    def prepare(self, question: Question[Picture]) -> dict[str, Any]:
        if question.prompt.user == "refuse":
            raise Refused("it is too long", Reason.NOT_JUDGEABLE)
        return {"user": question.prompt.user}

    def generate(
        self, batch: Sequence[dict[str, Any]], _cap: int, adapter: Adapter | None, given_up: threading.Event
    ) -> list[Answer]:
        texts = [inputs["user"] for inputs in batch]
        self.batches.append(texts)
        self.threads.add(threading.current_thread().name)
        end = time.monotonic() + PATIENCE_S
        while not self._go.is_set() and not given_up.is_set() and time.monotonic() < end:
            time.sleep(0.001)
        if given_up.is_set():
            self.stopped += 1
            raise GuardError("given up")
        if "fail" in texts:
            raise GuardError("told to")
        return [Answer(f"{text} by {adapter.name if adapter else 'base'}") for text in texts]


def question(text: str, picture: Picture | None = None, output_cap: int = 64) -> Question[Picture]:
    return Question(Prompt(PromptKind.TEXT, "", text), picture, False, output_cap, "1")


@asynccontextmanager
async def served(batch_size: int = 4) -> AsyncIterator[tuple[Line, Echo]]:
    line, model = Line(batch_size), Echo()
    line.serve(cast(Model, model))
    try:
        yield line, model
    finally:
        model.open()
        await line.close()


async def reached(model: Echo, batches: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(model.batches) < batches:  # noqa: ASYNC110  # another thread fills it
            await asyncio.sleep(0.001)


async def test_batches_hold_what_is_of_one_kind_and_everybody_gets_the_own_answer() -> None:
    second = Adapter("second", cast(Any, None), "", 2)
    async with served() as (line, model):
        first = asyncio.create_task(line.ask(question("first"), None))
        await reached(model, 1)
        asked = [
            *((question(f"text {number}"), None) for number in range(5)),
            (question("picture", PICTURE), None),
            (question("adapted"), second),
            (question("short", output_cap=8), None),
        ]
        tasks = [asyncio.create_task(line.ask(*one)) for one in asked]
        await asyncio.sleep(0)
        model.open()
        said = [answer.text for answer in await asyncio.gather(first, *tasks)]
    wanted = ["first", *(f"text {number}" for number in range(5)), "picture", "adapted", "short"]
    assert said == [f"{text} by {'second' if text == 'adapted' else 'base'}" for text in wanted]
    texts = [f"text {number}" for number in range(4)]
    assert model.batches == [["first"], texts, ["text 4"], ["picture"], ["adapted"], ["short"]]
    assert len(model.threads) == 1


async def test_one_that_is_refused_leaves_the_others_of_its_batch_their_answers() -> None:
    async with served() as (line, model):
        first = asyncio.create_task(line.ask(question("first"), None))
        await reached(model, 1)
        tasks = [asyncio.create_task(line.ask(question(text), None)) for text in ("one", "refuse", "two")]
        await asyncio.sleep(0)
        model.open()
        _, one, refused, two = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert isinstance(refused, Refused)
    assert [cast(Answer, answer).text for answer in (one, two)] == ["one by base", "two by base"]
    assert model.batches[1] == ["one", "two"]


async def test_a_batch_that_fails_fails_for_all_in_it_and_the_next_is_answered() -> None:
    async with served() as (line, model):
        model.open()
        with pytest.raises(GuardError, match="told to"):
            await line.ask(question("fail"), None)
        assert (await line.ask(question("next"), None)).text == "next by base"


async def test_what_nobody_waits_for_is_stopped_or_never_begun() -> None:
    async with served(batch_size=1) as (line, model):
        tasks = [asyncio.create_task(line.ask(question(f"left {number}"), None)) for number in range(3)]
        await reached(model, 1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        after = asyncio.create_task(line.ask(question("after"), None))
        await reached(model, 2)
        model.open()
        assert (await after).text == "after by base"
    assert model.batches == [["left 0"], ["after"]]
    assert model.stopped == 1


async def test_a_batch_is_not_stopped_while_one_still_waits_for_it() -> None:
    async with served() as (line, model):
        first = asyncio.create_task(line.ask(question("first"), None))
        await reached(model, 1)
        left, kept = (asyncio.create_task(line.ask(question(text), None)) for text in ("left", "kept"))
        await asyncio.sleep(0)
        model.open()
        await first
        left.cancel()
        assert (await kept).text == "kept by base"
    assert model.stopped == 0


async def test_what_waits_for_the_thread_at_the_end_is_no_cancellation() -> None:
    """A revision's watch that took it for one ended for good."""
    line, begun, end = Line(1), threading.Event(), threading.Event()

    def occupy() -> bool:
        begun.set()
        return end.wait(PATIENCE_S)

    before, load = (asyncio.create_task(line.run(function)) for function in (occupy, lambda: True))
    assert await asyncio.to_thread(begun.wait, PATIENCE_S)
    closing = asyncio.create_task(line.close())
    with pytest.raises(GuardDied, match="unloaded"):
        await load
    end.set()
    assert await before
    await closing


async def test_the_end_stops_what_runs_and_everybody_learns_of_it() -> None:
    async with served(batch_size=1) as (line, model):
        tasks = [asyncio.create_task(line.ask(question(f"{number}"), None)) for number in range(3)]
        await reached(model, 1)
        await line.close()
        assert all(isinstance(said, GuardDied) for said in await asyncio.gather(*tasks, return_exceptions=True))
        with pytest.raises(GuardDied):
            await line.ask(question("late"), None)
    assert model.batches == [["0"]]
