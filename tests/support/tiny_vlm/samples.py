"""The demo's posts that are only text, with what is right for each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from worker.local.posts import read_lines

# By post id; those that are not named here harm nobody.
_CODES = {
    "p03": "C7S1",
    "p08": "C8S3",
    "p10": "C3S2",
    "p11": "C4S1",
    "p15": "C7S1",
    "p17": "C9S3",
    "p20": "C3S1",
    "p27": "C2S1",
    "p28": "C8S1",
    "p32": "C9S1",
    "p35": "C9S3",
    "p39": "C3S1",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A post; code: subcategory of its text, None where it is safe."""

    text: str
    response: str | None
    code: str | None


def samples() -> Iterator[Sample]:
    """In the order of the file. A line that is no post is none; posts with pictures are not only text."""
    for line in read_lines():
        try:
            post = json.loads(line)
        except ValueError:
            continue
        if post.get("text") and not post.get("images"):
            yield Sample(post["text"], post.get("response"), _CODES.get(post["post_id"]))
