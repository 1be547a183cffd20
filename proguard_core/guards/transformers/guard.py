"""The transformers engine: small, for machines without vLLM. One model, one thread, one batch after the other."""

import asyncio
import logging
from collections.abc import Sequence

from proguard_core.guards.adapters import Adapter, Revisions
from proguard_core.guards.asking import Answer, Asking, Question, Refused, Usage
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
from proguard_core.guards.transformers.line import Line
from proguard_core.guards.transformers.model import Model
from proguard_core.guards.transformers.settings import read
from proguard_core.guards.vllm.language_only import check
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts import Prompts
from proguard_core.policy.prompts.released import warning

log = logging.getLogger(__name__)


class TransformersGuard:
    """Keeps the guard protocol; options.settings as in ModelSettings.

    Questions of all batches stand in one line. An answer that cannot be parsed is not asked for again: transformers has
    no structured output. A request is judged by the adapter that it names, while it is one of the last two.
    """

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        self._settings = settings = read(options)
        self._policy = policy
        prompts = Prompts(policy, settings.prompts)
        self._asking: Asking[Picture] = Asking(
            prompts,
            policy,
            _as_it_is,
            output_cap=settings.output_cap,
            structured_retry=False,
            novelty=options.novelty,
        )
        asked = (settings.model, settings.weights, prompts.version, policy.version, settings.answer_settings)
        self._revisions = Revisions((*asked, options.novelty_version, reading_version()), settings.adapters)
        self._model: Model | None = None
        self._line: Line | None = None
        self._swapping = asyncio.Lock()
        self._revisions.begin(settings.adapter)

    @property
    def name(self) -> str:
        """The engine and the model."""
        return f"transformers:{self._settings.model}"

    @property
    def revision(self) -> str:
        """Hash of model, `weights`, prompt, policy, settings and adapter, behind the adapter's name."""
        return self._revisions.current

    @property
    def limits(self) -> GuardLimits:
        """As set."""
        return GuardLimits(self._settings.window_bytes, self._settings.max_pixels)

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return self._asking.usage

    def counts(self) -> Counts:
        """Tokens so far."""
        return self._asking.counts()

    async def start(self) -> None:
        """Load model and adapters, and ask an everyday question. Raises GuardError."""
        if self._line is not None:
            return
        if said := warning(self._settings.model, self._settings.prompts, self._policy):
            log.warning("%s", said)
        line = Line(self._settings.batch_size)
        try:
            model = await line.run(lambda: Model(self._settings))
            await self._revisions.load_kept(lambda adapter: self._load(line, model, adapter))
            line.serve(model)
            await self._warm_up(line, self._revisions.adapter(self.revision))
        except BaseException:
            await line.close()
            raise
        self._line, self._model = line, model

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order. Raises the first failure; what was asked beside it is given up."""
        return await self._asking.judge(requests, self._ask, self._revisions.resolve)

    async def probe(self) -> None:
        """Ask the canary question, behind all that is in the line. GuardDied where the model has to be loaded anew."""
        try:
            await self._ask(self._asking.canary(self.revision))
        except Refused as refused:
            raise GuardUnavailable(f"it refuses even an everyday sentence: {refused.detail or refused}") from refused
        except TimeoutError as error:
            raise GuardUnavailable("it is too slow for the canary question") from error
        except GuardError:
            raise
        except Exception as error:  # whatever torch raises on an everyday sentence
            raise GuardDied(f"the model fails on an everyday sentence: {error}") from error

    async def swap(self, revision: str) -> None:
        """Load an adapter between two batches and put it in force; what is in the line ends on the one before."""
        async with self._swapping:
            if self._revisions.is_current(revision):
                return
            if (line := self._line) is None or (model := self._model) is None:
                raise GuardDied("the transformers guard is not started")
            adapter = await asyncio.to_thread(self._revisions.find, revision)
            if adapter is not None:
                with self._revisions.loading(adapter):
                    await self._load(line, model, adapter)
            await self._warm_up(line, adapter)
            for old in self._revisions.use(adapter):
                await line.run(lambda old=old: model.drop(old))  # type: ignore[misc]
            log.info("the guard's revision is %s now", self.revision)

    async def close(self) -> None:
        """Stop the generation that runs, and free the model."""
        line, self._line, self._model = self._line, None, None
        if line is not None:
            await line.close()

    async def _ask(self, question: Question[Picture]) -> Answer:
        if (line := self._line) is None:
            raise GuardDied("the transformers guard is not started")
        return await line.ask(question, self._revisions.adapter(question.revision))

    async def _load(self, line: Line, model: Model, adapter: Adapter) -> None:
        await asyncio.to_thread(check, adapter, model.layers)
        await line.run(lambda: model.load(adapter))

    async def _warm_up(self, line: Line, adapter: Adapter | None) -> None:
        try:
            await line.ask(self._asking.canary(self.revision), adapter)
        except (Refused, TimeoutError) as error:
            said = error.detail if isinstance(error, Refused) else ""
            raise GuardError(f"it does not answer even an everyday sentence: {said or error}") from error


async def _as_it_is(picture: Picture) -> Picture:
    return picture
