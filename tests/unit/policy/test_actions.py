"""What the policy asks the platform to do, for every outcome; minors are always escalated."""

from dataclasses import replace

import pytest

from proguard_core.policy.policy import MINORS, Policy
from schemas.common import Action, CategoryKind, Outcome
from tests.unit.policy.builders import SMALL, parse

HEAD = """
undetermined: {action: review}
novel: {action: remove}
hallucinated: {action: escalate}
"""


def policy() -> Policy:
    return parse(SMALL.replace("code: C12", "code: C12\n    action: allow") + HEAD)


@pytest.mark.parametrize(
    ("outcome", "kind", "code", "action"),
    [
        (Outcome.SAFE, CategoryKind.NONE, None, Action.ALLOW),
        (Outcome.UNSAFE, CategoryKind.KNOWN, "C12", Action.ALLOW),
        (Outcome.UNSAFE, CategoryKind.KNOWN, "C11", Action.REVIEW),
        (Outcome.UNSAFE, CategoryKind.KNOWN, "C11S2", Action.ESCALATE),
        (Outcome.UNSAFE, CategoryKind.NOVEL, None, Action.REMOVE),
        (Outcome.UNSAFE, CategoryKind.HALLUCINATED, None, Action.ESCALATE),
        (Outcome.UNSAFE, CategoryKind.HALLUCINATED, "C99S9", Action.ESCALATE),
        (Outcome.UNSAFE, CategoryKind.NONE, None, Action.ESCALATE),
        (Outcome.UNDETERMINED, CategoryKind.NONE, None, Action.REVIEW),
        (Outcome.UNDETERMINED, CategoryKind.KNOWN, "C12", Action.REVIEW),
        (Outcome.UNDETERMINED, CategoryKind.NOVEL, None, Action.REVIEW),
    ],
)
def test_action(outcome: Outcome, kind: CategoryKind, code: str | None, action: Action) -> None:
    assert policy().action(outcome, kind, code) is action


@pytest.mark.parametrize("outcome", [Outcome.UNSAFE, Outcome.UNDETERMINED])
@pytest.mark.parametrize("action", list(Action))
def test_minors_are_escalated_whatever_the_policy_says(outcome: Outcome, action: Action) -> None:
    listed = policy()
    weak = replace(
        listed,
        subcategories={MINORS: replace(listed.subcategories[MINORS], action=action)},
        novel_action=action,
        undetermined_action=action,
        hallucinated_action=action,
    )
    assert weak.action(outcome, CategoryKind.KNOWN, MINORS) is Action.ESCALATE
    assert weak.action(outcome, CategoryKind.NOVEL, None, MINORS) is Action.ESCALATE
    assert replace(weak, subcategories={}).action(outcome, CategoryKind.KNOWN, MINORS) is Action.ESCALATE


def test_find_knows_both_levels() -> None:
    found = policy().find(MINORS)
    assert found is not None
    assert found.main == "C11"
    assert policy().find("C11") is not None
    assert policy().find("C1") is None
