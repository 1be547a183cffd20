"""Posts a second of one engine: fed offline with all requests at once, and behind the worker on Kafka and S3."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks.contenders import PROGUARD, Ground, start
from benchmarks.measure import GroupWatch, drain
from benchmarks.topics import create_stream
from proguard_core.guards.factory import create
from proguard_core.guards.protocol import GuardOptions, GuardRequest
from proguard_core.policy.loader import load_policy
from tests.support.engine_posts import EnginePosts
from tests.support.kafka_cluster import KafkaCluster
from tests.support.processes import tail
from tests.support.s3_server import S3Server
from tests.support.topics import TopicNames, read_topic

# More than an engine has places for, so that a batch that ends late leaves none of them empty.
BATCH, IN_FLIGHT = 8, 16
_WARM = 0.1
_STREAM_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class EngineUnderTest:
    """An engine as both ways are given it. forget: makes it forget what it cached, so that both begin alike."""

    engine: str
    model: str
    base_urls: tuple[str, ...]
    forget: Callable[[], None]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def section(self) -> dict[str, Any]:
        """The worker's `[guard]`. A batch waits for its slowest, and the engine is busy: patience is long."""
        urls = list(self.base_urls)
        return {"engine": self.engine, "model": self.model, "base_urls": urls, "settings": self.settings, **_PATIENT}


_PATIENT = {"timeout_s": 600.0}


@dataclass(frozen=True, slots=True)
class Rates:
    """Posts a second, and outcomes as counted on the verdicts topic."""

    offline: float
    stream: float
    outcomes: dict[str, int]

    @property
    def ratio(self) -> float:
        """How much of the engine the stream lets through."""
        return self.stream / self.offline


def offline_rate(engine: EngineUnderTest, posts: EnginePosts) -> float:
    """All requests handed to the guard in this process, in batches as the worker's but all at once."""
    engine.forget()
    return asyncio.run(_offline(engine, posts))


async def _offline(engine: EngineUnderTest, posts: EnginePosts) -> float:
    options = GuardOptions(engine.model, engine.base_urls, dict(engine.settings))
    guard = create(engine.engine, options, load_policy())
    await guard.start()
    try:
        requests = posts.requests(guard.limits)
        batches = [requests[at : at + BATCH] for at in range(0, len(requests), BATCH)]
        ended: list[tuple[float, int]] = []

        async def one(batch: Sequence[GuardRequest]) -> None:
            await guard.judge(batch)
            ended.append((time.monotonic(), len(batch)))

        await asyncio.gather(*(one(batch) for batch in batches))
    finally:
        await guard.close()
    return _rate(ended, len(requests))


def _rate(ended: list[tuple[float, int]], total: int) -> float:
    """Between a tenth and the end, as for the stream."""
    done, first = 0, 0
    since: float | None = None
    for at, count in ended:
        done += count
        if since is None and done >= total * _WARM:
            since, first = at, done
    if since is None or done != total:
        raise RuntimeError(f"{done} of {total} requests were answered")
    return (done - first) / (ended[-1][0] - since)


def stream_rate(
    engine: EngineUnderTest, posts: EnginePosts, cluster: KafkaCluster, server: S3Server, directory: Path
) -> tuple[float, dict[str, int]]:
    """A backlog of the same posts drained by `proguard moderate`; the rate of commits, and counts of outcomes."""
    engine.forget()
    topics = create_stream(cluster.client_config(), f"engines-{uuid.uuid4().hex[:8]}")
    posts.lay_down(cluster.client_config(), topics.posts, server)
    settings = {
        "guard": engine.section,
        "batching": {"max_posts": BATCH, "in_flight": IN_FLIGHT},
        "objects": {"endpoint_url": server.endpoint_url, "buckets": [posts.bucket]},
        # A model without training says nothing that can be parsed.
        "breaker": {"enabled": False},
    }
    ground = Ground(
        cluster.bootstrap_servers, topics, topics.posts, directory, settings, environment=server.environment
    )
    watch = GroupWatch(cluster.client_config(), topics.posts, topics.posts)
    child = start(PROGUARD, ground)
    try:
        rate = drain(watch, [child.pid], lambda: child.returncode is None, len(posts.posts), _STREAM_TIMEOUT_S)
    except RuntimeError as error:
        raise RuntimeError(tail(directory / f"{topics.posts}-0.log")) from error
    finally:
        child.stop()
        watch.close()
    return rate.posts_per_second, _outcomes(cluster, topics, len(posts.posts))


def _outcomes(cluster: KafkaCluster, topics: TopicNames, expected: int) -> dict[str, int]:
    """What a read_committed reader counts; RuntimeError unless each post has its verdict and none a dead letter."""
    found: dict[str, int] = {}
    for message in read_topic(cluster.client_config(), topics.verdicts):
        said = orjson.loads(message.value() or b"{}")
        name = said["outcome"] + (f" ({said['reason']})" if said.get("reason") else "")
        found[name] = found.get(name, 0) + 1
    dead = len(read_topic(cluster.client_config(), topics.dead_letters))
    if sum(found.values()) != expected or dead:
        raise RuntimeError(f"{expected} posts got {json.dumps(found)} and {dead} dead letters")
    return found
