"""Laws 1, 7, 9, 11: every record keeps its contract, and of minors nothing is written but a verdict."""

import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from proguard_core.guards.protocol import Category
from proguard_core.policy.loader import load_policy
from proguard_core.questions import Assessment, Coverage
from schemas.common import CategoryKind, DeadLetterReason, Outcome, Reason, Stage
from schemas.dead_letter import DeadLetterHeaders
from schemas.post import Post
from schemas.retraining_hit import RetrainingHit
from schemas.risk import Risk
from schemas.verdict import MAX_NAME_CHARACTERS, MAX_RATIONALE_CHARACTERS, Verdict
from worker.moderation import outcome as written
from worker.moderation.decode import NotAPost, decode
from worker.moderation.outcome import Headers, Judged, OutcomeWriter
from worker.moderation.partitions import OutcomeRecord
from worker.settings import TopicSettings

POLICY = load_policy()
TOPICS = TopicSettings()
SOURCE = ("moderation.posts", 3, 42)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "secret words of the post"
NAMES = {TOPICS.verdicts: "verdict", TOPICS.risks: "risk", TOPICS.retraining: "retraining_hit"}
MODELS: dict[str, type[BaseModel]] = {"verdict": Verdict, "risk": Risk, "retraining_hit": RetrainingHit}


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    path = Path(written.__file__).parents[2] / "schemas" / "json" / f"{name}.schema.json"
    return jsonschema.Draft202012Validator(
        json.loads(path.read_text()), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def writer(max_hit_bytes: int = 1_000_000) -> OutcomeWriter:
    return OutcomeWriter(TOPICS, POLICY, "group", max_hit_bytes)


def judged(assessment: Assessment, post: Post | None = None, coverage: Coverage | None = None) -> Judged:
    post = post or Post(post_id="p1", author_id="a1", text=SECRET, response="yes")
    return Judged(post, assessment, coverage or Coverage(), "embedded", "r1", 0.004, 1.5, 20.0, 21.5)


def write(assessment: Assessment, post: Post | None = None, *, limit: int = 1_000_000) -> dict[str, dict[str, Any]]:
    """Record values by kind, each held to its model and to the schema that outsiders are given."""
    outcome = writer(limit).judged(SOURCE, None, judged(assessment, post))
    return {NAMES[record[0]]: checked(record) for record in outcome.records if record[2] is not None}


def checked(record: OutcomeRecord) -> dict[str, Any]:
    topic, key, value, _headers = record
    assert value is not None
    content: dict[str, Any] = json.loads(value)
    MODELS[NAMES[topic]].model_validate_json(value)
    validator(NAMES[topic]).validate(content)
    assert key == content["post_id"].encode()
    return content


def novel(nearest: str | None = "C3", name: str = "trading in favours", rationale: str = "because") -> Assessment:
    category = Category(CategoryKind.NOVEL, name=name, nearest=nearest, similarity=None if nearest is None else 0.5)
    return Assessment(Outcome.UNSAFE, request=Outcome.UNSAFE, category=category, rationale=rationale, score=0.9)


CATEGORIES = [
    Category(),
    *[Category(CategoryKind.KNOWN, code, "listed") for code in ("C3", "C3S1", "C11", "C11S1", "C11S2")],
    *[Category(CategoryKind.NOVEL, None, SECRET, near, 0.7) for near in ("C3", "C11", "C11S1", "C11S2")],
    Category(CategoryKind.NOVEL, "C11S1", SECRET, "C3", 0.7),
    Category(CategoryKind.NOVEL, None, SECRET),
    Category(CategoryKind.HALLUCINATED, name="C99"),
    Category(CategoryKind.HALLUCINATED, "C11S1", name=SECRET),
]
OUTCOMES = [(Outcome.UNSAFE, None), (Outcome.UNSAFE, Reason.TRUNCATED), (Outcome.UNDETERMINED, Reason.GUARD_FAILED)]


def test_law_11_what_an_earlier_judgement_published_is_taken_back() -> None:
    """By a guard that did not see it, or of what the post said before."""
    minors = Category(CategoryKind.KNOWN, code="C11S1", name="Minors")
    outcome = writer().judged(SOURCE, None, judged(Assessment(Outcome.UNSAFE, None, Outcome.UNSAFE, None, minors)))
    nulls = [(topic, key) for topic, key, value, _ in outcome.records if value is None]
    assert nulls == [(TOPICS.risks, b"p1"), (TOPICS.retraining, b"p1")]
    assert len(outcome.records) == 3


@pytest.mark.parametrize(("said", "category"), list(product(OUTCOMES, CATEGORIES)))
def test_law_11_of_minors_nothing_is_written_but_an_escalating_verdict(
    said: tuple[Outcome, Reason | None], category: Category
) -> None:
    records = write(Assessment(*said, Outcome.UNSAFE, None, category, rationale=SECRET, image=0))
    minors = category.code == "C11S1" or (category.kind is CategoryKind.NOVEL and category.nearest in {"C11", "C11S1"})
    if minors:
        assert list(records) == ["verdict"]
        assert records["verdict"]["action"] == "escalate"
        assert records["verdict"]["rationale"] == ""
        assert SECRET not in json.dumps(
            records["verdict"] | {"category": {"name": records["verdict"]["category"]["name"]}}
        ) or (category.kind is CategoryKind.HALLUCINATED)
    else:
        expected = category.kind is CategoryKind.NOVEL and said[0] is Outcome.UNSAFE
        assert (set(records) == {"verdict", "risk", "retraining_hit"}) == expected
        assert records["verdict"]["rationale"] == SECRET
    assert records["verdict"]["source"] == {"topic": SOURCE[0], "partition": 3, "offset": 42}


@given(
    st.sampled_from(CATEGORIES),
    st.sampled_from([*OUTCOMES, (Outcome.SAFE, None)]),
    st.none() | st.floats(0, 1),
    st.text(st.characters(codec=None, categories=None)),
    st.none() | st.integers(0, 9),
)
def test_every_record_keeps_its_contract(
    category: Category, said: tuple[Outcome, Reason | None], score: float | None, rationale: str, image: int | None
) -> None:
    write(Assessment(*said, Outcome.SAFE, Outcome.UNSAFE, category, rationale, score, image))


@pytest.mark.parametrize("reason", list(Reason))
def test_only_failures_are_counted_by_the_breaker(reason: Reason) -> None:
    outcome = writer().judged(SOURCE, None, judged(Assessment(Outcome.UNDETERMINED, reason)))
    assert outcome.failure is reason.is_failure
    assert not writer().judged(SOURCE, None, judged(Assessment(Outcome.UNSAFE, reason))).failure


@pytest.mark.parametrize("text", ["x", "ä", "😀", "\ud800", "\0"])
def test_rationale_and_names_are_capped_and_writable(text: str) -> None:
    records = write(novel(name=text * 10_000, rationale=text * 10_000))
    assert len(records["verdict"]["rationale"]) == MAX_RATIONALE_CHARACTERS
    assert len(records["risk"]["name"]) == MAX_NAME_CHARACTERS
    assert len(records["verdict"]["category"]["name"]) == MAX_NAME_CHARACTERS


def test_the_hit_has_the_post_as_it_came_numbers_of_any_length_among_it() -> None:
    number = 2**70
    post = decode(json.dumps({"post_id": "p", "text": "t", "context": {"n": number}, "extra": -number}).encode())
    hit = write(novel(), post)["retraining_hit"]
    assert hit["post"]["context"]["n"] == number
    assert hit["post"]["extra"] == -number
    assert hit["post_truncated"] is False


@pytest.mark.parametrize("unit", ["a", "ä", "😀", "\x01", '"'])
@pytest.mark.parametrize("parts", [("text",), ("response",), ("text", "response")])
def test_a_hit_that_would_not_fit_is_cut_and_never_blocks(unit: str, parts: tuple[str, ...]) -> None:
    content: dict[str, Any] = {"post_id": "p", "context": [2**70] * 50, **dict.fromkeys(parts, unit * 3000)}
    outcome = writer(4000).judged(SOURCE, None, judged(novel(), Post(**content)))
    (value,) = [value for topic, _key, value, _headers in outcome.records if topic == TOPICS.retraining]
    assert value is not None
    assert len(value) <= 4000
    hit = RetrainingHit.model_validate_json(value)
    assert hit.post_truncated
    assert unit * 3000 not in (hit.post.text, hit.post.response)


def headers_of(incoming: Headers) -> list[dict[str, str]]:
    outcome = writer().judged(SOURCE, incoming, judged(novel()))
    return [
        {name: value for name, value in headers if isinstance(value, str)}
        for _topic, _key, _value, headers in outcome.records
    ]


def test_each_record_continues_the_posts_trace_with_a_span_of_its_own() -> None:
    found = [headers["traceparent"].split("-") for headers in headers_of([("traceparent", TRACE.encode())])]
    assert {(trace, flags) for _version, trace, _span, flags in found} == {(TRACE.split("-")[1], "01")}
    spans = {span for _version, _trace, span, _flags in found}
    assert len(spans) == 3
    assert TRACE.split("-")[2] not in spans


def test_cloudevents_attributes() -> None:
    verdict, risk, hit = headers_of({"other": b"1"})
    assert {verdict["ce_id"], risk["ce_id"], hit["ce_id"]} == {"moderation.posts-3-42"}
    assert len({headers["ce_type"] for headers in (verdict, risk, hit)}) == 3
    assert verdict["ce_subject"] == "p1"
    assert verdict["content-type"] == "application/json"


def test_a_dead_letter_keeps_key_value_and_headers_to_the_byte() -> None:
    why = NotAPost(Stage.DECODE, DeadLetterReason.NOT_UTF8, "byte 0 is not UTF-8")
    own: list[tuple[str, str | bytes | None]] = [("a", b"\xff"), ("a", None), ("b", "text")]
    outcome = writer().dead_letter(SOURCE, b"\xfe", b"\xff\x00", own, why)
    ((topic, key, value, headers),) = outcome.records
    assert (topic, key, value, headers[:3]) == (TOPICS.dead_letters, b"\xfe", b"\xff\x00", own)
    assert outcome.failure
    said = {name: content.decode() for name, content in headers[3:] if isinstance(content, bytes)}
    validator("dead_letter_headers").validate(said)
    assert said["__connect.errors.offset"] == "42"
    assert said[str(DeadLetterHeaders.model_fields["reason"].alias)] == "not_utf8"


def test_a_dead_letter_of_nothing() -> None:
    why = NotAPost(Stage.ERASE, DeadLetterReason.NULL_KEY_AND_VALUE, "no key")
    ((_topic, key, value, _headers),) = writer().dead_letter(SOURCE, None, None, None, why).records
    assert (key, value) == (None, None)


def test_law_9_an_erasure_reaches_every_topic_that_holds_content() -> None:
    outcome = writer().erased(b"p1")
    assert [record[:3] for record in outcome.records] == [
        (topic, b"p1", None) for topic in (TOPICS.verdicts, TOPICS.risks, TOPICS.retraining)
    ]
    assert not outcome.failure


@pytest.mark.parametrize(
    ("stated", "counted"),
    [
        (None, "unstated"),
        ("", "unstated"),
        ("en", "en"),
        ("EN-gb", "en"),
        ("en_US", "en"),
        ("enm", "other"),
        ("de", "other"),
    ],
)
def test_languages_are_counted_by_what_the_post_states_and_in_three_kinds(stated: str | None, counted: str) -> None:
    outcome = writer().judged(
        SOURCE, None, judged(Assessment(Outcome.SAFE), Post(post_id="p", text="x", language=stated))
    )
    assert outcome.tally is not None
    assert outcome.tally[-1] == counted
