"""Must show: `proguard moderate` on a real Kafka and a real S3, with vLLM's server killed and started in mid-stream."""

import time
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.engine_posts import engine_posts
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames
from tests.support.verdicts import Found
from tests.support.vllm_server import SERVED_NAME, VllmServer

_THIRD = 167
_TIMEOUT_S = 900
_PATIENT = {"request_timeout_s": 120.0, "connect_timeout_s": 60.0}


@pytest.fixture
def stream(
    kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames, tmp_path: Path, s3: S3Server
) -> StreamUnderTest:
    return StreamUnderTest(kafka.client_config(), topic_names, tmp_path, environment=s3.environment).create()


@pytest.mark.timeout(1800)
def test_a_server_killed_and_started_again_loses_nothing_and_makes_nothing_safe(
    stream: StreamUnderTest, s3: S3Server, server: VllmServer, adapters: Path, tmp_path: Path
) -> None:
    """An adapter is swapped in, then the server dies and comes back without it.

    The weights are random: this model never says safe, so a safe verdict could only be one by default.
    """
    posts = engine_posts(stream.topics.posts, 3 * _THIRD, seed=1)
    posts.store(s3)
    wanted = tmp_path / "revision"
    settings = {"output_cap": 48, "structured_retry": False, "adapters": str(adapters.parent), **_PATIENT}
    engine = {"engine": "openai", "model": SERVED_NAME, "base_urls": [server.base_url], "settings": settings}
    objects = {"endpoint_url": s3.endpoint_url, "buckets": [posts.bucket]}
    guard = {**engine, "revision_file": str(wanted), "timeout_s": 150.0}
    with stream.worker(guard=guard, objects=objects, breaker={"enabled": False}) as worker:
        stream.send(*posts.posts[:_THIRD])
        stream.wait(lambda found: len(found.verdicts) > 0, _TIMEOUT_S)
        wanted.write_text(adapters.name)
        worker.wait_for_log(f"the guard serves {adapters.name}-", 120)
        stream.send(*posts.posts[_THIRD : 2 * _THIRD])
        stream.wait(lambda found: len(_revisions(found)) == 2, _TIMEOUT_S)
        server.kill()
        stream.send(*posts.posts[2 * _THIRD :])
        worker.wait_for_log("guard is down", 120)
        time.sleep(2)
        before = len(stream.found().verdicts)
        server.launch()
        time.sleep(5)
        assert len(stream.found().verdicts) == before < 3 * _THIRD
        server.wait_ready()
        found = stream.answers(3 * _THIRD, _TIMEOUT_S)
        assert server.log_file.read_text().count(f"Loaded new LoRA adapter: name '{adapters.name}-") == 2
        assert worker.terminate() == 0
    assert found.dead_letters == []
    outcomes = Counter((verdict["outcome"], verdict["reason"]) for verdict in found.verdicts)
    assert outcomes == {("undetermined", "unparseable"): 3 * _THIRD}
    assert {verdict["modality"] for verdict in found.verdicts} == {"text", "image", "text-image"}
    assert {verdict["post_id"] for verdict in found.verdicts} == {post["post_id"] for post in posts.posts}
    assert _changes(found) == dict.fromkeys(range(4), 1)


def _revisions(found: Found) -> set[str]:
    return {verdict["guard"]["revision"] for verdict in found.verdicts}


def _changes(found: Found) -> dict[int, int]:
    """How often the revision changes along each partition of the posts."""
    judged: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for verdict in found.verdicts:
        source = verdict["source"]
        judged[source["partition"]].append((source["offset"], verdict["guard"]["revision"]))
    return {
        partition: sum(before != after for (_, before), (_, after) in pairwise(sorted(pairs)))
        for partition, pairs in judged.items()
    }
