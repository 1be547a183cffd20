"""Fixtures of streams on the real broker."""

from pathlib import Path

import pytest

from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames


@pytest.fixture(params=["classic", "consumer"])
def stream(
    request: pytest.FixtureRequest, kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames, tmp_path: Path
) -> StreamUnderTest:
    """Four partitions a topic; the same test on both group protocols."""
    return StreamUnderTest(kafka.client_config(), topic_names, tmp_path, request.param).create()


@pytest.fixture
def plain_stream(kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames, tmp_path: Path) -> StreamUnderTest:
    """For what does not depend on the group protocol."""
    return StreamUnderTest(kafka.client_config(), topic_names, tmp_path).create()
