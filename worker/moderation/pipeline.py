"""From posts to outcomes, on an event loop of its own: fetch pictures, ask questions in micro-batches, assess.

The stream's thread hands posts over in lists and collects outcomes in lists; nothing here touches Kafka. A text post
costs no task and no future.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from proguard_core.guards.protocol import NO_CATEGORY, Judgement
from proguard_core.policy.policy import Policy
from proguard_core.questions import Assessment, Plan, Question, SeenImage, combine, follow_up, plan
from schemas.common import Outcome as Label
from schemas.common import Reason
from schemas.post import Post
from worker.moderation.absentees import Absentees
from worker.moderation.batcher import Batcher
from worker.moderation.fetch import FetchedPost, ImageSource
from worker.moderation.judge import Judge
from worker.moderation.outcome import Headers, Judged, OutcomeWriter
from worker.moderation.partitions import Outcome
from worker.moderation.poison import Coordinates, Journal
from worker.moderation.revision_order import RevisionOrder
from worker.moderation.turns import Turns
from worker.settings import BatchingSettings, GuardSettings
from worker.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from worker.telemetry.spans import PostTrace

_WATCH_S = 1.0


@dataclass(slots=True, eq=False)
class Work:
    """One post on its way. token is whatever the sender wants back; cancelled says that nobody waits any more.

    wanted: the revision that is to judge it, once a question of it started; revision: the guard's when its last batch
    started; incarnation: of the assignment of its partition that it came with.
    """

    token: object
    source: Coordinates
    post: Post
    headers: Headers
    received: float
    cancelled: Callable[[], bool]
    skipped: bool = False
    incarnation: int = 0
    refused: Reason | None = None
    plan: Plan | None = None
    fetched: FetchedPost | None = None
    questions: list[Question] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    unanswered: int = 0
    fetched_at: float = 0.0
    asked_at: float = 0.0
    wanted: str = ""
    revision: str = ""
    trace: "PostTrace | None" = None


@dataclass(slots=True, eq=False)
class _Asked:
    """A question in the batcher. planned: not a follow-up."""

    work: Work
    question: Question
    planned: bool = True

    @property
    def cost(self) -> int:
        return self.question.request.cost


class Pipeline:
    """Runs on one event loop. deliver is called there with (token, outcome) pairs, in any order."""

    def __init__(
        self,
        judge: Judge,
        images: ImageSource,
        writer: OutcomeWriter,
        policy: Policy,
        journal: Journal,
        batching: BatchingSettings,
        guard: GuardSettings,
        deliver: Callable[[list[tuple[object, Outcome]]], None],
        clock: Callable[[], float] = time.monotonic,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._judge = judge
        self._images = images
        self._writer = writer
        self._policy = policy
        self._journal = journal
        self._max_text_bytes = guard.max_text_bytes
        self._max_in_flight = batching.in_flight
        self._deliver = deliver
        self._clock = clock
        self._telemetry = telemetry or Telemetry()
        self._batcher: Batcher[_Asked] = Batcher(batching)
        self._alone: deque[Work] = deque()
        self._running = 0
        self._running_alone = False
        self._turns = Turns(journal, lambda: self._running_alone or bool(self._alone), self._pump)
        self._absentees = Absentees(journal, clock)
        self._order = RevisionOrder()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetching: dict[Work, asyncio.Task[None]] = {}
        self._watching: asyncio.TimerHandle | None = None
        self._closed = False

    def submit(self, works: Sequence[Work]) -> None:
        """Take posts over; call on the loop's thread."""
        suspects = self._journal.suspects
        if suspects:
            self._absentees.look(work.source for work in works)
        for work in works:
            if work.skipped:
                self._refuse(work, Reason.SKIPPED_BY_OPERATOR)
            elif suspects and self._journal.is_convicted(work.source):
                self._refuse(work, Reason.GUARD_CRASHED)
            elif work.post.images:
                self._fetching[work] = self._spawn(self._fetch(work))
            else:
                work.fetched_at = work.received
                self._ask(work, ())
        self._pump()
        self._watch()

    @property
    def in_flight(self) -> int:
        """Batches in the guard. May be read from any thread, as what waits."""
        return self._running

    @property
    def waiting(self) -> int:
        """Questions that wait for a batch; a suspect counts as one."""
        return len(self._batcher) + len(self._alone)

    @property
    def fetching(self) -> int:
        """Posts that wait for their pictures."""
        return len(self._fetching)

    async def close(self) -> None:
        """Cancel what is still running and let go of pictures and guard."""
        self._closed = True
        for timer in (self._timer, self._watching):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._images.close()
        await self._judge.close()

    def _watch(self) -> None:
        """Look now and then for what nobody waits for any more: it would hold memory while S3 or the guard is down."""
        if self._watching is None and not self._closed and (self._fetching or len(self._batcher) or self._alone):
            self._watching = asyncio.get_running_loop().call_later(_WATCH_S, self._cancel_unwanted)

    def _cancel_unwanted(self) -> None:
        self._watching = None
        for work, task in self._fetching.items():
            if work.cancelled():
                task.cancel()
                self._journal.acquit(work.source)
        self._batcher.discard(lambda asked: self._dropped(asked.work))
        self._alone = deque(work for work in self._alone if not self._dropped(work))
        self._pump()
        self._watch()

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug of ours must not leave a post unanswered for ever: it ends the worker loudly.
            asyncio.get_running_loop().call_exception_handler({"message": "pipeline", "exception": error})

    async def _fetch(self, work: Work) -> None:
        try:
            work.fetched = await self._images.fetch(
                work.post.images, work.source[:2], partial(self._turns.decoder, work.source)
            )
        finally:
            del self._fetching[work]
        work.fetched_at = self._clock()
        self._ask(work, work.fetched.images)
        self._pump()

    def _ask(self, work: Work, images: Sequence[SeenImage]) -> None:
        work.plan = plan(work.post, images, self._judge.guard.limits, self._max_text_bytes)
        questions = work.plan.questions
        work.unanswered = len(questions)
        if not questions:
            self._conclude(work)
        elif self._journal.suspects and self._journal.is_suspect(work.source):
            self._alone.append(work)
        else:
            now = self._clock()
            for question in questions:
                self._batcher.add(_Asked(work, question), now)

    def _pump(self) -> None:
        """Start every batch that may start now, and a timer for the next that is due later."""
        if self._closed or self._running_alone or self._turns.alone:
            return
        while self._alone and self._dropped(self._alone[0]):
            self._alone.popleft()
        if self._alone or self._turns.wanted:  # nothing new starts until a suspect has been on its own
            if self._running or self._turns.decoding:
                return
            if self._turns.wanted:
                self._turns.give()
            else:
                work = self._alone.popleft()
                assert work.plan is not None
                self._start([_Asked(work, question) for question in work.plan.questions], alone=True)
            return
        self._turns.open()
        while self._running < self._max_in_flight and (wait := self._batcher.wait_s(self._clock())) is not None:
            if wait > 0:
                self._set_timer(wait)
                return
            batch = [
                asked for asked in self._batcher.take() if not (asked.work.cancelled() and self._dropped(asked.work))
            ]
            if batch:
                self._start(batch, alone=False)

    def _set_timer(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(wait, self._pump)

    def _start(self, batch: list[_Asked], *, alone: bool) -> None:
        self._running += 1
        self._running_alone = alone
        revision = self._judge.guard.revision
        for asked in batch:
            work = asked.work
            work.wanted = work.wanted or self._order.wanted(work.source, revision, work.incarnation)
            asked.question.request.revision = work.wanted
        self._spawn(self._run(batch, alone))

    async def _run(self, batch: list[_Asked], alone: bool) -> None:
        try:
            started = self._clock()
            self._telemetry.batch_size(len(batch))
            self._telemetry.queue_duration(max(0.0, started - batch[0].work.fetched_at))
            revision = self._judge.guard.revision
            span = self._span(batch)
            with self._journal.in_flight([asked.work.source for asked in batch], alone=alone):
                judgements = await self._judge.judge([asked.question.request for asked in batch])
                await self._follow(batch, judgements)
            if span is not None:
                span.end()
            self._collect(batch, judgements, started, revision)
            self._telemetry.process_duration(self._clock() - batch[0].work.received)
        finally:
            self._running -= 1
            self._running_alone = False
            self._pump()

    def _span(self, batch: list[_Asked]) -> "Span | None":
        """The batch's span, where spans are exported; posts that are traced are linked with it, both ways."""
        if self._telemetry.tracer is None:
            return None
        traces = [asked.work.trace for asked in batch if asked.work.trace is not None]
        span = self._telemetry.tracer.batch(len(batch), traces)
        for trace in traces:
            trace.batches.append(span.get_span_context())
        return span

    async def _follow(self, batch: list[_Asked], judgements: list[Judgement]) -> None:
        """Ask once more about a picture alone where a main category hides whether minors are concerned."""
        further = [
            _Asked(asked.work, question, planned=False)
            for asked, judgement in zip(batch, judgements, strict=True)
            if judgement.category is not NO_CATEGORY and (question := follow_up(asked.question, judgement)) is not None
        ]
        if further:
            for asked in further:
                asked.question.request.revision = asked.work.wanted
            judgements += await self._judge.judge([asked.question.request for asked in further])
            batch += further

    def _collect(self, batch: list[_Asked], judgements: list[Judgement], started: float, revision: str) -> None:
        answered: list[Work] = []
        for asked, judgement in zip(batch, judgements, strict=True):
            work = asked.work
            work.questions.append(asked.question)
            work.judgements.append(judgement)
            work.asked_at = work.asked_at or started
            work.revision = revision
            if asked.planned:
                work.unanswered -= 1
                if not work.unanswered:
                    answered.append(work)
        # Only now: the answers to follow-ups come last.
        now = self._clock()
        self._deliver(
            [
                (work.token, self._outcome(work, now))
                for work in answered
                if not (work.cancelled() and self._dropped(work))
            ]
        )

    def _dropped(self, work: Work) -> bool:
        """Whether the post's partition is gone; then what is held for it is released."""
        if not work.cancelled():
            return False
        self._release(work)
        self._journal.acquit(work.source)
        return True

    def _refuse(self, work: Work, reason: Reason) -> None:
        """Answer without asking the guard; nothing of the post was looked at."""
        work.plan = plan(work.post, (), self._judge.guard.limits, self._max_text_bytes)
        work.plan.coverage.text_bytes_judged = 0
        work.plan.coverage.images = len(work.post.images)
        work.refused = reason
        self._conclude(work)

    def _conclude(self, work: Work) -> None:
        self._deliver([(work.token, self._outcome(work, self._clock()))])

    def _outcome(self, work: Work, now: float) -> Outcome:
        assert work.plan is not None
        self._release(work)
        if self._journal.suspects:
            self._journal.acquit(work.source)
        if work.refused is not None:
            assessment = Assessment(Label.UNDETERMINED, work.refused)
        else:
            assessment = combine(work.plan, work.questions, work.judgements, self._policy)
        fetched_at = work.fetched_at or work.received
        asked_at = work.asked_at or now
        judged = Judged(
            post=work.post,
            assessment=assessment,
            coverage=work.plan.coverage,
            guard_name=assessment.guard or self._judge.guard.name,
            guard_revision=assessment.revision or work.revision or self._judge.guard.revision,
            fetch_ms=(fetched_at - work.received) * 1000,
            queue_ms=max(0.0, asked_at - fetched_at) * 1000,
            judge_ms=(now - asked_at) * 1000,
            total_ms=(now - work.received) * 1000,
        )
        if work.trace is not None:
            judged.traceparent = work.trace.judged(
                assessment.outcome.value, work.received, fetched_at, now, pictures=bool(work.post.images)
            )
        outcome = self._writer.judged(work.source, work.headers, judged)
        outcome.trace = work.trace
        return outcome

    def _release(self, work: Work) -> None:
        if work.fetched is not None:
            work.fetched.release()
            work.fetched = None
