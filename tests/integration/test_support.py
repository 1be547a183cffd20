"""The tests' own servers keep what the other tests take for granted about them."""

import signal
import uuid
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.topics import TopicNames, create_topics, produce, read_topic


def _records(count: int) -> list[tuple[bytes | None, bytes | None]]:
    return [(b"key-%d" % number, b"value-%d" % number) for number in range(count)]


def test_the_broker_gives_back_what_was_written(kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames) -> None:
    config = kafka.client_config()
    create_topics(config, [topic_names.posts])
    assert produce(config, topic_names.posts, _records(1000)) == 1000
    read = read_topic(config, topic_names.posts)
    assert sorted((message.key(), message.value()) for message in read) == sorted(_records(1000))


def test_only_committed_transactions_are_read(kafka: KafkaCluster | ForeignKafka, topic_names: TopicNames) -> None:
    config = kafka.client_config()
    create_topics(config, [topic_names.verdicts], partitions=1)
    producer = Producer({**config, "transactional.id": f"test-{uuid.uuid4().hex}"})
    producer.init_transactions(30)
    for value, finish in ((b"kept", producer.commit_transaction), (b"dropped", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic_names.verdicts, value=value)
        producer.flush(30)
        finish(30)
    assert [message.value() for message in read_topic(config, topic_names.verdicts)] == [b"kept"]
    everything = read_topic(config, topic_names.verdicts, isolation="read_uncommitted")
    assert [message.value() for message in everything] == [b"kept", b"dropped"]


def test_three_brokers_survive_the_death_of_one(kafka_three: KafkaCluster, topic_names: TopicNames) -> None:
    config = kafka_three.client_config()
    create_topics(config, [topic_names.posts], replicas=3)
    produce(config, topic_names.posts, _records(500))
    kafka_three.kill(2, signal.SIGKILL)
    produce(config, topic_names.posts, _records(500))
    kafka_three.restart(2)
    produce(config, topic_names.posts, _records(500))
    assert len(read_topic(config, topic_names.posts)) == 1500
    assert len(AdminClient(config).list_topics(timeout=10).brokers) == 3


def test_the_secure_broker_knows_its_users(kafka_secure: KafkaCluster, topic_names: TopicNames) -> None:
    create_topics(kafka_secure.client_config(), [topic_names.posts])
    produce(kafka_secure.client_config(), topic_names.posts, _records(10))
    assert len(read_topic(kafka_secure.client_config(), topic_names.posts)) == 10
    seen: list[int] = []
    config: dict[str, Any] = {**kafka_secure.client_config(password="wrong"), "log_level": 0}
    wrong = Producer({**config, "error_cb": lambda error: seen.append(error.code())})
    with pytest.raises(KafkaException):
        wrong.list_topics(timeout=3)
    wrong.poll(0)  # the cause is told to the callback only
    assert KafkaError._AUTHENTICATION in seen


def test_a_user_without_rights_sees_no_topic(kafka_secure: KafkaCluster, topic_names: TopicNames) -> None:
    create_topics(kafka_secure.client_config(), [topic_names.posts])
    answer = AdminClient(kafka_secure.client_config("worker")).list_topics(topic_names.posts, timeout=10)
    error = answer.topics[topic_names.posts].error
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_objects_outlive_a_power_cut(s3: S3Server, bucket: str) -> None:
    client, endpoint = s3.client(), s3.endpoint_url
    client.put_object(Bucket=bucket, Key="folder/picture é.png", Body=b"bytes")
    s3.stop()
    try:
        with pytest.raises(BotoCoreError):
            client.get_object(Bucket=bucket, Key="folder/picture é.png")
    finally:
        s3.start()
    assert s3.endpoint_url == endpoint
    assert client.get_object(Bucket=bucket, Key="folder/picture é.png")["Body"].read() == b"bytes"
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
