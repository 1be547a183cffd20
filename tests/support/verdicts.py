"""What an honest reader finds on the outcome topics, and the promises it can check there."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Message

from tests.support.kafka_cluster import ClientConfig
from tests.support.topics import TopicNames, read_topic

Source = tuple[int, int]


@dataclass(slots=True)
class Found:
    """Records of the outcome topics, read committed."""

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    erased: list[bytes | None] = field(default_factory=list)
    risks: list[dict[str, Any]] = field(default_factory=list)
    hits: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[Message] = field(default_factory=list)

    def sources(self) -> Counter[Source]:
        """How many answers each source offset got, verdicts and dead letters together."""
        answered = Counter((each["source"]["partition"], each["source"]["offset"]) for each in self.verdicts)
        for message in self.dead_letters:
            headers = dict(message.headers() or [])
            place = [int(headers[f"__connect.errors.{name}"] or b"") for name in ("partition", "offset")]
            answered[place[0], place[1]] += 1
        return answered

    def by_post(self) -> dict[str, dict[str, Any]]:
        """The last verdict of each post."""
        return {verdict["post_id"]: verdict for verdict in self.verdicts}

    def reordered(self) -> list[str]:
        """In every verdict partition the offsets of each source partition must strictly rise."""
        last: dict[tuple[int, int], int] = {}
        wrong: list[str] = []
        for message in self.messages:
            source = orjson.loads(message.value() or b"")["source"]
            place = (message.partition() or 0, source["partition"])
            if source["offset"] <= last.get(place, -1):
                wrong.append(f"verdict partition {place[0]}, source {source} after {last[place]}")
            last[place] = source["offset"]
        return wrong


def find(config: ClientConfig, topics: TopicNames) -> Found:
    """Everything that a read_committed reader sees now."""
    found = Found()
    for message in read_topic(config, topics.verdicts):
        value = message.value()
        if value is None:
            key = message.key()
            found.erased.append(key.encode() if isinstance(key, str) else key)
        else:
            found.verdicts.append(orjson.loads(value))
            found.messages.append(message)
    found.risks = _values(read_topic(config, topics.risks))
    found.hits = _values(read_topic(config, topics.retraining))
    found.dead_letters = read_topic(config, topics.dead_letters)
    return found


def _values(messages: list[Message]) -> list[dict[str, Any]]:
    return [orjson.loads(value) for message in messages if (value := message.value()) is not None]


def wait_for(
    config: ClientConfig, topics: TopicNames, enough: Callable[[Found], object], timeout_s: float = 60
) -> Found:
    """Read again and again until enough is there; AssertionError with what is there otherwise."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = find(config, topics)
        if enough(found):
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(found.verdicts)} verdicts, {len(found.dead_letters)} dead letters only")
        time.sleep(0.3)
