"""Questions in a line before the one model: a thread of its own answers them, in batches of questions of one kind."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from proguard_core.guards.adapters import Adapter
from proguard_core.guards.asking import Answer, Question, Refused
from proguard_core.guards.protocol import GuardDied, Picture
from proguard_core.guards.transformers.model import Inputs, Model

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Waiting:
    question: Question[Picture]
    adapter: Adapter | None
    answered: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def kind(self) -> tuple[bool, int, Adapter | None]:
        """Questions that one batch may hold are equal in this: pictures, cap and adapter."""
        return self.question.picture is not None, self.question.output_cap, self.adapter


class Line:
    """Lives on one event loop. make_model is called in the thread, as is everything that touches the model."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._waiting: deque[_Waiting] = deque()
        self._asked = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="guard-model")
        self._serving: asyncio.Task[None] | None = None
        self._batch: list[_Waiting] = []
        self._given_up = threading.Event()

    def serve(self, model: Model) -> None:
        """Answer what is in the line from now on."""
        self._serving = asyncio.create_task(self._serve(model), name="guard-model")

    async def run(self, function: Callable[[], Result]) -> Result:
        """A function in the model's thread, between two batches. GuardDied where the line is closed before its turn."""
        turn = asyncio.get_running_loop().run_in_executor(self._thread, function)
        try:
            return await turn
        except asyncio.CancelledError:
            # Closing cancels what waits for the thread: to who waits here that is no cancellation of his own.
            if turn.cancelled() and (task := asyncio.current_task()) is not None and not task.cancelling():
                raise GuardDied("the model was unloaded") from None
            raise

    async def ask(self, question: Question[Picture], adapter: Adapter | None) -> Answer:
        """The answer. Raises Refused, GuardError. A batch of which nobody waits for an answer any more is stopped."""
        if self._serving is None or self._serving.done():
            raise GuardDied("the model is not loaded")
        waiting = _Waiting(question, adapter)
        self._waiting.append(waiting)
        self._asked.set()
        try:
            return await waiting.answered
        finally:
            if self._batch and all(one.answered.done() for one in self._batch):
                self._given_up.set()

    async def close(self) -> None:
        """Stop at the next token; whoever waits gets GuardDied. Idempotent."""
        serving, self._serving = self._serving, None
        self._given_up.set()
        if serving is not None:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        for one in (*self._batch, *self._waiting):
            if not one.answered.done():
                one.answered.set_exception(GuardDied("the model was unloaded"))
        self._waiting.clear()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _serve(self, model: Model) -> None:
        while True:
            await self._asked.wait()
            self._batch = self._next()
            if not self._batch:
                self._asked.clear()
                continue
            self._given_up.clear()
            batch = self._batch
            try:
                answers = await self.run(lambda: _answers(model, batch, self._given_up))  # noqa: B023  # awaited here
            except Exception as error:
                answers = [error] * len(batch)
            for one, answer in zip(batch, answers, strict=True):
                if one.answered.done():
                    continue
                if isinstance(answer, Exception):
                    one.answered.set_exception(answer)
                else:
                    one.answered.set_result(answer)
            self._batch = []

    def _next(self) -> list[_Waiting]:
        """The first that is still waited for, and those of its kind behind it."""
        waiting = [one for one in self._waiting if not one.answered.done()]
        batch = [one for one in waiting if one.kind == waiting[0].kind][: self._batch_size]
        self._waiting = deque(one for one in waiting if one not in batch)
        return batch


def _answers(model: Model, batch: list[_Waiting], given_up: threading.Event) -> list[Answer | Exception]:
    """An answer or what is wrong, for each. One that is refused leaves the others theirs."""
    results: list[Answer | Exception] = []
    inputs: list[Inputs] = []
    for one in batch:
        try:
            inputs.append(model.prepare(one.question))
            results.append(GuardDied("not asked yet"))
        except Refused as refused:
            results.append(refused)
    if inputs:
        answers = iter(model.generate(inputs, batch[0].question.output_cap, batch[0].adapter, given_up))
        results = [result if isinstance(result, Refused) else next(answers) for result in results]
    return results
