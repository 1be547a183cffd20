"""Everything that can be wrong at start-up is found on the real broker and the real S3, and named."""

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from proguard_core.policy.loader import load_policy
from tests.support.command_line import grant, overrides_for, proguard, settings_for
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import ClientConfig, KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.topics import TopicNames, create_topics
from worker import topics
from worker.errors import ConfigurationError
from worker.local.broker import LocalBroker
from worker.moderation import startup
from worker.moderation.startup import StartupReport

Broker = KafkaCluster | ForeignKafka


def make_topics(broker: Broker, names: TopicNames) -> None:
    settings = settings_for(broker.client_config(), names)
    topics.create(topics.open_admin(settings), settings, partitions=2, replication=1)


def check(config: ClientConfig, names: TopicNames, **sections: dict[str, Any]) -> StartupReport:
    return startup.check(settings_for(config, names, **sections), load_policy())


def test_nothing_is_wrong_with_what_we_create(kafka: Broker, topic_names: TopicNames) -> None:
    make_topics(kafka, topic_names)
    report = check(kafka.client_config(), topic_names)
    assert report.errors == ()
    assert report.posts_max_bytes == 1_048_588
    assert [warning for warning in report.warnings if "objects.buckets" not in warning] == []


@pytest.mark.parametrize("role", ["posts", "verdicts", "risks", "retraining", "reviews", "dead_letters"])
def test_each_missing_topic_is_named_and_not_created(role: str, kafka: Broker, topic_names: TopicNames) -> None:
    missing = getattr(topic_names, role)
    create_topics(kafka.client_config(), [name for name in topic_names.all() if name != missing], partitions=1)
    for _twice in range(2):
        errors = [error for error in check(kafka.client_config(), topic_names).errors if "not exist" in error]
        assert errors == [
            f"topic {missing} (topics.{role}) does not exist: run `proguard topics create`, or correct topics.{role}"
        ]


def test_moderate_ends_with_78_when_a_topic_is_missing(kafka: Broker, topic_names: TopicNames, tmp_path: Path) -> None:
    given = overrides_for(kafka.client_config(), topic_names, kafka={"state_dir": str(tmp_path)})
    done = proguard(given, "moderate")
    assert done.returncode == 78
    assert f"topic {topic_names.posts} (topics.posts) does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dead_letter_topic_that_is_too_small(kafka: Broker, topic_names: TopicNames) -> None:
    create_topics(kafka.client_config(), topic_names.all()[:-1], partitions=1, max_message_bytes="2000000")
    create_topics(kafka.client_config(), [topic_names.dead_letters], partitions=1, max_message_bytes="2065535")
    report = check(kafka.client_config(), topic_names)
    assert report.posts_max_bytes == 2_000_000
    named = [error for error in report.errors if topic_names.dead_letters in error]
    assert len(named) == 1
    assert "max.message.bytes is 2065535" in named[0]
    assert "2065536" in named[0]


_RIGHTS = {
    "posts": (AclOperation.READ,),
    "verdicts": (AclOperation.WRITE,),
    "risks": (AclOperation.WRITE,),
    "retraining": (AclOperation.WRITE,),
    "dead_letters": (AclOperation.WRITE,),
}


def grant_all_but(cluster: KafkaCluster, names: TopicNames, without: str) -> None:
    """Rights of a worker, but for one role (or the group)."""
    for role, operations in _RIGHTS.items():
        wanted = (AclOperation.DESCRIBE,) if role == without else (*operations, AclOperation.DESCRIBE_CONFIGS)
        grant(cluster, ResourceType.TOPIC, getattr(names, role), *wanted)
    grant(cluster, ResourceType.TOPIC, names.reviews, AclOperation.DESCRIBE)
    if without != "group":
        grant(cluster, ResourceType.GROUP, names.posts, AclOperation.READ)


@pytest.mark.parametrize(
    ("without", "right"),
    [("posts", "READ"), ("verdicts", "WRITE"), ("risks", "WRITE"), ("retraining", "WRITE"), ("dead_letters", "WRITE")],
)
def test_each_missing_right_on_a_topic_is_named(
    without: str, right: str, kafka_secure: KafkaCluster, topic_names: TopicNames
) -> None:
    make_topics(kafka_secure, topic_names)
    grant_all_but(kafka_secure, topic_names, without)
    report = check(kafka_secure.client_config("worker"), topic_names)
    name = getattr(topic_names, without)
    assert report.errors == (f"topic {name} (topics.{without}): the principal lacks {right}; grant it on this topic",)
    # Without DESCRIBE_CONFIGS the limits are not known, which is said and no more.
    assert any(name in warning and "DESCRIBE_CONFIGS" in warning for warning in report.warnings)


def test_a_missing_right_on_the_group_is_named(kafka_secure: KafkaCluster, topic_names: TopicNames) -> None:
    make_topics(kafka_secure, topic_names)
    grant_all_but(kafka_secure, topic_names, "group")
    report = check(kafka_secure.client_config("worker"), topic_names)
    assert report.errors == (
        f"group {topic_names.posts} (kafka.group_id): the principal lacks READ; grant it on this group",
    )


def test_no_right_at_all_names_every_topic_and_the_group(kafka_secure: KafkaCluster, topic_names: TopicNames) -> None:
    make_topics(kafka_secure, topic_names)
    errors = check(kafka_secure.client_config("worker"), topic_names).errors
    assert len(errors) == 6
    for name in (*topic_names.all()[:4], topic_names.dead_letters):
        assert any(f"topic {name} " in error and "DESCRIBE" in error for error in errors)


