"""The vllm engine: ProGuard in this process. vLLM batches by itself; a micro-batch is a handful of its requests."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from proguard_core.guards import forced
from proguard_core.guards.adapters import Adapter, Revisions
from proguard_core.guards.asking import Answer, Asking, Question, Refused
from proguard_core.guards.counts import Counts
from proguard_core.guards.protocol import (
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    GuardUnavailable,
    Judgement,
    Picture,
)
from proguard_core.guards.revision import reading_version
from proguard_core.guards.vllm import budget
from proguard_core.guards.vllm.engine import Engine
from proguard_core.guards.vllm.language_only import check
from proguard_core.guards.vllm.settings import read
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts import Prompts
from proguard_core.policy.prompts.released import warning

log = logging.getLogger(__name__)

# The first question may compile kernels.
WARM_UP_S = 300.0


class Late(GuardError, TimeoutError):
    """No whole answer in request_timeout_s."""


class VLLMGuard:
    """Keeps the guard protocol; options.settings as in EngineSettings.

    All requests of all batches are in the engine at once. What is a post's own makes this post undetermined; anything
    else fails its batch. A request is judged by the adapter that it names, while it is one of the last two.
    """

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        self._settings = settings = read(options)
        self._policy = policy
        self._prompts = prompts = Prompts(policy, settings.prompts)
        self._asking: Asking[Picture] = Asking(
            prompts,
            policy,
            _as_it_is,
            output_cap=settings.output_cap,
            structured_retry=settings.structured_retry,
            novelty=options.novelty,
        )
        asked = (settings.model, settings.weights, prompts.version, policy.version, settings.answer_settings)
        self._revisions = Revisions((*asked, options.novelty_version, reading_version()), settings.adapters)
        self._engine: Engine | None = None
        self._swapping = asyncio.Lock()
        self._answered_at = 0.0
        self._revisions.begin(settings.adapter)

    @property
    def name(self) -> str:
        """The engine and the model."""
        return f"vllm:{self._settings.model}"

    @property
    def revision(self) -> str:
        """Hash of model, `weights`, prompt, policy, settings and adapter, behind the adapter's name."""
        return self._revisions.current

    @property
    def limits(self) -> GuardLimits:
        """As set."""
        return GuardLimits(self._settings.window_bytes, self._settings.max_pixels)

    def counts(self) -> Counts:
        """Tokens so far."""
        return self._asking.counts()

    async def start(self) -> None:
        """Load model and adapters, and see that prompts fit. Raises GuardError."""
        if self._engine is not None:
            return
        if said := warning(self._settings.model, self._settings.prompts, self._policy):
            log.warning("%s", said)
        engine = Engine(self._settings)
        await engine.start()
        try:
            await budget.check(engine, self._prompts, self._settings)
            await self._revisions.load_kept(lambda adapter: self._load(engine, adapter))
            await self._warm_up(engine, self._revisions.adapter(self.revision))
        except BaseException as error:
            await engine.close()
            if isinstance(error, Refused):
                raise GuardError(f"it refuses even an everyday sentence: {error.detail or error}") from error
            raise
        self._engine = engine

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order. Raises the first failure; what was asked beside it is given up."""
        return await self._asking.judge(requests, self._ask, self._revisions.resolve)

    async def probe(self) -> None:
        """Ask the canary question. GuardDied where the engine's process ended, or where it has become silent."""
        began = time.monotonic()
        try:
            await self._ask(self._asking.canary(self.revision))
        except Refused as refused:
            raise GuardUnavailable(f"it refuses even an everyday sentence: {refused.detail or refused}") from refused
        except TimeoutError as error:
            if self._answered_at < began:
                raise GuardDied(f"no answer to anything in {self._settings.request_timeout_s:g} s") from error
            raise GuardUnavailable("it is too slow for the canary question") from error

    async def swap(self, revision: str) -> None:
        """Load an adapter and put it in force. Requests that name the one before it are still judged by that one."""
        async with self._swapping:
            if self._revisions.is_current(revision):
                return
            if (engine := self._engine) is None:
                raise GuardDied("the vllm guard is not started")
            adapter = await asyncio.to_thread(self._revisions.find, revision)
            if adapter is not None:
                with self._revisions.loading(adapter):
                    await self._load(engine, adapter)
            try:
                await self._warm_up(engine, adapter)
            except (Refused, TimeoutError) as error:
                raise GuardError(f"{revision!r} does not answer an everyday question: {error}") from error
            self._revisions.use(adapter)

    async def close(self) -> None:
        """End the engine."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    async def _ask(self, question: Question[Picture]) -> Answer:
        if (engine := self._engine) is None:
            raise GuardDied("the vllm guard is not started")
        adapter = self._revisions.adapter(question.revision)
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                prompt = await engine.render(question.prompt.system, question.prompt.user, question.picture)
                answer = await engine.generate(
                    prompt, question.output_cap, adapter, constraint=self._constraint(question)
                )
        except TimeoutError:
            raise Late(f"no answer in {self._settings.request_timeout_s:g} s") from None
        self._answered_at = time.monotonic()
        return answer

    def _constraint(self, question: Question[Picture]) -> dict[str, Any] | None:
        if question.forced:
            return {"json": forced.schema(question.has_response)}
        if self._settings.structured_answer:
            return {"regex": forced.pattern(question.prompt.kind, self._policy, has_response=question.has_response)}
        return None

    async def _load(self, engine: Engine, adapter: Adapter) -> None:
        await asyncio.to_thread(check, adapter, engine.layers)
        await engine.load(adapter)

    async def _warm_up(self, engine: Engine, adapter: Adapter | None) -> None:
        canary = self._asking.canary(self.revision)
        prompt = await engine.render(canary.prompt.system, canary.prompt.user, None)
        async with asyncio.timeout(max(self._settings.request_timeout_s, WARM_UP_S)):
            await engine.generate(prompt, canary.output_cap, adapter)


async def _as_it_is(picture: Picture) -> Picture:
    return picture
