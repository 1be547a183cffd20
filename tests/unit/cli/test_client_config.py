"""Configurations of the Kafka clients: what promises rest on cannot be moved, and librdkafka takes all of it."""

import logging
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from worker.moderation import client_config
from worker.settings import Settings, load


def settings(**kafka: Any) -> Settings:
    return load(None, {"kafka": {"bootstrap_servers": "127.0.0.1:1", **kafka}})


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_takes_them(protocol: str) -> None:
    given = settings(
        group_protocol=protocol,
        client={"session.timeout.ms": "20000", "heartbeat.interval.ms": "2000"},
        consumer={"fetch.wait.max.ms": "10"},
        producer={"linger.ms": "1"},
    )
    quiet = {"log_level": 0}
    Consumer({**client_config.consumer_config(given), **quiet}).close()
    Consumer({**client_config.reader_config(given, "reader"), **quiet}).close()
    Producer({**client_config.producer_config(given, 5_000_000), **quiet})
    Producer({**client_config.loader_config(given, 5_000_000), **quiet})
    AdminClient({**client_config.admin_config(given), **quiet})


def test_the_consumer_keeps_its_promises() -> None:
    config = client_config.consumer_config(settings(group_id="g"))
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["isolation.level"] == "read_committed"
    assert config["auto.offset.reset"] == "error"
    assert config["allow.auto.create.topics"] is False
    assert config["partition.assignment.strategy"] == "cooperative-sticky"
    assert config["group.id"] == "g"


def test_new_groups_have_no_classic_keys() -> None:
    given = settings(group_protocol="consumer", client={"session.timeout.ms": "20000"})
    config = client_config.consumer_config(given)
    assert config["group.protocol"] == "consumer"
    assert not {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"} & config.keys()


def test_exactly_once_is_transactional_and_at_least_once_only_idempotent() -> None:
    config = client_config.producer_config(settings(group_id="g", hostname="h", slot=2), 1000)
    assert (config["transactional.id"], config["transaction.timeout.ms"]) == ("g.h.2", 15_000)
    weaker = client_config.producer_config(settings(delivery="at-least-once"), 1000)
    for each in (config, weaker):
        assert each["enable.idempotence"] is True
        assert each["acks"] == "all"
        assert each["partitioner"] == "murmur2_random"
        assert each["batch.size"] == 1000 + client_config.OUTCOME_ENVELOPE_BYTES
    assert "transactional.id" not in weaker


def test_buffers_are_bounded_and_may_be_changed() -> None:
    config = client_config.consumer_config(settings())
    assert config["queued.max.messages.kbytes"] == client_config.QUEUED_MAX_KIBIBYTES
    assert config["fetch.max.bytes"] == client_config.FETCH_MAX_BYTES
    changed = client_config.consumer_config(
        settings(client={"fetch.max.bytes": "1"}, consumer={"fetch.max.bytes": "2000000"})
    )
    assert changed["fetch.max.bytes"] == "2000000"
    assert client_config.producer_config(settings(producer={"linger.ms": "0"}))["linger.ms"] == "0"


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("sasl.password", True),
        ("ssl.key.password", True),
        ("ssl.key.pem", True),
        ("ssl.keystore.password", True),
        ("sasl.oauthbearer.client.secret", True),
        ("sasl.oauthbearer.token.endpoint.url", False),
        ("sasl.jaas.config", True),
        ("ssl.key.location", False),
        ("sasl.username", False),
        ("ssl.ca.location", False),
    ],
)
def test_what_counts_as_a_secret(key: str, secret: bool) -> None:
    shown = client_config.shown({key: "hunter2", "error_cb": print})
    assert (shown == {key: "********"}) is secret


_ADD_OFFSETS = "ADDOFFSETS [proguard-producer-h-0#producer-3] [thrd:main]: Failed to add offsets to transaction on "


@pytest.mark.parametrize(
    ("why", "level"),
    [
        ("broker 127.0.0.1:9092/1: Local: Timed out", logging.WARNING),
        ("broker 127.0.0.1:9092/1: Local: Broker transport failure", logging.WARNING),
        ("broker 127.0.0.1:9092/1: Broker: Coordinator load in progress", logging.WARNING),
        ("broker 127.0.0.1:9092/1: Broker: Transactional Id authorization failed", logging.ERROR),
    ],
)
def test_what_a_transaction_recovers_from_is_a_warning(
    why: str, level: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_config.logger, "filters", [client_config._Recovering()])
    client_config.logger.error(_ADD_OFFSETS + why)
    assert [(record.levelno, record.levelname) for record in caplog.records] == [(level, logging.getLevelName(level))]


def test_a_client_without_a_broker_repeats_itself_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_config.logger, "filters", [client_config._Repeats()])  # what other tests said is over
    admin = AdminClient({**client_config.admin_config(settings()), "reconnect.backoff.max.ms": 100})
    with caplog.at_level(logging.INFO, "proguard.kafka"):
        for _attempt in range(2):
            with pytest.raises(KafkaException):
                admin.list_topics(timeout=1)
            admin.poll(0)
    refused = [record for record in caplog.records if "refused" in record.getMessage()]
    assert len(refused) == 1
