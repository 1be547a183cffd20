"""The sample posts of the demo: what each line of samples/posts.jsonl becomes as a record on the stream."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

ERASED = "p31"
PICTURE_PREFIX = "demo/"


@dataclass(frozen=True, slots=True)
class Sample:
    """One record to send. value None is a tombstone: it asks that the post with this key be erased."""

    key: str
    value: bytes | None
    modality: str = "text"
    shown: str = ""


def load_samples(bucket: str) -> list[Sample]:
    """All sample records in the order in which they are sent; pictures become references into the bucket.

    A line that is no JSON goes out as it stands. The tombstone comes last, long after the post it erases.
    """
    samples = [_sample(line, bucket) for line in read_lines()]
    return [*samples, Sample(key=ERASED, value=None, modality="", shown="(the author deletes this post)")]


def read_lines() -> list[bytes]:
    """The lines of the committed file."""
    return resources.files("worker.local").joinpath("samples/posts.jsonl").read_bytes().splitlines()


def _sample(line: bytes, bucket: str) -> Sample:
    try:
        post: dict[str, Any] = json.loads(line)
    except ValueError:
        return Sample(key="broken-app", value=line, modality="", shown=line.decode(errors="replace"))
    names = [image["path"] for image in post.get("images", [])]
    if names:
        post["images"] = [{"uri": f"s3://{bucket}/{PICTURE_PREFIX}{name}"} for name in names]
    said = " / ".join(post[field] for field in ("text", "response") if field in post)
    shown = " ".join([said, *(f"[{name}]" for name in names)]).strip()
    modality = "text" if not names else "text-image" if said else "image"
    return Sample(post["post_id"], json.dumps(post, ensure_ascii=False).encode(), modality, shown)
