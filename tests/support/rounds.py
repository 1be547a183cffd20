"""Rounds of the loop as processes, on a real broker and a real S3, with hits and reviews written by the test."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson

from schemas.retraining_hit import RetrainingHit
from schemas.review import Decision, Review
from tests.support.command_line import overrides_for
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import committed, produce
from tests.unit.dataset.builders import BEGAN, hit
from worker.local import emerging

CATEGORY = emerging.category()
PATIENCE_S = 900.0


@dataclass
class Rounds:
    """`proguard retrain` with topics and a prefix of its own. endpoint_url: the server's, or a way to it."""

    stream: StreamUnderTest
    bucket: str
    endpoint_url: str
    prefix: str = "guards"
    settings: dict[str, Any] = field(default_factory=dict)

    def tables(self) -> dict[str, dict[str, Any]]:
        """The settings, nested."""
        retraining = {
            "registry": f"s3://{self.bucket}/{self.prefix}",
            "group_id": f"{self.stream.topics.posts}.retraining.{self.prefix}",
            "min_new": 20,
            **self.settings,
        }
        objects = {"endpoint_url": self.endpoint_url, "region": "us-east-1"}
        guard = {"engine": "embedded"}
        return overrides_for(
            self.stream.config, self.stream.topics, objects=objects, guard=guard, retraining=retraining
        )

    def variables(self) -> dict[str, str]:
        """The environment of a round."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PROGUARD_", "AWS_"))}
        given = {
            f"PROGUARD_{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
            for section, table in self.tables().items()
            for key, value in table.items()
        }
        keys = {"AWS_ACCESS_KEY_ID": S3Server.access_key, "AWS_SECRET_ACCESS_KEY": S3Server.secret_key}
        return {**inherited, **given, **keys, "PROGUARD_TELEMETRY__PORT": "0"}

    def start(self, *arguments: str, before: Sequence[str] = (), **variables: str) -> subprocess.Popen[str]:
        """The command as a process. before: words in front of it, as of `unshare`."""
        command = [*before, sys.executable, "-m", "worker.cli", "retrain", *(arguments or ("--once",))]
        return subprocess.Popen(
            command,
            env={**self.variables(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0, before: Sequence[str] = (), **variables: str) -> dict[str, Any]:
        """To its end: what it said last, or under `said` why it failed."""
        return ended(self.start(*arguments, before=before, **variables), code)

    def hits(self, hits: Iterable[RetrainingHit]) -> None:
        """Written to their topic, keyed as the worker does."""
        records = [(each.post_id.encode(), orjson.dumps(each.model_dump(mode="json"))) for each in hits]
        produce(self.stream.config, self.stream.topics.retraining, records)

    def reviews(self, reviews: Iterable[Review]) -> None:
        """Written to theirs."""
        records = [(each.review_id.encode(), orjson.dumps(each.model_dump(mode="json"))) for each in reviews]
        produce(self.stream.config, self.stream.topics.reviews, records)

    def committed(self) -> dict[tuple[str, int], int]:
        """Where the group says that learning ended; only what was committed."""
        topics = (self.stream.topics.retraining, self.stream.topics.reviews)
        group = self.tables()["retraining"]["group_id"]
        found = committed(self.stream.config, group, topics)
        return {place: offset for place, offset in found.items() if offset >= 0}


def ended(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    """Wait for it; the last line that it said, and what came to stderr as `errors`; as `said` too where it failed."""
    try:
        out, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
    assert process.returncode == code, errors
    assert "Traceback" not in errors, errors
    last: dict[str, Any] = json.loads(out.splitlines()[-1]) if code == 0 else {}
    return {"said": errors, **last, "errors": errors}


def novel_hits(count: int, seed: int = 1, authors: int | None = None) -> list[RetrainingHit]:
    """Posts about match fixing, a minute apart, of as many authors as posts unless said otherwise."""
    return [
        hit(f"post-{at}", text, author=f"author-{at % (authors or count)}").model_copy(
            update={"observed_at": BEGAN + timedelta(minutes=at)}
        )
        for at, text in enumerate(emerging.texts(emerging.POSTS, count, seed))
    ]


def confirmations(hits: Iterable[RetrainingHit], *reviewers: str, name: str = CATEGORY.name) -> list[Review]:
    """Every post confirmed under the name by each of them."""
    return [
        Review(
            review_id=f"{reviewer} {each.post_id}",
            post=each.post_id,
            decision=Decision.CONFIRM,
            name=name,
            reviewer=reviewer,
            reviewed_at=BEGAN,
        )
        for reviewer in reviewers
        for each in hits
    ]
