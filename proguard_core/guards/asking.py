"""What every engine with a chat model does alike: render a question, ask, parse, ask once more in a prescribed form.

An engine supplies two things: `prepare`, which makes of a picture what it sends (once, whatever is tried again), and
`ask`, which gives the model's text for one question. Everything that decides what an answer means is here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from proguard_core.guards.counts import TOKENS, Counts
from proguard_core.guards.forced import unforced
from proguard_core.guards.protocol import Category, GuardRequest, Judgement, Picture
from proguard_core.judgement import parse
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import SEXUAL, Policy, concerns_minors
from proguard_core.policy.prompts import Prompt, Prompts
from schemas.common import Outcome, Reason

log = logging.getLogger(__name__)

Prepared = TypeVar("Prepared")

CANARY = GuardRequest("The bakery opens at eight and the bread is still warm.")
# The canary tells whether the model writes anything; its verdict is not needed.
CANARY_OUTPUT_CAP = 8
# See _caution.
_USUAL = 2


@dataclass(frozen=True, slots=True)
class Question(Generic[Prepared]):
    """What an engine is to ask. picture: as `prepare` made it, to be shown before the user's text; None without one.

    forced: the answer has to keep forced.schema(has_response). output_cap: tokens that the answer may take.
    revision: the one that is to judge.
    """

    prompt: Prompt
    picture: Prepared | None
    has_response: bool
    output_cap: int
    revision: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote. truncated: it had more to say than output_cap tokens. Token counts: 0 where unknown."""

    text: str
    truncated: bool = False
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class Usage:
    """Tokens since the guard was made, forced retries included. cached_tokens: of the prompt's, from a prefix cache."""

    answers: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        self.answers += 1
        self.prompt_tokens += answer.prompt_tokens
        self.cached_tokens += answer.cached_tokens
        self.completion_tokens += answer.completion_tokens


class Refused(Exception):
    """The engine will not answer this request, and it is the post's own. reason: what that makes of the post.

    The message holds nothing of the post; detail may, and is shown for our own canary only.
    """

    def __init__(self, message: str, reason: Reason, detail: str = "") -> None:
        super().__init__(message)
        self.reason, self.detail = reason, detail


Ask = Callable[[Question[Prepared]], Awaitable[Answer]]
"""Raises Refused for the one question, GuardError (or anything else) for the whole batch."""


class Asking(Generic[Prepared]):
    """The way from requests to judgements. prepare raises OSError or ValueError for a picture that it cannot send.

    novelty: finds the listed category that a novel name is close to; without it none is near.
    """

    def __init__(
        self,
        prompts: Prompts,
        policy: Policy,
        prepare: Callable[[Picture], Awaitable[Prepared]],
        *,
        output_cap: int,
        structured_retry: bool,
        novelty: Novelty | None = None,
    ) -> None:
        self._prompts = prompts
        self._policy = policy
        self._prepare = prepare
        self._output_cap = output_cap
        self._structured_retry = structured_retry
        self._novelty = novelty
        self.usage = Usage()

    def canary(self, revision: str) -> Question[Prepared]:
        """An everyday question, to learn whether the model writes anything."""
        return Question(self._prompts.render(CANARY), None, False, CANARY_OUTPUT_CAP, revision)

    def counts(self) -> Counts:
        """Tokens read and written so far."""
        used = self.usage
        return {
            TOKENS: {"prompt": used.prompt_tokens, "cached": used.cached_tokens, "completion": used.completion_tokens}
        }

    async def judge(
        self, requests: Sequence[GuardRequest], ask: Ask[Prepared], resolve: Callable[[str | None], str]
    ) -> list[Judgement]:
        """One judgement a request, in order, all asked at once; each says which revision judged.

        resolve: from the revision that a request wants to the one that judges it (adapters.Revisions.resolve).
        Raises the first failure that is not a post's own; what was asked beside it is given up.
        """
        revisions = [resolve(request.revision) for request in requests]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._judge(request, ask, revision))
                    for request, revision in zip(requests, revisions, strict=True)
                ]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return [replace(task.result(), revision=revision) for task, revision in zip(tasks, revisions, strict=True)]

    async def _judge(self, request: GuardRequest, ask: Ask[Prepared], revision: str) -> Judgement:
        try:
            picture = None if request.picture is None else await self._prepare(request.picture)
        except (OSError, ValueError) as error:
            log.debug("a picture cannot be prepared", exc_info=error)
            return Judgement(Outcome.UNDETERMINED, Reason.IMAGE_UNREADABLE)
        has_response = request.response is not None
        question = Question(self._prompts.render(request), picture, has_response, self._output_cap, revision)
        try:
            judgement = await self._parsed(question, await ask(question))
        except Refused as refused:
            log.warning("a request was refused: %s, so its post is undetermined: %s", refused, refused.reason.value)
            return Judgement(Outcome.UNDETERMINED, refused.reason)
        if judgement.reason is Reason.UNPARSEABLE and self._structured_retry:
            return await self._judge_forced(question, ask, judgement)
        return judgement

    async def _judge_forced(self, question: Question[Prepared], ask: Ask[Prepared], unparsed: Judgement) -> Judgement:
        """One more try with a prescribed form. A safe that came only from that is no answer."""
        try:
            answer = await ask(replace(question, forced=True))
        except Refused:  # perhaps it knows no structured output
            return unparsed
        forced = await self._parsed(question, replace(answer, text=unforced(answer.text)))
        judgement = forced
        if forced.outcome is Outcome.UNDETERMINED:
            judgement = unparsed
        elif forced.outcome is Outcome.SAFE:
            judgement = replace(forced, outcome=Outcome.UNDETERMINED, reason=Reason.FORCED, category=unparsed.category)
        # Whichever of the two named minors, or all that holds them, is believed: law 11 rests on it.
        named = min(unparsed.category, forced.category, key=_caution)
        return judgement if _caution(named) == _USUAL else replace(judgement, category=named)

    async def _parsed(self, question: Question[Prepared], answer: Answer) -> Judgement:
        self.usage.add(answer)
        judgement = parse(
            answer.text,
            question.prompt.kind,
            self._policy,
            has_response=question.has_response,
            truncated=answer.truncated,
        )
        if self._novelty is None:
            return judgement
        category = await self._novelty.place(judgement.category)
        return judgement if category is judgement.category else replace(judgement, category=category)


def _caution(category: Category) -> int:
    """What law 11 has to do with it: most for minors and what is near to them, then the whole of what holds them."""
    if concerns_minors(category.kind, category.code, category.nearest):
        return 0
    return 1 if category.code == SEXUAL else _USUAL
