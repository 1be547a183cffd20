"""The worst errors of a guard, for the page: what may be shown of them, and what may not (law 11)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.binary_tables import Turn
from proguard_core.evaluation.cache import near_minors
from proguard_core.evaluation.rows import Row
from schemas.common import Outcome

SHOWN = 8
MAX_CHARACTERS = 700
# Where neither the set nor a guard says what a risk is, a text that speaks of minors is not shown either.
_SPEAKS_OF_MINORS = re.compile(
    r"\b(child(ren)?|kids?|minors?|under-?age\w*|teen\w*|preteens?|toddlers?|infants?|bab(y|ies)|school-?(girl|boy)s?"
    r"|(little|young) (girl|boy)s?|lolita?|csam|\d{1,2}[ -]?(years?[ -]?old|yo))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """said: what the guard answered; score: its score for the turn; request, response: cut, None where not shown."""

    id: str
    source: str | None
    said: str
    placed: str
    score: float | None
    request: str
    response: str | None
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worst:
    """alarms: safe rows that were not called safe; misses: unsafe rows that were not called unsafe.

    The surest errors first. hidden: errors near minors, of which nothing is shown.
    """

    turn: Turn
    guard: str
    alarms: list[Mistake]
    misses: list[Mistake]
    all_alarms: int
    all_misses: int
    hidden: int


def worst(
    turn: Turn, guard: str, rows: Sequence[Row], answers: Mapping[str, Answer], others: Sequence[Mapping[str, Answer]]
) -> Worst:
    """The worst errors for one turn. others: every guard's answers, since what one sees near minors none shows."""
    found: dict[Outcome, list[tuple[float, Row, Answer]]] = {Outcome.SAFE: [], Outcome.UNSAFE: []}
    hidden = 0
    for row in rows:
        label = row.request_label if turn == "request" else row.response_label
        answer = answers.get(row.id)
        if label is None or answer is None or (said := _said(answer, turn)) is label:
            continue
        if _is_hidden(row, [other[row.id] for other in others if row.id in other]):
            hidden += 1
            continue
        score = _score(answer, turn)
        # Undetermined is no sure error, however high the score.
        sureness = 0.0 if said is Outcome.UNDETERMINED or score is None else abs(score - 0.5)
        found[label].append((sureness, row, answer))
    for errors in found.values():
        errors.sort(key=lambda each: -each[0])
    alarms, misses = found[Outcome.SAFE], found[Outcome.UNSAFE]
    return Worst(
        turn,
        guard,
        [_mistake(row, answer, turn) for _, row, answer in alarms[:SHOWN]],
        [_mistake(row, answer, turn) for _, row, answer in misses[:SHOWN]],
        len(alarms),
        len(misses),
        hidden,
    )


def _said(answer: Answer, turn: Turn) -> Outcome | None:
    return answer.request if turn == "request" else answer.response


def _score(answer: Answer, turn: Turn) -> float | None:
    return answer.request_score if turn == "request" else answer.response_score


def _is_hidden(row: Row, answers: Sequence[Answer]) -> bool:
    if near_minors(row, None) or any(near_minors(row, answer) for answer in answers):
        return True
    unknown = row.unsafe and not row.categories
    return unknown and _SPEAKS_OF_MINORS.search(f"{row.request} {row.response or ''}") is not None


def _mistake(row: Row, answer: Answer, turn: Turn) -> Mistake:
    placed = answer.code or (f"new: {answer.name}" if answer.name else "")
    if answer.reason is not None:
        placed = f"{placed} ({answer.reason.value})".strip()
    return Mistake(
        id=row.id,
        source=row.source,
        said=str(_said(answer, turn)),
        placed=placed,
        score=_score(answer, turn),
        request=_cut(row.request),
        response=_cut(row.response) if row.response else None,
        images=row.images,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
