"""From readings of a post's parts to one judgement, and the sentence that explains it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from proguard_core.guards.embedded.naming import novel_name
from proguard_core.guards.embedded.placing import Place
from proguard_core.guards.protocol import NO_CATEGORY, Category, Judgement
from proguard_core.policy.policy import MINORS, SEXUAL, Policy
from schemas.common import CategoryKind, Outcome, Reason


class Part(StrEnum):
    """Where something was found, in the words of the rationale."""

    TEXT = "the text"
    RESPONSE = "the response"
    PICTURE_TEXT = "the text in the picture"
    PICTURE = "the picture"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged window or picture: part, its text (for the name of a novel risk), score in [0, 1], and its place."""

    part: Part
    text: str
    score: float
    place: Place

    @property
    def unsafe(self) -> bool:
        """Whether the score reaches the threshold of its place."""
        return self.score >= self.place.threshold

    @property
    def excess(self) -> float:
        """How far the score lies over its threshold; negative below it."""
        return self.score - self.place.threshold


_UNDETERMINED = {
    Reason.NOT_JUDGEABLE: "This guard reads text and recognises nudity; what else the picture shows it cannot judge.",
    Reason.UNSUPPORTED_LANGUAGE: "The words are not English, the one language that this guard has learned.",
}


def judgement(
    findings: Sequence[Finding], doubt: Reason | None, with_response: bool, vocabulary: dict[str, int], policy: Policy
) -> Judgement:
    """The worst finding decides; without an unsafe one, a doubt leaves the post undetermined.

    findings: empty only where there was nothing to judge, which needs a doubt. with_response: the post has a response.
    """
    worst = max(findings, key=lambda finding: finding.excess, default=None)
    if worst is None or (not worst.unsafe and doubt is not None):
        reason = doubt or Reason.NOT_JUDGEABLE
        score = worst.score if worst else None
        return Judgement(Outcome.UNDETERMINED, reason, rationale=_UNDETERMINED[reason], score=score)
    request = _label([finding for finding in findings if finding.part is not Part.RESPONSE])
    response = _label([finding for finding in findings if finding.part is Part.RESPONSE]) if with_response else None
    if not worst.unsafe:
        bound = worst.place.threshold
        said = f"The highest score is {worst.score:.2f}, below the threshold of {bound:.2f}, in {worst.part}."
        return Judgement(Outcome.SAFE, None, request, response, NO_CATEGORY, said, worst.score)
    category = _category(worst, vocabulary, policy)
    return Judgement(Outcome.UNSAFE, None, request, response, category, _reasoned(worst, category), worst.score)


def _label(findings: Sequence[Finding]) -> Outcome:
    return Outcome.UNSAFE if any(finding.unsafe for finding in findings) else Outcome.SAFE


def _category(worst: Finding, vocabulary: dict[str, int], policy: Policy) -> Category:
    place = worst.place
    if place.code is not None:
        listed = policy.find(place.code)
        return Category(CategoryKind.KNOWN, place.code, listed.name if listed else None)
    # A learned name is one that people confirmed; near to minors no name says what the post is about.
    learned = place.name if place.nearest not in {MINORS, SEXUAL} else None
    name = learned or novel_name(worst.text, place.nearest, place.probability, vocabulary, policy)
    similarity = round(place.probability, 4) if place.nearest else None
    return Category(CategoryKind.NOVEL, None, name, place.nearest, similarity)


def _reasoned(worst: Finding, category: Category) -> str:
    scored = f"A score of {worst.score:.2f} reaches the threshold of {worst.place.threshold:.2f} in {worst.part}"
    if category.kind is CategoryKind.KNOWN:
        return f"{scored}; the risk is {category.code} ({category.name})."
    near = f"; the nearest is {category.nearest}" if category.nearest else ""
    return f"{scored}; no category of the policy fits{near}."
