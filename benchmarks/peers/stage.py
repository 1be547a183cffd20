"""The work that every contender does with a post: parse it, answer at once, write a verdict of the worker's size.

Standard library and orjson only: each contender runs it in its own environment. Settings come as JSON in the first
argument of the command line: bootstrap_servers, group, posts, verdicts, commit_interval_s, template, headers.
"""

import json
import sys
from datetime import datetime, timezone

import orjson

SETTINGS = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}

Headers = list[tuple[str, bytes]]


def answer(value: bytes, topic: str, partition: int, offset: int) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the verdict of one post."""
    post = orjson.loads(value)
    identity = f"{topic}-{partition}-{offset}"
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")  # noqa: UP017 - peers' Pythons may be older
    verdict = SETTINGS["template"] | {
        "verdict_id": identity,
        "post_id": post["post_id"],
        "author_id": post["author_id"],
        "source": {"topic": topic, "partition": partition, "offset": offset},
        "judged_at": now,
    }
    changing = {"ce_id": identity, "ce_subject": post["post_id"], "ce_time": now}
    headers = [(name, changing.get(name, content).encode()) for name, content in SETTINGS["headers"]]
    return post["post_id"].encode(), orjson.dumps(verdict), headers
