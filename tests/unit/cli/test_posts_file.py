"""Files of posts: local pictures become references, everything else stays as it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker.commands.posts_file import lines, with_references


def referred(path: str) -> str:
    return f"s3://bucket/{path}"


@pytest.mark.parametrize(
    ("image", "uri"),
    [
        ({"path": "cat.jpg"}, "s3://bucket/cat.jpg"),
        ({"uri": "cat.jpg"}, "s3://bucket/cat.jpg"),
        ({"uri": "s3://other/cat.jpg"}, "s3://other/cat.jpg"),
        ({"uri": "https://example.org/cat.jpg"}, "https://example.org/cat.jpg"),
    ],
)
def test_only_local_pictures_are_replaced(image: dict[str, str], uri: str) -> None:
    value, post_id = with_references(json.dumps({"post_id": "1", "images": [image], "more": 1}).encode(), referred)
    assert json.loads(value) == {"post_id": "1", "images": [{"uri": uri}], "more": 1}
    assert post_id == "1"


def test_what_else_an_image_says_is_kept() -> None:
    value, _ = with_references(b'{"post_id":"1","images":[{"path":"a.png","etag":"x"}]}', referred)
    assert json.loads(value)["images"] == [{"uri": "s3://bucket/a.png", "etag": "x"}]


@pytest.mark.parametrize("value", [b"not json", b"[1]", b"3", b'{"images": 3}', b'{"images": [1, {}, {"uri": 2}]}'])
def test_what_is_no_post_is_untouched(value: bytes) -> None:
    assert with_references(value, referred) == (value, None)


@pytest.mark.parametrize("post", [{"post_id": 3, "text": "x"}, {"text": "x"}])
def test_a_post_without_a_name_has_no_key(post: dict[str, Any]) -> None:
    value = json.dumps(post).encode()
    assert with_references(value, referred) == (value, None)


def test_blank_lines_are_skipped_but_counted(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"one\n\n  \r\ntwo\r\nthree")
    assert [(line.number, line.value) for line in lines(file)] == [(1, b"one"), (4, b"two"), (5, b"three")]
