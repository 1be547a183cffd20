"""Law 1: what is a post is one, what is none is a dead letter. Law 9: its reason never quotes the content."""

import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.common import DeadLetterReason, Stage
from schemas.post import Post
from worker.moderation.decode import NotAPost, decode, parsed_bytes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("value", "stage", "reason"),
    [
        (b"\xff", Stage.DECODE, DeadLetterReason.NOT_UTF8),
        (b'{"post_id": "\xc3\x28"}', Stage.DECODE, DeadLetterReason.NOT_UTF8),
        (b"", Stage.DECODE, DeadLetterReason.NOT_JSON),
        (b"{", Stage.DECODE, DeadLetterReason.NOT_JSON),
        (b"[" * 100_000, Stage.DECODE, DeadLetterReason.NOT_JSON),
        (b'{"post_id": "p", "text": "\\ud800"}', Stage.DECODE, DeadLetterReason.NOT_JSON),
        (b"null", Stage.VALIDATE, DeadLetterReason.INVALID),
        (b"[]", Stage.VALIDATE, DeadLetterReason.INVALID),
        (b'{"text": "a"}', Stage.VALIDATE, DeadLetterReason.INVALID),
        (b'{"post_id": "", "text": "a"}', Stage.VALIDATE, DeadLetterReason.INVALID),
        (b'{"post_id": 7, "text": "a"}', Stage.VALIDATE, DeadLetterReason.INVALID),
        (b'{"post_id": "p"}', Stage.VALIDATE, DeadLetterReason.NO_CONTENT),
        (b'{"post_id": "p", "text": " \\n"}', Stage.VALIDATE, DeadLetterReason.NO_CONTENT),
        (b'{"post_id": "p", "text": "", "images": []}', Stage.VALIDATE, DeadLetterReason.NO_CONTENT),
    ],
)
def test_what_is_no_post_says_why(value: bytes, stage: Stage, reason: DeadLetterReason) -> None:
    with pytest.raises(NotAPost) as caught:
        decode(value)
    assert (caught.value.stage, caught.value.reason) == (stage, reason)
    assert 0 < len(caught.value.message) <= 500


@pytest.mark.parametrize(
    "content",
    [
        {"post_id": "p", "images": [{"uri": "http://secret"}]},
        {"post_id": "p", "text": {"secret": "secret"}},
        {"post_id": "secret\n", "text": "secret"},
        {"post_id": "p", "text": "a", "created_at": "secret", "language": "secret" * 10},
        {"post_id": "p", "text": "a", "context": {"secret": 1}, "schema_version": "secret"},
        {"post_id": "p", "images": ["secret"] * 1000},
    ],
)
def test_the_reason_never_quotes_the_content(content: dict[str, Any]) -> None:
    with pytest.raises(NotAPost) as caught:
        decode(json.dumps(content).encode())
    assert "secret" not in caught.value.message
    assert len(caught.value.message) <= 500


def test_unknown_fields_are_kept() -> None:
    post = decode(b'{"post_id": "p", "text": "a", "likes": {"n": 3}}')
    assert post.model_extra == {"likes": {"n": 3}}


@given(st.binary() | JSON.map(lambda content: json.dumps(content).encode()))
def test_any_bytes_are_a_post_or_a_dead_letter(value: bytes) -> None:
    with suppress(NotAPost):  # either end is right, any other exception is not
        assert isinstance(decode(value), Post)


@given(
    st.fixed_dictionaries({"post_id": st.just("p"), "text": st.just("a")}, optional={"context": JSON, "images": JSON})
)
def test_any_context_is_accepted_and_any_images_decided(content: dict[str, Any]) -> None:
    value = json.dumps(content).encode()
    if content.get("images"):
        with pytest.raises(NotAPost):
            decode(value)
    elif "images" not in content:
        assert decode(value).context == content.get("context")


def many(item: bytes, count: int = 20_000) -> bytes:
    return b",".join(item % number if b"%" in item else item for number in range(count))


@pytest.mark.parametrize(
    "value",
    [
        b'{"post_id": "p", "text": "a", "context": [' + many(b"[]") + b"]}",
        b'{"post_id": "p", "text": "a", "context": [' + many(b'{"a":1}') + b"]}",
        b'{"post_id": "p", "text": "a", "context": [' + many(b'{"":[]}') + b"]}",
        b'{"post_id": "p", "text": "a", "context": [' + many(b'"%x"') + b"]}",
        b'{"post_id": "p", "text": "a", ' + many(b'"%x":[]') + b"}",
        b'{"post_id": "p", "images": [' + many(b'{"uri":"s3://bbb/%x"}') + b"]}",
        b'{"post_id": "p", "images": [' + many(b'{"uri":"s3://bbb/%x","":{}}') + b"]}",
        '{"post_id": "p", "text": "😀'.encode() + b"a" * 300_000 + b'"}',
        b'{"post_id": "p", "text": "' + b"a" * 300_000 + b'"}',
    ],
    ids=["lists", "dicts", "nested", "strings", "fields", "images", "image fields", "wide", "plain"],
)
def test_law_3_what_parsing_takes_is_known(value: bytes) -> None:
    """JSON of empty lists takes 22 times its bytes: kafka.max_bytes must count what is held, not what came."""
    tracemalloc.start()
    post = decode(value)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 0.85 * held < len(value) + parsed_bytes(value, post) < 3 * held
