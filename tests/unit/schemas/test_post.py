"""What is a post and what is none."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from schemas import generate
from schemas.common import Modality
from schemas.post import NO_CONTENT, Post, split_uri

SCHEMA = Draft202012Validator(generate.json_schema("post"))
GOOD: dict[str, Any] = {"post_id": "p1", "text": "hello"}


def read(content: object) -> Post:
    return Post.model_validate_json(json.dumps(content), strict=True)


def error_types(content: object) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        read(content)
    return {error["type"] for error in caught.value.errors()}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"post_id": None}, "string_type"),
        ({"post_id": 7}, "string_type"),
        ({"post_id": ""}, "string_too_short"),
        ({"post_id": "x" * 513}, "string_too_long"),
        ({"post_id": "a\nb"}, "string_pattern_mismatch"),
        ({"post_id": "a\x00"}, "string_pattern_mismatch"),
        ({"author_id": ["a"]}, "string_type"),
        ({"text": 5}, "string_type"),
        ({"text": {"body": "x"}}, "string_type"),
        ({"response": False}, "string_type"),
        ({"images": "s3://pictures/a.jpg"}, "list_type"),
        ({"images": ["s3://pictures/a.jpg"]}, "model_type"),
        ({"images": [{}]}, "missing"),
        ({"images": [{"uri": 1}]}, "string_type"),
        ({"images": [{"uri": "s3://pictures/a.jpg", "etag": 3}]}, "string_type"),
        ({"language": "x" * 36}, "string_too_long"),
        ({"schema_version": "2"}, "literal_error"),
        ({"schema_version": 1}, "literal_error"),
        ({"created_at": "2026-11-24T08:00:00"}, "rfc_3339"),
        ({"created_at": "2026-11-24"}, "rfc_3339"),
        ({"created_at": "2026-11-24T08:00Z"}, "rfc_3339"),
        ({"created_at": "1764000000"}, "rfc_3339"),
        ({"created_at": "2026-11-24T08:00:00Z\n"}, "rfc_3339"),
        ({"created_at": "٢٠٢٦-11-24T08:00:00Z"}, "rfc_3339"),
        ({"created_at": "2026-13-24T08:00:00Z"}, "rfc_3339"),
        ({"created_at": 1764000000}, "rfc_3339"),
    ],
)
def test_wrong_fields_are_refused_by_their_kind(change: dict[str, Any], kind: str) -> None:
    assert error_types(GOOD | change) == {kind}


@pytest.mark.parametrize("value", [[], "post", 3, None, True])
def test_a_value_that_is_no_object_is_refused(value: object) -> None:
    assert error_types(value) == {"model_type"}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"text": None},
        {"text": ""},
        {"text": " \n\t\u00a0\u3000"},
        {"response": "  "},
        {"images": []},
        {"text": "", "response": "", "images": []},
    ],
)
def test_a_post_without_content_has_an_error_of_its_own(content: dict[str, Any]) -> None:
    assert error_types({"post_id": "p1"} | content) == {NO_CONTENT}
    assert not SCHEMA.is_valid({"post_id": "p1"} | content)


@pytest.mark.parametrize(
    ("content", "modality"),
    [
        ({"text": "x"}, Modality.TEXT),
        ({"response": "x"}, Modality.TEXT),
        ({"images": [{"uri": "s3://pictures/a.jpg"}]}, Modality.IMAGE),
        ({"text": "x", "images": [{"uri": "s3://pictures/a.jpg"}]}, Modality.TEXT_IMAGE),
        ({"response": "x", "images": [{"uri": "s3://pictures/a.jpg"}]}, Modality.TEXT_IMAGE),
    ],
)
def test_modality(content: dict[str, Any], modality: Modality) -> None:
    assert read({"post_id": "p1"} | content).modality is modality


def test_a_clock_in_the_future_is_accepted() -> None:
    future = datetime.now(UTC) + timedelta(days=4000)
    post = read(GOOD | {"created_at": future.isoformat()})
    assert post.created_at == future


@pytest.mark.parametrize(
    "written", ["2026-11-24T08:00:00Z", "2026-11-24T09:00:00+01:00", "2026-11-24t08:00:00.000z", "2026-11-24 08:00:00Z"]
)
def test_every_spelling_of_rfc_3339_is_read(written: str) -> None:
    assert read(GOOD | {"created_at": written}).created_at == datetime(2026, 11, 24, 8, tzinfo=UTC)


def test_pictures_that_are_null_are_none() -> None:
    """As null is for text; without other content it is still no post."""
    post = read(GOOD | {"images": None})
    assert (post.images, post.modality) == ([], Modality.TEXT)
    assert error_types({"post_id": "p1", "images": None}) == {NO_CONTENT}


def test_unknown_fields_are_kept_at_both_levels_and_shadow_nothing() -> None:
    image = {"uri": "s3://pictures/a.jpg", "alt": "a cat"}
    post = read(GOOD | {"likes": 3, "modality": "song", "model_dump": 1, "images": [image]})
    again = json.loads(post.model_dump_json(exclude_none=True))
    assert again["likes"] == 3
    assert again["modality"] == "song"
    assert again["images"] == [image]
    assert post.modality is Modality.TEXT_IMAGE


def test_messages_never_repeat_content() -> None:
    secret = "hunter2-hunter2"
    with pytest.raises(ValidationError) as caught:
        read(
            {
                "post_id": 1,
                "text": [secret],
                "created_at": secret,
                "images": [{"uri": secret}, {"uri": f"s3://b/{secret}"}],
            }
        )
    assert len(caught.value.errors()) >= 4
    assert not any(secret in error["msg"] for error in caught.value.errors())


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "s3://",
        "s3://../x",
        "s3://pictures",
        "s3://pictures/",
        "s3:///key",
        "s3://pictures/../other/key",
        "s3://pictures/a/./b",
        "s3://pictures/a//b",
        "s3://pictures/..",
        "s3://pictures/a/",
        "s3://pic..tures/a",
        "s3://Pictures/a",
        "s3://-pictures/a",
        "s3://pi/a",
        "s3://pictures/a\nb",
        "s3://pictures/a\x7f",
        "s3://pictures/" + "k" * 1025,
        "s3://pictures/" + "é" * 513,
        "S3://pictures/a",
        "https://pictures/a",
        "file:///etc/passwd",
        "/etc/passwd",
        " s3://pictures/a",
        "s3://user@pictures/a",
        "s3://pictures:80/a",
    ],
)
def test_what_is_no_image_reference_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_uri(uri)
    assert error_types({"post_id": "p1", "images": [{"uri": uri}]}) == {"value_error"}


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://pictures/2026/a.jpg", ("pictures", "2026/a.jpg")),
        ("s3://my.bucket-1/..a/b..", ("my.bucket-1", "..a/b..")),
        ("s3://pictures/ä b?c#d%2e", ("pictures", "ä b?c#d%2e")),
        ("s3://pictures/" + "k" * 1024, ("pictures", "k" * 1024)),
    ],
)
def test_bucket_and_key(uri: str, parts: tuple[str, str]) -> None:
    assert split_uri(uri) == parts
    SCHEMA.validate({"post_id": "p1", "images": [{"uri": uri}]})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
uris = st.sampled_from(["s3://pictures/a.jpg", "s3://../x", "s3://pictures/../x", "s3://b/", "nothing"]) | st.text(
    max_size=9
).map(lambda key: f"s3://pictures/{key}")
times = st.sampled_from(
    ["2026-11-24T08:00:00Z", "2026-11-24T08:00:00", "1764000000", "2026-02-30T00:00:00Z"]
) | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
posts = st.fixed_dictionaries(
    {},
    optional={
        "schema_version": st.sampled_from(["1", "2", 1, None]),
        "post_id": st.text(max_size=4) | json_values,
        "author_id": st.text(max_size=4) | json_values,
        "created_at": times | json_values,
        "text": st.text(max_size=6) | json_values,
        "response": st.text(max_size=6) | json_values,
        "images": st.lists(st.fixed_dictionaries({"uri": uris}, optional={"etag": json_values}), max_size=2)
        | json_values,
        "language": st.text(max_size=40),
        "context": json_values,
        "extra": json_values,
    },
)


@given(posts)
def test_what_the_model_accepts_the_json_schema_accepts(content: dict[str, Any]) -> None:
    try:
        post = read(content)
    except ValidationError:
        return
    SCHEMA.validate(content)
    SCHEMA.validate(json.loads(post.model_dump_json()))
    assert read(json.loads(post.model_dump_json())) == post


@given(
    st.fixed_dictionaries(
        {
            "post_id": st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20),
            "text": st.text(max_size=9),
        },
        optional={
            "created_at": times,
            "context": json_values,
            "images": st.lists(st.fixed_dictionaries({"uri": uris})),
        },
    )
)
def test_what_the_json_schema_refuses_the_model_refuses(content: dict[str, Any]) -> None:
    if not SCHEMA.is_valid(content):
        assert error_types(content)


@given(st.binary(max_size=60) | posts.map(lambda content: json.dumps(content).encode()[:-1]))
def test_broken_bytes_give_a_validation_error_and_nothing_else(value: bytes) -> None:
    with pytest.raises(ValidationError) as caught:
        Post.model_validate_json(value, strict=True)
    assert caught.value.errors(include_input=False, include_context=False)


@pytest.mark.parametrize("depth", [150, 250, 5000, 200_000])
def test_deep_nesting_never_crashes(depth: int) -> None:
    value = b'{"post_id":"p","text":"x","context":' + b"[" * depth + b"]" * depth + b"}"
    if depth < 200:
        assert Post.model_validate_json(value, strict=True).model_dump_json()
    else:
        with pytest.raises(ValidationError, match="recursion limit"):
            Post.model_validate_json(value, strict=True)
