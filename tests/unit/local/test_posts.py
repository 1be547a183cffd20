"""The sample posts are what they are meant to be: one line is broken on purpose, one picture is missing."""

import json
from typing import Any

import pytest

from schemas.common import DeadLetterReason, Modality
from schemas.post import Post
from worker.local.pictures import PICTURES
from worker.local.posts import ERASED, load_samples, read_lines
from worker.moderation.decode import NotAPost, decode

BROKEN_MARK = b"broken-app"


def uri(name: str) -> str:
    return f"s3://shop-window/demo/{name}"


def posts() -> list[Post]:
    return [decode(sample.value) for sample in load_samples(uri) if sample.value and BROKEN_MARK not in sample.value]


def test_every_line_but_one_is_a_post() -> None:
    assert len(posts()) == len(read_lines()) - 1 >= 39


def test_the_broken_line_is_no_json_and_goes_out_as_it_stands() -> None:
    broken = [line for line in read_lines() if BROKEN_MARK in line]
    assert [sample.value for sample in load_samples(uri) if sample.value and BROKEN_MARK in sample.value] == broken
    with pytest.raises(NotAPost) as refused:
        decode(broken[0])
    assert refused.value.reason is DeadLetterReason.NOT_JSON


def test_all_modalities_languages_and_conversations_are_there() -> None:
    assert {post.modality for post in posts()} == set(Modality)
    assert len({post.language for post in posts()}) >= 4
    assert sum(post.response is not None for post in posts()) >= 3


def test_exactly_one_picture_is_missing_and_every_drawn_one_is_used() -> None:
    prefix = uri("")
    names = {image.uri.removeprefix(prefix) for post in posts() for image in post.images}
    assert names - PICTURES.keys() == {"not-there.jpg"}
    assert PICTURES.keys() <= names


def test_one_post_is_edited_and_one_is_erased_after_all_else() -> None:
    identifiers = [post.post_id for post in posts()]
    assert [name for name in set(identifiers) if identifiers.count(name) > 1] == ["p02"]
    last = load_samples(uri)[-1]
    assert (last.key, last.value) == (ERASED, None)
    assert ERASED in identifiers


def test_records_are_keyed_by_their_post_and_shown_with_their_pictures() -> None:
    for sample in load_samples(uri):
        if sample.value is None or BROKEN_MARK in sample.value:
            continue
        post: dict[str, Any] = json.loads(sample.value)
        assert sample.key == post["post_id"]
        assert sample.modality == decode(sample.value).modality
        assert sample.shown
