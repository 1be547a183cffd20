"""What the records refuse: a verdict or a review that contradicts itself."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas import cloudevents
from schemas.common import Reason
from schemas.dead_letter import DeadLetterHeaders
from schemas.retraining_hit import RetrainingHit
from schemas.review import Review
from schemas.verdict import MAX_NAME_CHARACTERS, MAX_RATIONALE_CHARACTERS, Verdict
from tests.unit.schemas.test_generated import example


def test_an_undetermined_verdict_needs_a_reason() -> None:
    undetermined = example("verdict") | {"outcome": "undetermined"}
    for reason in Reason:
        assert Verdict.model_validate(undetermined | {"reason": reason}).reason is reason
    with pytest.raises(ValidationError, match="needs a reason"):
        Verdict.model_validate(undetermined | {"reason": None})


@pytest.mark.parametrize("part", ["text_bytes", "images", "frames"])
def test_what_was_not_looked_at_cannot_be_safe(part: str) -> None:
    content = example("verdict") | {"outcome": "safe", "reason": None, "category": {"kind": "none"}}
    content["coverage"]["frames_judged"] = content["coverage"]["frames"]
    assert Verdict.model_validate(content).coverage.complete
    content["coverage"][f"{part}_judged"] -= 1
    with pytest.raises(ValidationError, match="cannot be safe"):
        Verdict.model_validate(content)


@pytest.mark.parametrize(
    "category",
    [
        {"kind": "known"},
        {"kind": "known", "code": "C0"},
        {"kind": "known", "code": "C3S"},
        {"kind": "known", "code": "c3s1"},
        {"kind": "novel", "name": "x" * (MAX_NAME_CHARACTERS + 1)},
        {"kind": "novel", "nearest": "Fraud"},
        {"kind": "novel", "similarity": 1.5},
        {},
    ],
)
def test_a_category_that_is_none_is_refused(category: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Verdict.model_validate(example("verdict") | {"category": category})


@pytest.mark.parametrize(
    "change",
    [
        {"score": 1.01},
        {"score": -0.1},
        {"rationale": "x" * (MAX_RATIONALE_CHARACTERS + 1)},
        {"image": -1},
        {"request": "undetermined"},
        {"source": {"topic": "t", "partition": -1, "offset": 0}},
        {"judged_at": "2026-11-24T08:00:00"},
        {"post_id": ""},
    ],
)
def test_a_verdict_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Verdict.model_validate(example("verdict") | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cluster": None}, "a cluster or of a post"),
        ({"post": "p1"}, "a cluster or of a post"),
        ({"code": None}, "needs the code"),
        ({"decision": "confirm", "name": None}, "confirm needs a name"),
        ({"decision": "rename", "name": None}, "rename needs a name"),
    ],
)
def test_a_review_that_contradicts_itself_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Review.model_validate(example("review") | change)


def test_a_rejecting_review_needs_neither_name_nor_code() -> None:
    rejecting = example("review") | {"decision": "reject", "name": None, "code": None, "synonyms": []}
    assert Review.model_validate(rejecting).name is None


def test_a_hit_keeps_unknown_fields_of_its_post() -> None:
    content = example("retraining_hit")
    content["post"]["likes"] = 4
    assert RetrainingHit.model_validate(content).model_dump()["post"]["likes"] == 4


def test_dead_letter_headers_are_text_on_the_wire_and_numbers_in_code() -> None:
    headers = DeadLetterHeaders.model_validate(example("dead_letter_headers"))
    assert (headers.partition, headers.offset) == (3, 1031)
    assert all(isinstance(value, str) for value in headers.model_dump(by_alias=True).values())
    with pytest.raises(ValidationError):
        DeadLetterHeaders.model_validate(example("dead_letter_headers") | {"__connect.errors.offset": "-1"})


def test_cloudevents_headers_name_type_subject_and_trace() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = dict(cloudevents.headers(cloudevents.VERDICT_TYPE, "t-0-1", "t", "pöst", "2026-11-24T08:00:00Z", trace))
    assert headers == {
        "ce_specversion": "1.0",
        "ce_type": "org.proguard.moderation.verdict.v1",
        "ce_id": "t-0-1",
        "ce_source": "t",
        "ce_subject": "pöst",
        "ce_time": "2026-11-24T08:00:00Z",
        "content-type": "application/json",
        "traceparent": trace,
    }
