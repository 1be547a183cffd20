"""`proguard dead-letters inspect | replay` on the real broker."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from proguard_core.policy.loader import load_policy
from schemas.common import DeadLetterReason, Stage
from tests.support.command_line import overrides_for, proguard
from tests.support.fixtures import ForeignKafka
from tests.support.kafka_cluster import ClientConfig, KafkaCluster
from tests.support.topics import TopicNames, create_topics, read_topic
from worker.moderation.decode import NotAPost
from worker.moderation.outcome import OutcomeWriter
from worker.settings import TopicSettings

Broker = KafkaCluster | ForeignKafka

_REFUSED: list[tuple[bytes | None, bytes | None, DeadLetterReason, Stage]] = [
    (b"a", b"not json", DeadLetterReason.NOT_JSON, Stage.DECODE),
    (b"\xff\x00", b"\xff\xfe \x1b[31mred", DeadLetterReason.NOT_UTF8, Stage.DECODE),
    (b"c", b'{"post_id": 3}', DeadLetterReason.INVALID, Stage.VALIDATE),
    (None, None, DeadLetterReason.NULL_KEY_AND_VALUE, Stage.ERASE),
]


@pytest.fixture
def given(kafka: Broker, topic_names: TopicNames) -> dict[str, dict[str, Any]]:
    """Settings of the tools; the dead-letter topic holds what the worker would have written."""
    create_topics(kafka.client_config(), topic_names.all(), partitions=2)
    write_dead_letters(kafka.client_config(), topic_names, abort=True)
    write_dead_letters(kafka.client_config(), topic_names, abort=False)
    return overrides_for(kafka.client_config(), topic_names)


def write_dead_letters(config: ClientConfig, names: TopicNames, abort: bool) -> None:
    topics = TopicSettings(posts=names.posts, dead_letters=names.dead_letters)
    writer = OutcomeWriter(topics, load_policy(), "group", 1_000_000)
    producer = Producer({**config, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number, (key, value, reason, stage) in enumerate(_REFUSED):
        why = NotAPost(stage, reason, "what is wrong")
        own: list[tuple[str, str | bytes | None]] = [("trace", b"42"), ("twice", b"1"), ("twice", b"2")]
        outcome = writer.dead_letter((names.posts, 1, 100 + number), key, value, own, why)
        for topic, out_key, out_value, headers in outcome.records:
            producer.produce(topic, value=out_value, key=out_key, headers=list(headers), partition=0)
    producer.flush(30)
    (producer.abort_transaction if abort else producer.commit_transaction)(30)


def rows(given: dict[str, dict[str, Any]], *arguments: str) -> list[dict[str, Any]]:
    done = proguard(given, "dead-letters", "inspect", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_inspect_lists_committed_dead_letters_without_their_content(
    given: dict[str, dict[str, Any]], topic_names: TopicNames
) -> None:
    found = rows(given)
    assert [row["reason"] for row in found] == [str(reason) for *_, reason, _ in _REFUSED]
    assert [row["source"] for row in found] == [f"{topic_names.posts}:1:{100 + number}" for number in range(4)]
    assert [row["value_bytes"] for row in found] == [None if value is None else len(value) for _, value, *_ in _REFUSED]
    assert all("value" not in row for row in found)


def test_shown_values_cannot_play_tricks(given: dict[str, dict[str, Any]]) -> None:
    [row] = rows(given, "--reason", "not_utf8", "--show-value")
    assert row["value"] == r"\xff\xfe \x1b[31mred"
    assert row["key"] == r"\xff\x00"


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--reason", "not_json", "--reason", "invalid"], 2),
        (["--stage", "erase"], 1),
        (["--partition", "0"], 0),
        (["--partition", "1", "--offsets", "101:102"], 2),
        (["--key", "c"], 1),
        (["--until", "2020-01-01T00:00:00Z"], 0),
        (["--since", "2020-01-01T00:00:00Z", "--limit", "3"], 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_filters(given: dict[str, dict[str, Any]], arguments: list[str], count: int) -> None:
    assert len(rows(given, *arguments)) == count


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in message.headers() or ()]  # type: ignore[str-unpack, misc]


def test_replay_gives_back_key_value_and_headers_and_marks_them(
    given: dict[str, dict[str, Any]], kafka: Broker, topic_names: TopicNames
) -> None:
    places = [row["dead_letter"] for row in rows(given)]
    done = proguard(given, "dead-letters", "replay")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"4 dead letters sent to {topic_names.posts}, 0 failed\n"
    replayed = read_topic(kafka.client_config(), topic_names.posts)
    assert {(message.key(), message.value()) for message in replayed} == {(key, value) for key, value, *_ in _REFUSED}
    for message in replayed:
        *own, (mark, place) = headers_of(message)
        assert own == [("trace", b"42"), ("twice", b"1"), ("twice", b"2")]
        assert mark == "proguard.replayed-from"
        assert place.decode() in places
    assert len({headers_of(message)[-1][1] for message in replayed}) == 4


def test_a_dry_run_sends_nothing(given: dict[str, dict[str, Any]], kafka: Broker, topic_names: TopicNames) -> None:
    done = proguard(given, "dead-letters", "replay", "--dry-run", "--stage", "decode")
    assert (done.returncode, done.stdout) == (0, f"2 dead letters would be sent to {topic_names.posts}\n")
    assert read_topic(kafka.client_config(), topic_names.posts) == []


def test_replay_of_a_part(given: dict[str, dict[str, Any]], kafka: Broker, topic_names: TopicNames) -> None:
    assert proguard(given, "dead-letters", "replay", "--reason", "invalid").returncode == 0
    assert [message.value() for message in read_topic(kafka.client_config(), topic_names.posts)] == [b'{"post_id": 3}']


def test_a_topic_that_is_not_there_is_78(kafka: Broker, topic_names: TopicNames, tmp_path: Path) -> None:
    done = proguard(overrides_for(kafka.client_config(), topic_names), "dead-letters", "inspect")
    assert done.returncode == 78
    assert topic_names.dead_letters in done.stderr
