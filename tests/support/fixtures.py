"""The session's real servers as fixtures. Each starts when the first test asks for it and ends with the session."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.kafka_cluster import ClientConfig, KafkaCluster
from tests.support.kafka_jars import MissingSystemRequirement
from tests.support.postgres import PostgresServer
from tests.support.s3_server import S3Server
from tests.support.topics import TopicNames


@dataclass(frozen=True, slots=True)
class ForeignKafka:
    """A broker that somebody else runs (PROGUARD_TEST_KAFKA); it cannot be killed by a test."""

    bootstrap_servers: str

    def client_config(self) -> ClientConfig:
        """librdkafka settings to connect with."""
        return {"bootstrap.servers": self.bootstrap_servers}


def _started(cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    try:
        cluster.start()
    except MissingSystemRequirement as error:
        pytest.skip(str(error))
    except BaseException:
        cluster.stop()
        raise
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster | ForeignKafka]:
    """One plain broker, shared by all tests: use topic_names and groups of your own, never stop it."""
    if servers := os.environ.get("PROGUARD_TEST_KAFKA"):
        yield ForeignKafka(servers)
    else:
        yield from _started(KafkaCluster(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def kafka_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers for faults: kill and restart them, slow their links, and leave them all running and mended."""
    yield from _started(KafkaCluster(tmp_path_factory.mktemp("kafka-three"), brokers=3, slow_network=True))


@pytest.fixture(scope="session")
def kafka_secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker with TLS, SCRAM and ACLs; client_config("worker") has no right until a test grants it."""
    yield from _started(KafkaCluster(tmp_path_factory.mktemp("kafka-secure"), secure=True))


@pytest.fixture
def topic_names() -> TopicNames:
    """Six topic names that no other test uses; nothing is created."""
    return TopicNames.of(f"test-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server; a test that stops or suspends it starts or resumes it again."""
    with S3Server(tmp_path_factory.mktemp("s3") / "objects") as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL; `new_database` makes an empty one for a test."""
    try:
        server = PostgresServer()
    except MissingSystemRequirement as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A new, empty bucket for one test."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=name)
    return name
