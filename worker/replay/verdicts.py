"""Reads the verdicts of a replay and the live ones, and compares them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from confluent_kafka import Consumer, Message

from worker.replay.comparison import Comparison, Table, said
from worker.replay.ranges import Range, since
from worker.replay.reader import read
from worker.settings import Settings


def compare(
    consumer: Consumer,
    live: Settings,
    replay: Settings,
    ranges: Sequence[Range],
    judged_by: tuple[str, str],
    since_ms: int | None,
    stopped: Callable[[], bool] = lambda: False,
) -> Comparison:
    """The verdicts of this replay against the live ones of the same records.

    judged_by: policy version and the guard's revision in the replay (its name may be that of one stage); what others
    left in its topic is not meant.
    since_ms: live verdicts from this time on are read, None from the beginning. Raises KafkaException and WorkerError.
    """
    posts = live.topics.posts
    table = Table(ranges)
    topic = replay.topics.verdicts
    for verdict in _verdicts(read(consumer, topic, since(consumer, topic, None), stopped), posts):
        if (verdict["policy"]["version"], verdict["guard"]["revision"]) == judged_by:
            table.put(*_place(verdict), said(verdict))
    comparison = Comparison()
    topic = live.topics.verdicts
    for verdict in _verdicts(read(consumer, topic, since(consumer, topic, since_ms), stopped), posts):
        partition, offset = _place(verdict)
        new = table.take(partition, offset)
        if new is not None:
            comparison.add(said(verdict), new, verdict["post_id"], f"{partition}:{offset}")
        if table.filled == 0:
            break
    comparison.without_live = table.filled
    return comparison


def _verdicts(messages: Iterator[Message], posts: str) -> Iterator[dict[str, Any]]:
    """Those that speak of the posts topic, without erasures."""
    for message in messages:
        value = message.value()
        if value is not None:
            verdict = orjson.loads(value)
            if verdict["source"]["topic"] == posts:
                yield verdict


def _place(verdict: dict[str, Any]) -> tuple[int, int]:
    return verdict["source"]["partition"], verdict["source"]["offset"]
