"""What revisions of a chat model say to rows: one guard a policy, as it will serve, adapters swapped in one by one."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.cache import JudgementCache
from proguard_core.evaluation.judging import GuardStopped
from proguard_core.evaluation.rows import Problems, Row
from proguard_core.guards.protocol import Guard, GuardError
from proguard_core.policy.policy import Policy
from worker.commands.evaluate_guard import judging_of, started
from worker.errors import WorkerError
from worker.local.files import LocalImages
from worker.moderation.judge import Judge
from worker.settings import Settings


def ask(
    settings: Settings,
    revisions: Sequence[str],
    asked: Sequence[tuple[Policy, Sequence[Row]]],
    pictures: Path,
    cache: Path,
) -> dict[str, list[dict[str, Answer]]]:
    """Of each revision, for each part, answers by row id.

    settings: of the guard, whose adapters hold the revisions. pictures: folder that the rows' pictures lie in. cache:
    what was answered stays there, so that the same call after a kill goes on. Blocks; raises WorkerError.
    """
    said: dict[str, list[dict[str, Answer]]] = {revision: [] for revision in revisions}
    try:
        for policy, rows in asked:
            found = asyncio.run(_under(settings, policy, rows, revisions, pictures, cache))
            for revision, answers in found.items():
                said[revision].append(answers)
    except GuardStopped as error:
        raise WorkerError(f"the guard stopped: {error}; the same command goes on") from None
    return said


async def _under(
    settings: Settings, policy: Policy, rows: Sequence[Row], revisions: Sequence[str], pictures: Path, cache: Path
) -> Mapping[str, dict[str, Answer]]:
    guard = await started(settings, policy)
    judge = Judge(guard, settings.guard)
    try:
        said = {}
        for revision in revisions:
            await _swapped(guard, revision)
            said[revision] = await _answers(settings, judge, policy, rows, pictures, cache)
        return said
    finally:
        await judge.close()


async def _swapped(guard: Guard, revision: str) -> None:
    """Whoever asks for a revision must be answered by it."""
    try:
        await guard.swap(revision)
    except GuardError as error:
        raise WorkerError(f"the guard does not serve the revision {revision}: {error}") from error
    if not guard.revision.startswith(f"{revision}-"):
        raise WorkerError(f"the guard serves {guard.revision}, not {revision}")


async def _answers(
    settings: Settings, judge: Judge, policy: Policy, rows: Sequence[Row], pictures: Path, cache: Path
) -> dict[str, Answer]:
    guard = judge.guard
    images = LocalImages(pictures, settings.objects, guard.limits.max_pixels)
    known = JudgementCache(cache, guard.name, guard.revision)
    try:
        return (await judging_of(settings, judge, policy, images, known).judge(rows, Problems())).answers
    finally:
        known.close()
        await images.close()
