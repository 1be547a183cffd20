"""`proguard topics create | show` on the real broker."""

import json

from confluent_kafka.admin import AdminClient

from tests.support.command_line import overrides_for, proguard, settings_for
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import KafkaCluster
from tests.support.topics import TopicNames, create_topics
from worker import topics
from worker.moderation.client_config import OUTCOME_ENVELOPE_BYTES

Broker = KafkaCluster | ForeignKafka


def states_of(broker: Broker, names: TopicNames) -> dict[str, topics.TopicState]:
    config = broker.client_config()
    states = topics.look(AdminClient(config), settings_for(config, names))
    return {state.plan.role: state for state in states}


def test_created_topics_are_what_the_worker_needs(kafka: Broker, topic_names: TopicNames) -> None:
    done = proguard(overrides_for(kafka.client_config(), topic_names), "topics", "create")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"created  {name}" for name in topic_names.all()]
    states = states_of(kafka, topic_names)
    assert states["posts"].partitions == 12
    largest = states["posts"].max_bytes or 0
    for role in ("dead_letters", "retraining"):
        assert states[role].max_bytes == largest + OUTCOME_ENVELOPE_BYTES
    for role in ("verdicts", "risks", "retraining"):
        assert (states[role].settings or {})["cleanup.policy"] == "compact,delete"
    for role in ("risks", "retraining", "dead_letters"):
        assert int((states[role].settings or {})["retention.ms"]) > 0
    assert (states["dead_letters"].settings or {})["retention.ms"] == str(7 * 24 * 3600 * 1000)
    for state in states.values():
        assert topics.errors_of(state, largest) == []
        assert topics.warnings_of(state) == []


def test_a_second_time_changes_nothing(kafka: Broker, topic_names: TopicNames) -> None:
    given = overrides_for(kafka.client_config(), topic_names)
    assert proguard(given, "topics", "create", "--partitions", "2").returncode == 0
    before = states_of(kafka, topic_names)
    again = proguard(given, "topics", "create", "--partitions", "9")
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == [f"exists   {name}" for name in topic_names.all()]
    assert states_of(kafka, topic_names) == before


def test_outcome_topics_fit_a_posts_topic_that_was_there_before(kafka: Broker, topic_names: TopicNames) -> None:
    create_topics(kafka.client_config(), [topic_names.posts], partitions=1, max_message_bytes="3000000")
    assert proguard(overrides_for(kafka.client_config(), topic_names), "topics", "create").returncode == 0
    states = states_of(kafka, topic_names)
    assert states["posts"].partitions == 1
    assert states["dead_letters"].max_bytes == 3_000_000 + OUTCOME_ENVELOPE_BYTES


def test_replication_follows_the_brokers(kafka_three: KafkaCluster, topic_names: TopicNames) -> None:
    config = kafka_three.client_config()
    assert proguard(overrides_for(config, topic_names), "topics", "create", "--partitions", "3").returncode == 0
    assert {state.replication for state in states_of(kafka_three, topic_names).values()} == {3}


def test_show_names_what_is_wrong(kafka: Broker, topic_names: TopicNames) -> None:
    create_topics(kafka.client_config(), topic_names.all()[:-1], partitions=2)
    done = proguard(overrides_for(kafka.client_config(), topic_names), "topics", "show")
    assert done.returncode == 78
    rows = {row["role"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["dead_letters"]["exists"] is False
    assert rows["posts"]["partitions"] == 2
    assert any("max.message.bytes" in problem for problem in rows["retraining"]["problems"])
    assert any("cleanup.policy" in problem for problem in rows["verdicts"]["problems"])
    assert f"topic {topic_names.dead_letters} (topics.dead_letters) does not exist" in done.stderr


def test_creating_without_the_right_is_78(kafka_secure: KafkaCluster, topic_names: TopicNames) -> None:
    done = proguard(overrides_for(kafka_secure.client_config("worker"), topic_names), "topics", "create")
    assert done.returncode == 78
    assert topic_names.posts in done.stderr
    assert "Traceback" not in done.stderr
