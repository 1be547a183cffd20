"""The worst finding decides; a doubt never becomes safe and never hides an unsafe part."""

import pytest

from proguard_core.guards.embedded.judging import Finding, Part, judgement
from proguard_core.guards.embedded.placing import Place
from proguard_core.policy.policy import concerns_minors
from schemas.common import CategoryKind, Outcome, Reason
from tests.unit.guards.embedded.policies import policy

LISTED = policy("C3", "C3S1", "C4", "C4S1")


def finding(score: float, code: str | None = "C3S1", part: Part = Part.TEXT, threshold: float = 0.5) -> Finding:
    return Finding(part, score, Place(code, code or "C4S1", 0.4, threshold), lambda: "a lottery of secrets")


def named(found: Finding) -> str:
    """A name that shows what was asked."""
    return f"{found.excerpt()} {found.place.nearest}"


def test_all_below_their_thresholds_is_safe() -> None:
    made = judgement([finding(0.2), finding(0.4)], None, False, named, LISTED)
    assert (made.outcome, made.request, made.response, made.score) == (Outcome.SAFE, Outcome.SAFE, None, 0.4)


def test_the_score_that_reaches_its_threshold_is_unsafe() -> None:
    made = judgement([finding(0.5)], None, False, named, LISTED)
    assert (made.outcome, made.category.kind, made.category.code) == (Outcome.UNSAFE, CategoryKind.KNOWN, "C3S1")


def test_the_threshold_of_the_category_counts_not_the_highest_score() -> None:
    made = judgement(
        [finding(0.8, "C3S1", threshold=0.9), finding(0.4, "C4S1", threshold=0.3)], None, False, named, LISTED
    )
    assert (made.outcome, made.category.code, made.score) == (Outcome.UNSAFE, "C4S1", 0.4)


def test_a_doubt_leaves_a_harmless_post_undetermined_and_an_unsafe_one_unsafe() -> None:
    doubted = judgement([finding(0.1)], Reason.NOT_JUDGEABLE, False, named, LISTED)
    assert (doubted.outcome, doubted.reason) == (Outcome.UNDETERMINED, Reason.NOT_JUDGEABLE)
    unsafe = judgement([finding(0.9)], Reason.UNSUPPORTED_LANGUAGE, False, named, LISTED)
    assert (unsafe.outcome, unsafe.reason) == (Outcome.UNSAFE, None)


def test_nothing_to_judge_is_never_safe() -> None:
    assert judgement([], None, False, named, LISTED).outcome is Outcome.UNDETERMINED


@pytest.mark.parametrize("minors", [Place("C11S1", "C11S1", 0.9, 0.5), Place(None, "C11S1", 0.4, 0.5)])
def test_minors_name_the_risk_whatever_else_is_worse(minors: Place) -> None:
    """Law 11: with another category its content would be published."""
    worse, about = finding(0.9, None), Finding(Part.RESPONSE, 0.6, minors, lambda: "words")
    made = judgement([worse, about], None, True, named, LISTED)
    assert (made.score, made.request, made.response) == (0.9, Outcome.UNSAFE, Outcome.UNSAFE)
    assert concerns_minors(made.category.kind, made.category.code, made.category.nearest)
    assert made.rationale.count("0.60") == 1
    below = Finding(Part.RESPONSE, 0.4, minors, lambda: "words")
    assert judgement([worse, below], None, True, named, LISTED).category.nearest == "C4S1"


def test_request_and_response_have_labels_of_their_own() -> None:
    made = judgement([finding(0.1), finding(0.9, part=Part.RESPONSE)], None, True, named, LISTED)
    assert (made.request, made.response) == (Outcome.SAFE, Outcome.UNSAFE)


def test_each_turn_has_a_score_of_its_own() -> None:
    """A table of responses must not be drawn from the post's one score, which is the worse turn's."""
    found = [finding(0.7), finding(0.2), finding(0.31, part=Part.RESPONSE), finding(0.6, part=Part.PICTURE_TEXT)]
    made = judgement(found, None, True, named, LISTED)
    assert (made.score, made.request_score, made.response_score) == (0.7, 0.7, 0.31)
    assert (made.request, made.response) == (Outcome.UNSAFE, Outcome.SAFE)
    alone = judgement([finding(0.31, part=Part.RESPONSE)], None, True, named, LISTED)
    assert (alone.score, alone.request_score, alone.response_score) == (0.31, None, 0.31)
    doubted = judgement([finding(0.3), finding(0.4, part=Part.RESPONSE)], Reason.NOT_JUDGEABLE, True, named, LISTED)
    assert (doubted.outcome, doubted.request_score, doubted.response_score) == (Outcome.UNDETERMINED, 0.3, 0.4)


def test_a_turn_is_scored_by_the_part_that_labels_it() -> None:
    found = [finding(0.8, "C3S1", threshold=0.9), finding(0.4, "C4S1", threshold=0.3)]
    made = judgement(found, None, False, named, LISTED)
    assert (made.request, made.request_score) == (Outcome.UNSAFE, 0.4)


def test_scores_have_six_digits() -> None:
    made = judgement([finding(0.123456789), finding(0.98765432101, part=Part.RESPONSE)], None, True, named, LISTED)
    assert (made.score, made.request_score, made.response_score) == (0.987654, 0.123457, 0.987654)


def test_a_novel_risk_has_a_name_a_nearest_code_and_no_code() -> None:
    made = judgement([finding(0.9, None)], None, False, named, LISTED).category
    assert (made.kind, made.code, made.nearest, made.similarity) == (CategoryKind.NOVEL, None, "C4S1", 0.4)
    assert made.name == "a lottery of secrets C4S1"


def test_the_rationale_is_one_sentence_that_does_not_quote_the_post() -> None:
    for findings, doubt in (([finding(0.9)], None), ([finding(0.1)], None), ([finding(0.1)], Reason.NOT_JUDGEABLE)):
        said = judgement(findings, doubt, False, named, LISTED).rationale
        assert "lottery" not in said
        assert said.endswith(".")
        assert "\n" not in said
