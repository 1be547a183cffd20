"""What heads do on rows: judged by the guard that will serve them, and counted by proguard_core.evaluation."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from proguard_core.evaluation import category_tables, figures, intervals, novel_tables
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.cache import JudgementCache
from proguard_core.evaluation.figures import Floats
from proguard_core.evaluation.judging import Fetch, Judging
from proguard_core.evaluation.rows import Problems, Row
from proguard_core.evaluation.withholding import OWN, Split
from proguard_core.guards.embedded.guard import EmbeddedGuard
from proguard_core.guards.embedded.heads import Learned
from proguard_core.guards.protocol import GuardOptions
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import name_key
from proguard_core.questions import SeenImage
from proguard_core.training.embedded.heads.taught import in_policy
from schemas.common import CategoryKind

NO_PICTURES = "a row with a picture, and nobody to fetch it (not judged)"


def answers(
    rows: Sequence[Row],
    policy: Policy,
    *,
    heads: Path | None,
    model: Path | None = None,
    fetch: Fetch | None = None,
    problems: Problems | None = None,
) -> dict[str, Answer]:
    """Answers by row id, of the embedded guard with these heads (None: its own), under a policy.

    model: the artefact's folder, the shipped one by default. fetch: pictures of a row; without it such rows are left
    out. Blocks, and runs an event loop of its own: not for a thread that has one. Raises GuardError and ValueError.
    """
    noted = problems if problems is not None else Problems()
    shown = [row for row in rows if fetch is not None or not row.images]
    for _ in range(len(rows) - len(shown)):
        noted.count(NO_PICTURES)
    settings: dict[str, object] = {}
    if heads is not None:
        settings = {"adapters": str(heads.parent), "adapter": heads.name}
    guard = EmbeddedGuard(GuardOptions(model=str(model) if model else None, settings=settings), policy)
    return asyncio.run(_judged(guard, shown, policy, fetch or _nothing, noted))


async def _judged(
    guard: EmbeddedGuard, rows: Sequence[Row], policy: Policy, fetch: Fetch, problems: Problems
) -> dict[str, Answer]:
    await guard.start()
    try:
        with tempfile.TemporaryDirectory(prefix="proguard-heads-") as folder:
            cache = JudgementCache(Path(folder), guard.name, guard.revision)
            try:
                judging = Judging(guard.judge, fetch, guard.limits, policy, cache)
                return (await judging.judge(rows, problems)).answers
            finally:
                cache.close()
    finally:
        await guard.close()


async def _nothing(_row: Row) -> Sequence[SeenImage]:
    return ()


def balanced_accuracy(counts: Floats) -> Floats:
    """Mean of the shares of unsafe rows called unsafe and of safe rows called safe; counts as in figures.py."""
    return np.asarray((figures.recall(counts) + 1.0 - figures.false_positive_rate(counts)) / 2)


def measured(
    rows: Sequence[Row], said: Mapping[str, Answer], policy: Policy, learned: Sequence[Learned] = ()
) -> dict[str, object]:
    """Figures with 95 % intervals of answers that were given under this policy.

    balanced_accuracy: over posts, undetermined being wrong; category: the right code of unsafe rows; novel: F1 of risks
    that the policy does not list; learned: of rows of each learned category, the share found (as its code where the
    policy lists it, else unsafe by its name) and the share called unsafe.
    """
    asked = [in_policy(row, policy) for row in rows if row.id in said and (row.safe or row.unsafe)]
    seed = intervals.generator("heads", "balanced accuracy")
    counts = _counts(asked, said)
    found: dict[str, object] = {"rows": len(asked), "unsafe": sum(row.unsafe for row in asked)}
    if {row.unsafe for row in asked} == {True, False}:
        found["balanced_accuracy"] = intervals.of_counts(balanced_accuracy, counts, seed).as_json()
        found["recall"] = round(float(figures.recall(counts)), 5)
        found["false_positive_rate"] = round(float(figures.false_positive_rate(counts)), 5)
    if (placed := category_tables.entry("held out", "heads", asked, said)) is not None:
        found["category"] = {key: placed[key] for key in ("rows", "accuracy", "main_accuracy")}
    novel = novel_tables.detection("held out", "heads", Split(OWN), asked, said, frozenset())
    if novel is not None:
        found["novel"] = {key: novel[key] for key in ("rows", "f1", "precision", "recall", "false_novel_in_taxonomy")}
    if learned:
        found["learned"] = [_of_learned(each, rows, said, policy) for each in learned]
    return found


def _counts(rows: Sequence[Row], said: Mapping[str, Answer]) -> Floats:
    truth = np.array([row.unsafe for row in rows], bool)
    called = np.array([not row.unsafe if said[row.id].undetermined else said[row.id].unsafe for row in rows], bool)
    return figures.confusion(truth, called)


def _of_learned(learned: Learned, rows: Sequence[Row], said: Mapping[str, Answer], policy: Policy) -> dict[str, object]:
    code = learned.code(policy)
    own = [
        said[row.id]
        for row in rows
        if row.id in said
        and row.unsafe
        and (name_key(row.ood_name or "") in learned.keys or (code is not None and code in row.categories))
    ]
    found = [answer for answer in own if _is_found(answer, learned, code)]
    made: dict[str, object] = {"name": learned.name, "code": code, "rows": len(own)}
    if own:
        seed = intervals.generator("heads", learned.name)
        made["found"] = intervals.of_share(len(found), len(own), seed).as_json()
        made["unsafe"] = round(sum(answer.unsafe for answer in own) / len(own), 5)
    return made


def _is_found(answer: Answer, learned: Learned, code: str | None) -> bool:
    if not answer.unsafe:
        return False
    if code is not None:
        return answer.kind is CategoryKind.KNOWN and answer.code == code
    return answer.kind is CategoryKind.NOVEL and name_key(answer.name or "") in learned.keys
