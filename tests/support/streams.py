"""One worker's surroundings in a test: topics on the real broker, posts, a worker, and what came out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.support.kafka_cluster import ClientConfig
from tests.support.topics import TopicNames, committed, create_topics, produce
from tests.support.verdicts import Found, find, wait_for
from tests.support.worker_process import WorkerProcess

# What `topics create` grants beyond a post.
ENVELOPE_BYTES = 64 * 1024
POSTS_MAX_BYTES = 1_048_588


@dataclass(slots=True)
class StreamUnderTest:
    """Topics exist; workers and posts come and go."""

    config: ClientConfig
    topics: TopicNames
    directory: Path
    group_protocol: str = "classic"
    environment: Mapping[str, str] | None = None

    def create(self, partitions: int = 4, posts_max_bytes: int = POSTS_MAX_BYTES) -> "StreamUnderTest":
        """Make the six topics."""
        create_topics(self.config, [self.topics.posts], partitions, max_message_bytes=str(posts_max_bytes))
        outcomes = [name for name in self.topics.all() if name != self.topics.posts]
        create_topics(self.config, outcomes, partitions, max_message_bytes=str(posts_max_bytes + ENVELOPE_BYTES))
        return self

    def send(self, *posts: Mapping[str, Any], partition: int = -1) -> None:
        """Write posts, keyed by their id."""
        self.send_raw([(str(post["post_id"]).encode(), orjson.dumps(post)) for post in posts], partition)

    def send_raw(self, records: Iterable[tuple[bytes | None, bytes | None]], partition: int = -1) -> None:
        """Write keys and values as they are."""
        produce(self.config, self.topics.posts, records, partition)

    def worker(self, slot: int = 0, **sections: dict[str, Any]) -> WorkerProcess:
        """A worker that is not started yet; sections as in the settings."""
        kafka = {"group_protocol": self.group_protocol, **sections.pop("kafka", {})}
        guard = sections.pop("guard", {})
        settings = {"kafka": kafka, "guard": guard, **sections}
        servers = str(self.config["bootstrap.servers"])
        return WorkerProcess(self.directory, servers, self.topics, slot, settings, dict(self.environment or {}))

    def committed(self) -> dict[int, int]:
        """By partition, where the group goes on; those without a place are left out."""
        topic = self.topics.posts
        found = committed(self.config, topic, [topic])  # the workers' group has the topic's name
        return {partition: offset for (_, partition), offset in found.items() if offset >= 0}

    def found(self) -> Found:
        """What a reader sees now."""
        return find(self.config, self.topics)

    def wait(self, enough: Callable[[Found], object], timeout_s: float = 45) -> Found:
        """Until enough is there."""
        return wait_for(self.config, self.topics, enough, timeout_s)

    def answers(self, count: int, timeout_s: float = 45) -> Found:
        """Until `count` source offsets are answered, and each once."""
        found = self.wait(lambda found: len(found.sources()) >= count, timeout_s)
        assert set(found.sources().values()) == {1}
        assert len(found.sources()) == count
        assert found.reordered() == []
        return found


def text_post(number: int, text: str | None = None) -> dict[str, Any]:
    """A small post."""
    return {"post_id": f"post-{number}", "author_id": "author", "text": text or f"post number {number}"}
