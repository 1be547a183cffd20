"""A file of posts, one JSON object a line, whose pictures may lie beside it as files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_SCHEME = "://"


class PictureNotFound(Exception):
    """A local picture that cannot be had; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank. number counts from 1; value are its bytes without the line's end."""

    number: int
    value: bytes


def lines(file: Path) -> Iterator[Line]:
    """The lines of a file that are not blank, read as they are asked for."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if value := line.strip():
                yield Line(number, value)


def with_references(value: bytes, reference: Callable[[str], str]) -> tuple[bytes, str | None]:
    """The line with references for local pictures, and its post_id where there is one.

    A local picture is `{"path": "cat.jpg"}`, or a `uri` without a scheme. reference makes a URI of such a path and may
    raise PictureNotFound. What is no JSON object comes back as it is.
    """
    try:
        post = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value, None
    if not isinstance(post, dict):
        return value, None
    images = post.get("images")
    local = [image for image in images if _local(image)] if isinstance(images, list) else []
    for image in local:
        image["uri"] = reference(str(image.pop("path", None) or image["uri"]))
    post_id = post.get("post_id")
    return (orjson.dumps(post) if local else value), (post_id if isinstance(post_id, str) else None)


def _local(image: Any) -> bool:
    if not isinstance(image, dict):
        return False
    uri = image.get("uri")
    return isinstance(image.get("path"), str) or (isinstance(uri, str) and bool(uri) and _SCHEME not in uri)
