"""From readings of a post's parts to one judgement, and the sentence that explains it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.placing import Place
from proguard_core.guards.embedded.text_model import SCORE_DIGITS
from proguard_core.guards.protocol import Category, Judgement
from proguard_core.policy.policy import MINORS, SEXUAL, Policy, concerns_minors
from schemas.common import CategoryKind, Outcome, Reason


class Part(StrEnum):
    """Where something was found, in the words of the rationale."""

    TEXT = "the text"
    RESPONSE = "the response"
    PICTURE_TEXT = "the text in the picture"
    PICTURE = "the picture"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged window or picture: part, score in [0, 1], its place; text and features, for the name of a novel risk.

    features: what the heads stand on, (width,); None for a picture. novelty: how unlike what was taught a text is, in
    [0, 1] (familiar.py); None for a picture.
    """

    part: Part
    score: float
    place: Place
    excerpt: Callable[[], str] = str
    features: NDArray[np.float32] | None = None
    novelty: float | None = None

    @property
    def unsafe(self) -> bool:
        """Whether the score reaches the threshold of its place."""
        return self.score >= self.place.threshold

    @property
    def excess(self) -> float:
        """How far the score lies over its threshold; negative below it."""
        return self.score - self.place.threshold

    @property
    def about_minors(self) -> bool:
        """Whether its place is theirs, or a nameless risk near to it."""
        kind = CategoryKind.NOVEL if self.place.code is None else CategoryKind.KNOWN
        return concerns_minors(kind, self.place.code, self.place.nearest)


NovelName = Callable[[Finding], str]
"""The name of a novel risk that was found."""

_UNDETERMINED = {
    Reason.NOT_JUDGEABLE: "This guard reads words and recognises nudity; what else was posted it cannot judge.",
    Reason.UNSUPPORTED_LANGUAGE: "The words are not English, the one language that this guard has learned.",
}


def judgement(
    findings: Sequence[Finding], doubt: Reason | None, with_response: bool, name: NovelName, policy: Policy
) -> Judgement:
    """The worst finding decides; without an unsafe one, a doubt leaves the post undetermined.

    The category is that of the worst finding about minors where one is unsafe, whatever else is worse (law 11).

    findings: empty only where there was nothing to judge, which needs a doubt. with_response: the post has a response.
    name: asked where a novel risk has no learned one. Scores are those of the worst findings, of post and turns.
    """
    asked = _Turn([finding for finding in findings if finding.part is not Part.RESPONSE])
    answered = _Turn([finding for finding in findings if finding.part is Part.RESPONSE])
    worst = worst_of(findings)
    if worst is None or (not worst.unsafe and doubt is not None):
        reason = doubt or Reason.NOT_JUDGEABLE
        made = Judgement(Outcome.UNDETERMINED, reason, rationale=_UNDETERMINED[reason])
    elif worst.unsafe:
        telling = worst_of([each for each in findings if each.unsafe and each.about_minors]) or worst
        category = _category(telling, name, policy)
        made = Judgement(Outcome.UNSAFE, category=category, rationale=_reasoned(telling, category))
    else:
        bound = worst.place.threshold
        said = f"The highest score is {worst.score:.2f}, below the threshold of {bound:.2f}, in {worst.part}."
        made = Judgement(Outcome.SAFE, rationale=said)
    known = made.outcome is not Outcome.UNDETERMINED
    return replace(
        made,
        request=asked.label if known else None,
        response=answered.label if known and with_response else None,
        score=_rounded(worst),
        request_score=_rounded(asked.worst),
        response_score=_rounded(answered.worst),
        novelty=max((each.novelty for each in findings if each.novelty is not None), default=None),
    )


def worst_of(findings: Sequence[Finding]) -> Finding | None:
    """The one that lies furthest over its threshold, or least below it; None of none."""
    return max(findings, key=lambda finding: finding.excess, default=None)


class _Turn:
    """What was found in the request (its pictures included) or in the response."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.worst = worst_of(findings)
        self.label = Outcome.UNSAFE if self.worst is not None and self.worst.unsafe else Outcome.SAFE


def _rounded(finding: Finding | None) -> float | None:
    return None if finding is None else round(finding.score, SCORE_DIGITS)


def _category(worst: Finding, name: NovelName, policy: Policy) -> Category:
    place = worst.place
    if place.code is not None:
        listed = policy.find(place.code)
        return Category(CategoryKind.KNOWN, place.code, listed.name if listed else None)
    # A learned name is one that people confirmed; near to minors no name says what the post is about.
    learned = place.name if place.nearest not in {MINORS, SEXUAL} else None
    made = learned or name(worst)
    similarity = round(place.probability, 4) if place.nearest else None
    return Category(CategoryKind.NOVEL, None, made, place.nearest, similarity)


def _reasoned(worst: Finding, category: Category) -> str:
    scored = f"A score of {worst.score:.2f} reaches the threshold of {worst.place.threshold:.2f} in {worst.part}"
    if category.kind is CategoryKind.KNOWN:
        return f"{scored}; the risk is {category.code} ({category.name})."
    near = f"; the nearest is {category.nearest}" if category.nearest else ""
    return f"{scored}; no category of the policy fits{near}."
