"""From rows to answers: the questions that a post of this content would ask, in batches, remembered as they come."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from proguard_core.evaluation.answers import Answer, of_assessment
from proguard_core.evaluation.cache import JudgementCache, content_key, seen
from proguard_core.evaluation.rows import Problems, Row
from proguard_core.guards.protocol import GuardLimits, GuardRequest, Judgement
from proguard_core.policy.policy import Policy
from proguard_core.questions import Plan, Question, SeenImage, combine, follow_up, plan
from schemas.common import Reason
from schemas.post import Post

# So many rows in a row that came to nothing are no accident of rows.
MAX_FAILED_RUN = 50
_FAILURES = frozenset({Reason.GUARD_FAILED, Reason.GUARD_TIMEOUT})
# The set lacks the picture, or what lies there is none; caps of ours are the guard's own business and stay in.
_LACKING = frozenset(
    {
        Reason.IMAGE_MISSING,
        Reason.IMAGE_FORBIDDEN,
        Reason.IMAGE_UNAVAILABLE,
        Reason.IMAGE_EMPTY,
        Reason.IMAGE_FORMAT,
        Reason.IMAGE_UNREADABLE,
    }
)

Ask = Callable[[Sequence[GuardRequest]], Awaitable[list[Judgement]]]
"""One judgement a request, in order. Raises GuardStopped where the guard is gone for good."""

Fetch = Callable[[Row], Awaitable[Sequence[SeenImage]]]
"""What was made of each of a row's pictures, in order."""


class GuardStopped(Exception):
    """The guard cannot go on; what it answered so far is remembered."""


@dataclass(slots=True)
class Judged:
    """answers by row id; asked: rows that were not remembered."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    row: Row
    key: str
    plan: Plan


class Judging:
    """Asks one guard under one policy. batch: rows a batch; in_flight: batches on their way at once."""

    def __init__(
        self,
        ask: Ask,
        fetch: Fetch,
        limits: GuardLimits,
        policy: Policy,
        cache: JudgementCache,
        *,
        max_text_bytes: int = 65_536,
        batch: int = 32,
        in_flight: int = 2,
    ) -> None:
        self._ask = ask
        self._fetch = fetch
        self._limits = limits
        self._policy = policy
        self._cache = cache
        self._max_text_bytes = max_text_bytes
        self._batch = batch
        self._in_flight = in_flight
        self._failed_run = 0

    async def judge(
        self, rows: Sequence[Row], problems: Problems, done: Callable[[int], None] = lambda _rows: None
    ) -> Judged:
        """Answers to all rows but those whose pictures are lacking, which are noted. done: rows since the last call.

        Raises GuardStopped; what was answered before is in the cache, and the same call goes on from there.
        """
        judged = Judged()
        batches = _batches(rows, self._batch)

        async def work() -> None:
            for batch in batches:  # shared: each worker takes the next one
                await self._judge_batch(batch, judged, problems)
                done(len(batch))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._in_flight):
                    group.create_task(work())
        except* GuardStopped as stopped:
            raise stopped.exceptions[0] from None
        finally:
            self._cache.flush()
        return judged

    async def _judge_batch(self, batch: Sequence[Row], judged: Judged, problems: Problems) -> None:
        asked: list[_Asked] = []
        for row, images in zip(batch, await asyncio.gather(*map(self._images, batch)), strict=True):
            if lacking := next((image.reason for image in images if image.reason in _LACKING), None):
                problems.add_once(f"a picture cannot be had: {lacking.value} (left out)", row.id)
                continue
            key = content_key(row, seen(images, self._max_text_bytes))
            if (known := self._cache.get(key)) is not None:
                judged.answers[row.id] = known
            else:
                asked.append(_Asked(row, key, plan(_post(row), images, self._limits, self._max_text_bytes)))
        if asked:
            judged.asked += len(asked)
            for each, answer in zip(asked, await self._answers(asked), strict=True):
                judged.answers[each.row.id] = answer
                self._cache.put(each.key, each.row, answer)
                self._note_failure(answer)
            self._cache.flush()

    async def _images(self, row: Row) -> Sequence[SeenImage]:
        return await self._fetch(row) if row.images else ()

    async def _answers(self, asked: Sequence[_Asked]) -> list[Answer]:
        questions = [(at, question) for at, each in enumerate(asked) for question in each.plan.questions]
        judgements = await self._judgements([question for _, question in questions])
        more = [
            (at, further)
            for (at, question), judgement in zip(questions, judgements, strict=True)
            if (further := follow_up(question, judgement)) is not None
        ]
        judgements += await self._judgements([question for _, question in more])
        by_row: list[tuple[list[Question], list[Judgement]]] = [([], []) for _ in asked]
        for (at, question), judgement in zip([*questions, *more], judgements, strict=True):
            by_row[at][0].append(question)
            by_row[at][1].append(judgement)
        return [
            of_assessment(combine(each.plan, *said, self._policy), bool(each.row.response))
            for each, said in zip(asked, by_row, strict=True)
        ]

    async def _judgements(self, questions: Sequence[Question]) -> list[Judgement]:
        found: list[Judgement] = []
        for first in range(0, len(questions), self._batch):
            found += await self._ask([question.request for question in questions[first : first + self._batch]])
        return found

    def _note_failure(self, answer: Answer) -> None:
        self._failed_run = self._failed_run + 1 if answer.reason in _FAILURES else 0
        if self._failed_run >= MAX_FAILED_RUN:
            raise GuardStopped(f"{self._failed_run} rows in a row came to nothing ({answer.reason})")


def _batches(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _post(row: Row) -> Post:
    # Pictures come beside it, and a row may consist of them alone, which the schema would refuse.
    return Post.model_construct(post_id=row.id, text=row.request or None, response=row.response, language=None)
