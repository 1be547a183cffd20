"""The sample posts of the demo: what each line of samples/posts.jsonl becomes as a record on the stream."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from worker.commands.posts_file import with_references
from worker.local import emerging

ERASED = "p31"
BROKEN_KEY = "broken-app"


@dataclass(frozen=True, slots=True)
class Sample:
    """One record to send. value None is a tombstone: it asks that the post with this key be erased."""

    key: str
    value: bytes | None
    modality: str = "text"
    shown: str = ""


def load_samples(reference: Callable[[str], str]) -> list[Sample]:
    """All sample records in the order in which they are sent. reference makes the URI of a picture from its file name.

    A line that is no JSON goes out as it stands. The tombstone comes last, long after the post it erases.
    """
    samples = [_sample(line, reference) for line in read_lines()]
    return [*samples, Sample(key=ERASED, value=None, modality="", shown="(the author deletes this post)")]


def new_risk(count: int) -> list[Sample]:
    """Posts of a risk that no policy lists, an author each: they become a cluster of the console."""
    posts = enumerate(emerging.texts(emerging.POSTS, count, 1), 1)
    made = [
        {"post_id": f"new-{at:02}", "author_id": f"tipster-{at}", "language": "en", "text": text} for at, text in posts
    ]
    return [Sample(post["post_id"], json.dumps(post).encode(), shown=post["text"]) for post in made]


def read_lines() -> list[bytes]:
    """The lines of the committed file."""
    return resources.files("worker.local").joinpath("samples/posts.jsonl").read_bytes().splitlines()


def _sample(line: bytes, reference: Callable[[str], str]) -> Sample:
    value, post_id = with_references(line, reference)
    if post_id is None:
        return Sample(key=BROKEN_KEY, value=value, modality="", shown=value.decode(errors="replace"))
    post: dict[str, Any] = json.loads(line)
    names = [image["path"] for image in post.get("images", [])]
    said = " / ".join(post[field] for field in ("text", "response") if field in post)
    shown = " ".join([said, *(f"[{name}]" for name in names)]).strip()
    modality = "text" if not names else "text-image" if said else "image"
    return Sample(post_id, value, modality, shown)
