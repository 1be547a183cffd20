"""What a guard answered to a row, without content: small enough to keep and to compare, safe to write down."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proguard_core.policy.policy import SEXUAL
from proguard_core.questions import Assessment
from schemas.common import CategoryKind, Outcome, Reason


@dataclass(frozen=True, slots=True)
class Answer:
    """request and response are safe, unsafe or undetermined (response None: there is none to judge).

    scores are calibrated probabilities of unsafe, None where the guard gives none for that turn. kind, code and name
    say where the risk was placed. by: the guard that judged, where several stand behind one (a first stage, a cascade).
    """

    request: Outcome
    response: Outcome | None = None
    reason: Reason | None = None
    kind: CategoryKind = CategoryKind.NONE
    code: str | None = None
    name: str | None = None
    nearest: str | None = None
    request_score: float | None = None
    response_score: float | None = None
    by: str | None = None

    @property
    def unsafe(self) -> bool:
        """Whether either turn was called unsafe."""
        return Outcome.UNSAFE in (self.request, self.response)

    @property
    def undetermined(self) -> bool:
        """Whether nothing was called unsafe and something could not be judged."""
        return not self.unsafe and Outcome.UNDETERMINED in (self.request, self.response)

    @property
    def novel(self) -> bool:
        """Whether the row was called unsafe with a name of the guard's own."""
        return self.unsafe and self.kind is CategoryKind.NOVEL

    @property
    def near_minors(self) -> bool:
        """Whether the answer speaks of the sexual category or of a risk near to it."""
        said = (self.code, self.nearest, self.name)
        return any(each is not None and each.strip().upper().partition("S")[0] == SEXUAL for each in said)


def of_assessment(assessment: Assessment, has_response: bool) -> Answer:
    """What a verdict would say, a turn at a time.

    A post that is undetermined has no safe turn: nobody looked at all of it. The post's one score belongs to a turn
    only where there is one turn, or where the guard scores turns by themselves.
    """
    request, response = assessment.request, assessment.response if has_response else None
    if not has_response:
        request = assessment.outcome
    elif assessment.outcome is Outcome.UNDETERMINED:
        request = response = Outcome.UNDETERMINED
    return Answer(
        request=request or Outcome.UNDETERMINED,
        response=(response or Outcome.UNDETERMINED) if has_response else None,
        reason=assessment.reason,
        kind=assessment.category.kind,
        code=assessment.category.code,
        name=assessment.category.name if assessment.category.kind is CategoryKind.NOVEL else None,
        nearest=assessment.category.nearest,
        request_score=assessment.request_score if has_response else assessment.score,
        response_score=assessment.response_score if has_response else None,
        by=assessment.guard,
    )


def as_json(answer: Answer) -> dict[str, object]:
    """Only what is set."""
    return {
        key: value
        for key in Answer.__slots__
        if (value := getattr(answer, key)) is not None and value is not CategoryKind.NONE
    }


def from_json(said: Mapping[str, Any]) -> Answer:
    """The answer of as_json. Raises KeyError, TypeError, ValueError."""
    return Answer(
        **{
            **said,
            "request": Outcome(said["request"]),
            "response": Outcome(said["response"]) if said.get("response") else None,
            "reason": Reason(said["reason"]) if said.get("reason") else None,
            "kind": CategoryKind(said.get("kind", CategoryKind.NONE)),
        }
    )


ALWAYS_SAFE, ALWAYS_UNSAFE, ALWAYS_NOVEL = "always safe", "always unsafe", "always novel"
GENERIC_NAME = "Harmful and Dangerous Content"


def baseline(kind: str, has_response: bool) -> Answer:
    """What a guard would answer that looks at nothing; the novel one always gives the same general name."""
    label = Outcome.SAFE if kind == ALWAYS_SAFE else Outcome.UNSAFE
    novel = kind == ALWAYS_NOVEL
    return Answer(
        request=label,
        response=label if has_response else None,
        kind=CategoryKind.NOVEL if novel else CategoryKind.NONE,
        name=GENERIC_NAME if novel else None,
    )
