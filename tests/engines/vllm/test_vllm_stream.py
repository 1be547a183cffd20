"""Must show: `proguard moderate` with the model in process on a real Kafka and S3, and a LoRA swap in mid-stream."""

from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from tests.engines.vllm.guard import ENVIRONMENT, settings
from tests.support.engine_posts import engine_posts
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames

_POSTS, _BEFORE = 500, 250
_TIMEOUT_S = 900
_PARTITIONS = 4


@pytest.fixture
def stream(
    kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames, tmp_path: Path, s3: S3Server
) -> StreamUnderTest:
    environment = {**s3.environment, **ENVIRONMENT}
    return StreamUnderTest(kafka.client_config(), topic_names, tmp_path, environment=environment).create(_PARTITIONS)


@pytest.mark.timeout(1800)
def test_a_swap_in_mid_stream_loses_no_post_and_changes_the_revision_once_a_partition(
    stream: StreamUnderTest, s3: S3Server, tiny_taught_model: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    posts = engine_posts(stream.topics.posts, _POSTS, seed=2)
    posts.store(s3)
    wanted = tmp_path / "revision"
    wanted.write_text("base\n")
    guard = {
        "engine": "vllm",
        "model": str(tiny_taught_model),
        "revision_file": str(wanted),
        "timeout_s": 300.0,
        "settings": settings(tiny_adapter.parent),
    }
    objects = {"endpoint_url": s3.endpoint_url, "buckets": [posts.bucket]}
    with stream.worker(guard=guard, objects=objects, breaker={"enabled": False}) as worker:
        stream.send(*posts.posts[:_BEFORE])
        stream.wait(lambda found: len(found.verdicts) >= _BEFORE // 2, _TIMEOUT_S)
        wanted.write_text(f"{tiny_adapter.name}\n")
        worker.wait_for_log(f"the guard serves {tiny_adapter.name}-", _TIMEOUT_S)
        # A whole backlog may be under way, and what is under way ends as it began: these come after the swap.
        stream.send(*posts.posts[_BEFORE:])
        found = stream.answers(_POSTS, _TIMEOUT_S)
        assert worker.terminate(120) == 0
    assert found.dead_letters == []
    verdicts = sorted(found.verdicts, key=lambda verdict: (verdict["source"]["partition"], verdict["source"]["offset"]))
    assert Counter(verdict["post_id"] for verdict in verdicts) == {post["post_id"]: 1 for post in posts.posts}
    assert {verdict["modality"] for verdict in verdicts} == {"text", "image", "text-image"}
    for _, partition in groupby(verdicts, key=lambda verdict: verdict["source"]["partition"]):
        revisions = [revision for revision, _ in groupby(verdict["guard"]["revision"] for verdict in partition)]
        assert [revision.startswith(f"{tiny_adapter.name}-") for revision in revisions] == [False, True]
    by_adapter = Counter(
        verdict["outcome"] for verdict in verdicts if verdict["guard"]["revision"].startswith(tiny_adapter.name)
    )
    # The adapter finds everything unsafe: the revision that a verdict names is the one that judged.
    assert by_adapter["safe"] == 0
    assert by_adapter["unsafe"] > 0.9 * by_adapter.total()
