"""The loop around a real broker and a real S3: a worker that follows, posts, reviews and `proguard retrain`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tests.support.command_line import proguard
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import produce, read_topic

PATIENCE_S = 240.0


@dataclass
class Circle:
    """A stream with a worker that follows, and the loop's command under the same settings."""

    stream: StreamUnderTest
    sections: dict[str, dict[str, Any]]
    environment: Mapping[str, str]
    s3: S3Server
    bucket: str

    def retrain(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """`proguard retrain ARGUMENTS`; the lines that it says."""
        settings = self.stream.worker(0, **self.sections).settings
        done = proguard(settings, "retrain", *arguments, environment=self.environment)
        assert done.returncode == code, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()] if code == 0 else [{"said": done.stderr}]

    def killed_after(self, step: str) -> None:
        """The same, killed as soon as the step's record is there."""
        log = self.stream.directory / f"killed-after-{step}.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "retrain", "--once"],
                env=self.variables(),
                stdout=said,
                stderr=said,
            )
        until = time.monotonic() + PATIENCE_S
        while process.poll() is None and not self.keys(f"/{step}.json") and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert self.keys(f"/{step}.json"), f"{step} was not reached: {log.read_text()}"

    def variables(self) -> dict[str, str]:
        """What a process of the loop has in its environment."""
        settings = self.stream.worker(0, **self.sections).settings
        given = {
            f"PROGUARD_{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
            for section, table in settings.items()
            for key, value in table.items()
        }
        return {**os.environ, **given, **self.environment}

    def keys(self, ending: str) -> list[str]:
        """Of the runs, but for the release's."""
        listed = self.s3.client().list_objects_v2(Bucket=self.bucket, Prefix="guards/runs/").get("Contents", [])
        return [each["Key"] for each in listed if each["Key"].endswith(ending) and "/release-" not in each["Key"]]

    def body(self, key: str) -> bytes:
        """Of an object."""
        return self.s3.client().get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def judged(self, prefix: str, texts: Iterable[str]) -> list[dict[str, Any]]:
        """Verdicts of new posts, an author each."""
        posts = [
            {"post_id": f"{prefix}-{at}", "author_id": f"{prefix}-author-{at}", "text": text}
            for at, text in enumerate(texts)
        ]
        self.stream.send(*posts)
        wanted = {str(post["post_id"]) for post in posts}
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = {each["post_id"]: each for each in self.read(self.stream.topics.verdicts)}
            if wanted <= found.keys():
                return [found[post_id] for post_id in sorted(wanted)]
            time.sleep(0.3)
        raise AssertionError("not all posts were answered")

    def read(self, topic: str) -> list[dict[str, Any]]:
        return [
            orjson.loads(value)
            for message in read_topic(self.stream.config, topic)
            if (value := message.value()) is not None
        ]

    def review(self, post_ids: Iterable[str], reviewers: Iterable[str], **decision: Any) -> None:
        reviews = [
            {
                "schema_version": "1",
                "review_id": f"{reviewer}-{post_id}",
                "post": post_id,
                "reviewer": reviewer,
                "reviewed_at": datetime.now(UTC).isoformat(),
                **decision,
            }
            for post_id in post_ids
            for reviewer in reviewers
        ]
        produce(
            self.stream.config,
            self.stream.topics.reviews,
            [(str(each["review_id"]).encode(), orjson.dumps(each)) for each in reviews],
        )

    def review_cluster(self, cluster: str, post_ids: Iterable[str], reviewers: Iterable[str], **decision: Any) -> None:
        """One record a reviewer, which names the posts, as the console's do."""
        posts = list(post_ids)
        for reviewer in reviewers:
            self.review([cluster], [reviewer], **decision, post=None, cluster=cluster, posts=posts)

    def until_served(self, revision: str) -> None:
        """Wait until a verdict names it."""
        until = time.monotonic() + PATIENCE_S
        for at in range(1000):
            (verdict,) = self.judged(f"probe-{revision}-{at}", ["The bakery opens at eight."])
            if verdict["guard"]["revision"].startswith(revision):
                return
            assert time.monotonic() < until, verdict["guard"]
            time.sleep(0.5)


def circle_on(stream: StreamUnderTest, s3: S3Server, bucket: str, folder: Path) -> Circle:
    """On topics that exist and an empty bucket."""
    keys = {"AWS_ACCESS_KEY_ID": S3Server.access_key, "AWS_SECRET_ACCESS_KEY": S3Server.secret_key}
    stream.environment = keys
    sections: dict[str, dict[str, Any]] = {
        "guard": {
            "engine": "embedded",
            "settings": {"adapters": str(folder / "adapters")},
            "revision_file": str(folder / "revision"),
        },
        "objects": {"endpoint_url": s3.endpoint_url, "region": "us-east-1"},
        "retraining": {
            "registry": f"s3://{bucket}/guards",
            "follow": True,
            "follow_every_s": 0.5,
            "group_id": f"retraining-{bucket}",
            "min_new": 30,
        },
    }
    return Circle(stream, sections, keys, s3, bucket)
