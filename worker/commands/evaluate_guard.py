"""One guard under one policy answers rows: the worker's own judge, pictures from disk, an end if the guard is gone."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.benchmarks import Benchmark
from proguard_core.evaluation.cache import JudgementCache
from proguard_core.evaluation.judging import Fetch, GuardStopped, Judging
from proguard_core.evaluation.rows import Row
from proguard_core.evaluation.withholding import Split
from proguard_core.guards.protocol import Guard, GuardError, GuardRequest, Judgement
from proguard_core.policy.policy import Policy
from proguard_core.policy.prompts import released
from proguard_core.questions import SeenImage
from schemas.common import Reason
from schemas.post import ImageReference
from worker.errors import ConfigurationError
from worker.local.files import LocalImages, local_uri
from worker.moderation.fetch import refused
from worker.moderation.judge import Judge
from worker.moderation.run import make_guard
from worker.settings import Settings

# A guard that is down so long ends the run; on the stream it would be waited for.
PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of a benchmark, and the split that they are asked for (None: the whole policy)."""

    benchmark: Benchmark
    split: Split | None
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Said:
    """answers: by row id, one dictionary for each Asked. warnings: what is to be said beside the figures."""

    name: str
    revision: str
    answers: list[dict[str, Answer]]
    warnings: list[str]


async def ask_guard(
    settings: Settings, policy: Policy, asked: Sequence[Asked], cache: Path, done: Callable[[int], None]
) -> Said:
    """Answers to all rows. Raises ConfigurationError where the guard does not load, GuardStopped where it ends."""
    guard = await started(settings, policy)
    judge = Judge(guard, settings.guard)
    known = JudgementCache(cache, guard.name, guard.revision)
    answers = []
    try:
        for each in asked:
            images = LocalImages(each.benchmark.folder, settings.objects, guard.limits.max_pixels)
            try:
                judging = judging_of(settings, judge, policy, images, known)
                said = await judging.judge(each.rows, each.benchmark.problems, done)
            finally:
                await images.close()
            answers.append(said.answers)
    finally:
        known.close()
        await judge.close()
    return Said(guard.name, guard.revision, answers, _warnings(settings, policy))


async def started(settings: Settings, policy: Policy) -> Guard:
    """The guard of the settings, loaded. Raises ConfigurationError."""
    guard = make_guard(settings, policy)
    try:
        await guard.start()
    except GuardError as error:
        raise ConfigurationError(f"the guard {settings.guard.engine!r} cannot be loaded: {error}") from error
    return guard


def judging_of(settings: Settings, judge: Judge, policy: Policy, images: LocalImages, known: JudgementCache) -> Judging:
    """Rows to answers by this guard, in batches as the settings have them. known: what it has answered already."""
    return Judging(
        lambda requests: ask_patiently(judge, requests),
        fetcher(images),
        judge.guard.limits,
        policy,
        known,
        max_text_bytes=settings.guard.max_text_bytes,
        batch=settings.batching.max_posts,
        in_flight=settings.batching.in_flight,
    )


async def ask_patiently(judge: Judge, requests: Sequence[GuardRequest]) -> list[Judgement]:
    """Judgements. Raises GuardStopped where the guard is down for PATIENCE_S."""
    asking = asyncio.create_task(judge.judge(requests))
    try:
        while not (await asyncio.wait({asking}, timeout=_LOOK_EVERY_S))[0]:
            state = judge.dependency.snapshot()
            if state.down_for_s is not None and state.down_for_s > PATIENCE_S:
                raise GuardStopped(f"it is down for {state.down_for_s:.0f} s ({state.cause})")
        return asking.result()
    finally:
        asking.cancel()


def fetcher(images: LocalImages) -> Fetch:
    """Pictures of rows from a folder."""

    async def fetch(row: Row) -> Sequence[SeenImage]:
        try:
            references = [ImageReference(uri=local_uri(path)) for path in row.images]
        except ValueError:
            return [refused(Reason.IMAGE_FORBIDDEN)]
        post = await images.fetch(references, "evaluation")
        # Batches in flight bound what is held; the stream's budget has nobody to wait for here.
        post.release()
        return post.images

    return fetch


def _warnings(settings: Settings, policy: Policy) -> list[str]:
    folder = settings.guard.settings.get("prompts")
    said = released.warning(settings.guard.model, Path(str(folder)) if folder else None, policy)
    return [said] if said else []
