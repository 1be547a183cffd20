"""Wrong settings are explained: which key, what is meant, and where lists are written."""

from pathlib import Path

import pytest

from worker.errors import ConfigurationError
from worker.moderation.run import check_clients
from worker.settings import load
from worker.topics import open_admin


def test_a_misspelt_key_is_guessed(tmp_path: Path) -> None:
    file = tmp_path / "proguard.toml"
    file.write_text('[kafka]\ngruop_id = "x"\n')
    with pytest.raises(ConfigurationError, match=r"did you mean kafka\.group_id"):
        load(file)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PROGUARD_KAFKA_BOOTSTRAP_SERVERS", "PROGUARD_KAFKA__BOOTSTRAP_SERVERS"),
        ("PROGUARD_BOOTSTRAP_SERVERS", "PROGUARD_KAFKA__BOOTSTRAP_SERVERS"),
        ("proguard_topics_dead_letters", "PROGUARD_TOPICS__DEAD_LETTERS"),
        ("PROGUARD__TOPICS__POSTS", "PROGUARD_TOPICS__POSTS"),
        ("PROGUARD_KAFKA_CLIENT_SASL_PASSWORD", "PROGUARD_KAFKA__CLIENT__SASL_PASSWORD"),
        ("PROGUARD_KAFKA_CLIENT__SASL_PASSWORD", "PROGUARD_KAFKA__CLIENT__SASL_PASSWORD"),
        ("PROGUARD_BUCKETS", "PROGUARD_OBJECTS__BUCKETS"),
        ("PROGUARD_TELEMTRY__PORT", "PROGUARD_TELEMETRY__PORT"),
        ("PROGUARD_KAFAK__CLIENT__SASL_PASSWORD", "PROGUARD_KAFKA__CLIENT__SASL_PASSWORD"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_not_ignored(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ConfigurationError, match=rf"^{name}: .* did you mean {meant}\?$") as refused:
        load()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["PROGUARD_FOO__BAR", "PROGUARD_TELEMTRY__PROT"])
def test_a_variable_of_no_section_is_not_ignored(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ConfigurationError, match=rf"^{name}: there is no such setting; sections are kafka, topics, .*"):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROGUARD_TEST_KAFKA", "127.0.0.1:9092"),
        ("PROGUARD_SERVICE_HOST", "10.0.0.1"),
        ("PROGUARD_PORT", "tcp://10.0.0.1:9464"),
        ("PROGUARD_TELEMETRY_PORT", "tcp://10.0.0.1:9464"),
        ("PROGUARD_KAFKA_SERVICE_PORT", "9092"),
        ("PROGUARD_KAFKA_CLIENT_SERVICE_HOST", "10.0.0.1"),
        ("PROGUARD_KAFKA_CLIENT_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("PROGUARD_HOME", "/opt/proguard"),
        ("PROGUARD_MAX_POSTS", "of kafka or of batching?"),
    ],
)
def test_variables_of_others_are_let_be(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    load()


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("kafka", {"skip": ["bad"]}, "kafka.skip: 'bad' is not of the form topic:partition:offset"),
        ("kafka", {"start_from": "yesterday"}, "kafka.start_from: must be earliest, latest or an RFC 3339 time"),
        ("kafka", {"start_from": "2026-01-01T00:00:00"}, "RFC 3339 time with an offset"),
        ("kafka", 3, "kafka: must be a table"),
        ("topics", {"posts": "a b"}, "topics.posts: a topic's name has letters, digits"),
        ("topics", {"risks": ".."}, "topics.risks: a topic's name has"),
        ("console", {"severe": ["C9", "XX"]}, "console.severe: 'XX' is no code: C1, C2, "),
    ],
)
def test_what_is_wrong_is_one_line_that_says_what_is_meant(section: str, value: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(overrides={section: value})
    (line,) = str(refused.value).splitlines()[1:]
    assert line.strip().startswith(said) or said in line


def test_what_came_from_the_command_line_is_not_called_the_environments() -> None:
    with pytest.raises(ConfigurationError, match=r"settings \(environment and command line\)"):
        load(overrides={"guard": {"engin": "x"}})


def test_an_endpoint_needs_its_scheme() -> None:
    with pytest.raises(ConfigurationError, match="http://"):
        load(overrides={"objects": {"endpoint_url": "127.0.0.1:9000"}})


@pytest.mark.parametrize("formats", [["JPG"], ["JPEG", "png"], ["TIFF"], []])
def test_a_picture_format_that_is_not_known_is_refused_with_those_that_are(formats: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"objects\.formats.*JPEG, PNG, WEBP, GIF, AVIF"):
        load(overrides={"objects": {"formats": formats}})


def test_a_list_in_the_environment_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGUARD_OBJECTS__BUCKETS", "pictures")
    with pytest.raises(ConfigurationError, match=r"objects\.buckets: .* as JSON"):
        load()


@pytest.mark.parametrize("key", ["acks", "auto.commit.enable", "partition.assignment.strategy"])
def test_what_promises_rest_on_cannot_be_set(key: str) -> None:
    with pytest.raises(ConfigurationError, match=key):
        load(overrides={"kafka": {"client": {key: "range"}}})


@pytest.mark.parametrize("url", ["http://", "http://two words", "https:///path"])
def test_an_endpoint_needs_a_host(url: str) -> None:
    with pytest.raises(ConfigurationError, match="host"):
        load(overrides={"objects": {"endpoint_url": url}})


@pytest.mark.parametrize("role", ["consumer", "producer"])
def test_what_librdkafka_refuses_is_named_without_a_broker(role: str) -> None:
    settings = load(overrides={"kafka": {"bootstrap_servers": "127.0.0.1:1", role: {"no.such.setting": "1"}}})
    with pytest.raises(ConfigurationError, match=rf"kafka\.{role}.*no\.such\.setting"):
        check_clients(settings)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_missing_password_is_told_where_it_belongs(mechanism: str) -> None:
    client = {"security.protocol": "sasl_plaintext", "sasl.mechanism": mechanism, "sasl.username": "worker"}
    settings = load(overrides={"kafka": {"bootstrap_servers": "127.0.0.1:1", "client": client}})
    for ask in (check_clients, open_admin):
        with pytest.raises(ConfigurationError, match="PROGUARD_KAFKA__CLIENT__SASL_PASSWORD"):
            ask(settings)


def test_settings_that_librdkafka_takes_are_let_through() -> None:
    check_clients(load(overrides={"kafka": {"bootstrap_servers": "127.0.0.1:1"}}))
