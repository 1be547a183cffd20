"""From a record's bytes to a post, or the reason why it is none."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from schemas.common import DeadLetterReason, Stage
from schemas.post import NO_CONTENT, Post

_MAX_MESSAGE_CHARACTERS = 500
_MAX_PROBLEMS = 5

# Above it even a post that is only text is weighed: one wide character makes it four times as large.
LARGE_POST_BYTES = 4096
# Measured: Python's share of a value between two marks, of one ImageReference beside its marks, and of the task that
# waits for a post's pictures.
_MARKUP = (b"[", b"{", b",", b":")
_OBJECT_BYTES = 80
_REFERENCE_BYTES = 500
_TASK_BYTES = 2700


# What model_validate_json calls, without its wrapping: this runs for every post.
_validate: Callable[..., Post] = Post.__pydantic_validator__.validate_json


@dataclass
class NotAPost(Exception):
    """The record becomes a dead letter. message names fields and problems, never their content."""

    stage: Stage
    reason: DeadLetterReason
    message: str


def decode(value: bytes) -> Post:
    """The post of a record's value; NotAPost says why there is none. Unknown fields are kept."""
    try:
        return _validate(value, strict=True)
    except ValidationError as error:
        raise _explain(value, error) from None


def parsed_bytes(value: bytes, post: Post) -> int:
    """How much more than its value a post takes once it is parsed and waits, rarely less than it really is.

    An empty list in JSON is three bytes and an object of 56, a picture's reference 25 and 600. Text takes up to four
    times its bytes where one character is rare.
    """
    size = len(value)
    texts = sum(sys.getsizeof(text) for text in (post.text, post.response) if text is not None)
    structure = len(post.images) * _REFERENCE_BYTES
    waits = _TASK_BYTES if post.images else 0
    if structure or post.__pydantic_extra__ or post.context is not None:
        structure += sum(map(value.count, _MARKUP)) * _OBJECT_BYTES
    return max(0, texts + structure - size) + waits


def _explain(value: bytes, error: ValidationError) -> NotAPost:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        try:
            value.decode("utf-8")
        except UnicodeDecodeError as broken:
            return NotAPost(Stage.DECODE, DeadLetterReason.NOT_UTF8, f"byte {broken.start} is not UTF-8")
        return NotAPost(Stage.DECODE, DeadLetterReason.NOT_JSON, "the value is not JSON")
    if problems[0]["type"] == NO_CONTENT:
        return NotAPost(Stage.VALIDATE, DeadLetterReason.NO_CONTENT, problems[0]["msg"])
    # Positions in lists are kept, other names only if they are ours: an unknown key is the author's content.
    lines = [f"{_place(item['loc'])}: {item['msg']}" for item in problems[:_MAX_PROBLEMS]]
    return NotAPost(Stage.VALIDATE, DeadLetterReason.INVALID, "; ".join(lines)[:_MAX_MESSAGE_CHARACTERS])


_OWN_NAMES = frozenset(Post.model_fields) | {"uri", "version_id", "etag"}


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) if isinstance(part, int) or part in _OWN_NAMES else "?" for part in location) or "post"
