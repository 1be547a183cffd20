"""`proguard send` on the real broker and the real S3."""

import base64
import hashlib
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import overrides_for, proguard
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.topics import TopicNames, create_topics, read_topic

Broker = KafkaCluster | ForeignKafka


@pytest.fixture
def given(kafka: Broker, topic_names: TopicNames, s3: S3Server) -> dict[str, dict[str, Any]]:
    create_topics(kafka.client_config(), topic_names.all(), partitions=3)
    return overrides_for(kafka.client_config(), topic_names, objects={"endpoint_url": s3.endpoint_url})


def write(folder: Path, posts: list[Any]) -> str:
    file = folder / "posts.jsonl"
    file.write_text("".join((post if isinstance(post, str) else json.dumps(post)) + "\n" for post in posts))
    return str(file)


def test_posts_go_to_kafka_and_their_pictures_to_s3(
    given: dict[str, dict[str, Any]], kafka: Broker, topic_names: TopicNames, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "cat.JPG").write_bytes(b"a cat")
    posts = [
        {"post_id": "text", "text": "héllo", "more": {"kept": 1}},
        {"post_id": "path", "images": [{"path": "cat.JPG"}]},
        {"post_id": "uri", "images": [{"uri": "cat.JPG"}, {"uri": "s3://elsewhere/dog.png"}]},
    ]
    done = proguard(given, "send", write(tmp_path, posts), "--bucket", bucket, environment=s3.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"3 posts sent to {topic_names.posts}, 1 pictures uploaded, 0 refused\n"
    uri = f"s3://{bucket}/{hashlib.sha256(b'a cat').hexdigest()}.jpg"
    sent = {
        message.key(): json.loads(message.value() or b"")
        for message in read_topic(kafka.client_config(), topic_names.posts)
    }
    assert sent == {
        b"text": posts[0],
        b"path": {"post_id": "path", "images": [{"uri": uri}]},
        b"uri": {"post_id": "uri", "images": [{"uri": uri}, {"uri": "s3://elsewhere/dog.png"}]},
    }
    assert s3.client().get_object(Bucket=bucket, Key=uri.rpartition("/")[2])["Body"].read() == b"a cat"


def test_what_is_no_post_is_named_and_not_sent(
    given: dict[str, dict[str, Any]], kafka: Broker, topic_names: TopicNames, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    outside = {"post_id": "out", "images": [{"path": "../../secret.png"}]}
    posts = ["secret words", {"post_id": "ok", "text": "x"}, {"post_id": "empty"}, outside]
    file = write(tmp_path, posts)
    done = proguard(given, "send", file, "--bucket", bucket, environment=s3.environment)
    assert done.returncode == 1
    for number in (1, 3, 4):
        assert f"{file}:{number}: " in done.stderr
    assert "secret words" not in done.stderr
    assert [message.key() for message in read_topic(kafka.client_config(), topic_names.posts)] == [b"ok"]


def test_raw_sends_every_line_as_it_is(
    given: dict[str, dict[str, Any]], kafka: Broker, topic_names: TopicNames, tmp_path: Path
) -> None:
    done = proguard(given, "send", "--raw", write(tmp_path, ["not json", '{"post_id":"empty"}', '{"post_id": 3}']))
    assert done.returncode == 0, done.stderr
    sent = {(message.key(), message.value()) for message in read_topic(kafka.client_config(), topic_names.posts)}
    assert sent == {(None, b"not json"), (b"empty", b'{"post_id":"empty"}'), (None, b'{"post_id": 3}')}


def test_a_post_that_the_topic_does_not_take_is_named_and_the_others_go(
    given: dict[str, dict[str, Any]], kafka: Broker, topic_names: TopicNames, tmp_path: Path
) -> None:
    # Text that does not pack: the broker's limit is on packed sizes.
    big = base64.b64encode(random.Random(1).randbytes(1_200_000)).decode()
    posts = [{"post_id": "a", "text": "x"}, {"post_id": "big", "text": big}, {"post_id": "b", "text": "x"}]
    file = write(tmp_path, posts)
    done = proguard(given, "send", file)
    assert done.returncode == 1
    assert f"{file}:2: " in done.stderr
    assert {message.key() for message in read_topic(kafka.client_config(), topic_names.posts)} == {b"a", b"b"}


def test_a_rate_is_kept(given: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    file = write(tmp_path, [{"post_id": str(number), "text": "x"} for number in range(40)])
    started = time.monotonic()
    assert proguard(given, "send", file, "--rate", "20").returncode == 0
    assert time.monotonic() - started >= 1.9


def test_a_topic_that_is_not_there_is_78(kafka: Broker, topic_names: TopicNames, tmp_path: Path) -> None:
    given = overrides_for(kafka.client_config(), topic_names)
    done = proguard(given, "send", write(tmp_path, [{"post_id": "a", "text": "x"}]))
    assert done.returncode == 78
    assert topic_names.posts in done.stderr


def test_a_picture_without_a_bucket_is_refused(given: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"a cat")
    done = proguard(given, "send", write(tmp_path, [{"post_id": "a", "images": [{"path": "cat.jpg"}]}]))
    assert done.returncode == 1
    assert "--bucket" in done.stderr