def test_enough_rights_are_enough(kafka_secure: KafkaCluster, topic_names: TopicNames) -> None:
    make_topics(kafka_secure, topic_names)
    grant_all_but(kafka_secure, topic_names, "nothing")
    assert check(kafka_secure.client_config("worker"), topic_names).errors == ()


def test_a_missing_right_on_the_transactional_id_is_78(
    kafka_secure: KafkaCluster, topic_names: TopicNames, tmp_path: Path
) -> None:
    make_topics(kafka_secure, topic_names)
    grant_all_but(kafka_secure, topic_names, "nothing")
    given = overrides_for(kafka_secure.client_config("worker"), topic_names, kafka={"state_dir": str(tmp_path)})
    done = proguard(given, "moderate")
    assert done.returncode == 78
    assert f"refuses transactions of '{topic_names.posts}." in done.stderr
    assert "WRITE and DESCRIBE" in done.stderr


def test_a_wrong_password_is_78_and_never_shown(kafka_secure: KafkaCluster, topic_names: TopicNames) -> None:
    given = overrides_for(kafka_secure.client_config("worker", password="hunter2"), topic_names)
    done = proguard(given, "moderate")
    assert done.returncode == 78
    assert "refuses our login" in done.stderr
    assert "sasl.password" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_certificate_that_is_not_trusted_is_78(
    kafka_secure: KafkaCluster, topic_names: TopicNames, tmp_path: Path
) -> None:
    config = kafka_secure.client_config()
    del config["ssl.ca.location"]
    with pytest.raises(ConfigurationError, match=r"no TLS connection.*certificate verify failed"):
        check(config, topic_names)


def test_a_setting_that_librdkafka_does_not_know_is_78(topic_names: TopicNames) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.such\.setting"):
        check({"bootstrap.servers": "127.0.0.1:1", "no.such.setting": "1"}, topic_names)


def test_a_broker_that_is_not_there_is_waited_for(
    tmp_path: Path, topic_names: TopicNames, caplog: pytest.LogCaptureFixture, kafka: Broker
) -> None:
    cluster = KafkaCluster(tmp_path / "late")
    settings = settings_for(cluster.client_config(), topic_names)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(startup.wait_for_broker(settings, lambda: False)))
    with caplog.at_level(logging.WARNING):
        waiting.start()
        time.sleep(3)
        assert waiting.is_alive()
        assert any(f"waiting for the broker at {cluster.bootstrap_servers}" in line for line in caplog.messages)
        try:
            cluster.start()
            waiting.join(30)
            assert answers == [True]
        finally:
            cluster.stop()


def test_waiting_can_be_stopped(topic_names: TopicNames) -> None:
    settings = settings_for({"bootstrap.servers": "127.0.0.1:1"}, topic_names)
    end = time.monotonic() + 1
    assert startup.wait_for_broker(settings, lambda: time.monotonic() > end) is False


def test_a_login_where_none_is_taken_is_about_the_listener(kafka: Broker, topic_names: TopicNames) -> None:
    login = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-256"}
    config = kafka.client_config() | login | {"sasl.username": "worker", "sasl.password": "a password"}
    with pytest.raises(ConfigurationError, match=r"security\.protocol: this listener takes no login"):
        check(config, topic_names)


def test_a_broker_that_describes_nothing_gives_a_warning(topic_names: TopicNames) -> None:
    with LocalBroker(dict.fromkeys(topic_names.all(), 2)) as broker:
        report = check({"bootstrap.servers": broker.bootstrap_servers}, topic_names)
        assert report.errors == ()
        assert any("does not describe its topics" in warning for warning in report.warnings)
        other = TopicNames.of("elsewhere")
        assert len(check({"bootstrap.servers": broker.bootstrap_servers}, other).errors) == 6


def test_a_skip_entry_of_another_topic_is_an_error(kafka: Broker, topic_names: TopicNames) -> None:
    make_topics(kafka, topic_names)
    skip = [f"{topic_names.posts}:0:1", "elsewhere:0:1"]
    report = check(kafka.client_config(), topic_names, kafka={"skip": skip})
    assert report.errors == (f"kafka.skip: 'elsewhere:0:1' is not of the posts topic {topic_names.posts}",)


@pytest.mark.parametrize(
    ("environment", "bucket_there", "right"),
    [({}, True, True), ({"AWS_SECRET_ACCESS_KEY": "wrong"}, True, False), ({}, False, False)],
    ids=["right", "wrong key", "no such bucket"],
)
def test_s3_is_asked_too(
    environment: dict[str, str],
    bucket_there: bool,
    right: bool,
    kafka: Broker,
    topic_names: TopicNames,
    s3: S3Server,
    bucket: str,
) -> None:
    make_topics(kafka, topic_names)
    name = bucket if bucket_there else "no-such-bucket-anywhere"
    objects = {"endpoint_url": s3.endpoint_url, "buckets": [name]}
    given = overrides_for(kafka.client_config(), topic_names, objects=objects)
    done = proguard(given, "config", "check", "--online", environment={**s3.environment, **environment})
    assert done.returncode == (0 if right else 78), done.stderr
    assert right or name in done.stderr
    assert s3.secret_key not in done.stderr


def test_s3_that_is_down_is_a_warning(
    kafka: Broker, topic_names: TopicNames, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_topics(kafka, topic_names)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    objects = {"endpoint_url": "http://127.0.0.1:1", "buckets": ["pictures"]}
    report = check(kafka.client_config(), topic_names, objects=objects)
    assert report.errors == ()
    assert any("bucket pictures" in warning for warning in report.warnings)
