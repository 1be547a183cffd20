"""Secrets come by file or environment, and stay out of logs, tracebacks and `config show`."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import proguard
from worker import logs
from worker.commands import config
from worker.errors import ConfigurationError
from worker.settings import load

PASSWORD = 'kn"ife-and-\\fork'
log = logging.getLogger("proguard.test")


@pytest.fixture(autouse=True)
def _hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_hidden", set())


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("PROGUARD_SECRETS_DIR", str(folder))
    return folder


@pytest.fixture
def _logging() -> Iterator[None]:
    """set_up changes what belongs to the whole process; give it back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_file_gives_a_setting_and_joins_the_others(secrets: Path, tmp_path: Path) -> None:
    (secrets / "kafka__client__sasl_password").write_text(PASSWORD + "\n")
    (secrets / "guard__settings").write_text('{"api_key": "sk-123456"}')
    toml = tmp_path / "proguard.toml"
    toml.write_text('[kafka.client]\nsasl.username = "moderation"\nsasl.password = "of the file"\n')
    settings = load(toml)
    assert settings.kafka.client == {"sasl.username": "moderation", "sasl.password": PASSWORD}
    assert settings.guard.settings == {"api_key": "sk-123456"}


def test_the_environment_wins(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "kafka__client__sasl_password").write_text("by file")
    monkeypatch.setenv("PROGUARD_KAFKA__CLIENT__SASL_PASSWORD", "by environment")
    assert load().kafka.client["sasl.password"] == "by environment"


def test_a_folder_as_kubernetes_mounts_it(secrets: Path) -> None:
    versioned = secrets / "..2026_11_24"
    versioned.mkdir()
    (versioned / "kafka__client__sasl_password").write_text(PASSWORD)
    (secrets / "..data").symlink_to(versioned.name)
    (secrets / "kafka__client__sasl_password").symlink_to("..data/kafka__client__sasl_password")
    assert load().kafka.client == {"sasl.password": PASSWORD}


@pytest.mark.parametrize("name", ["password", "kafke__client__sasl_password", "kafka__"])
def test_a_file_of_no_setting_is_an_error(name: str, secrets: Path) -> None:
    (secrets / name).write_text(PASSWORD)
    with pytest.raises(ConfigurationError, match="SECTION__KEY") as caught:
        load()
    assert PASSWORD not in str(caught.value)


def test_a_wrong_key_is_named_without_its_value(secrets: Path) -> None:
    (secrets / "kafka__pasword").write_text(PASSWORD)
    with pytest.raises(ConfigurationError, match=r"kafka\.pasword: there is no such setting") as caught:
        load()
    assert str(secrets) in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_folder_that_is_missing_or_not_text_is_an_error(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "kafka__client__ssl_key_pem").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load()
    monkeypatch.setenv("PROGUARD_SECRETS_DIR", str(secrets / "nowhere"))
    with pytest.raises(ConfigurationError, match="is not a folder"):
        load()


def test_a_file_that_cannot_be_read_is_an_error(secrets: Path) -> None:
    (secrets / "kafka__client__sasl_password").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load()


@pytest.mark.usefixtures("_logging")
@pytest.mark.parametrize("form", ["json", "text"])
def test_known_secrets_are_left_out_of_lines_and_tracebacks(
    form: logs.Format, secrets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "kafka__client__sasl_password").write_text(PASSWORD)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-key-of-a-test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer-of-a-test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization=Basic%20of-a-test")
    monkeypatch.setenv("KEY_OF_THE_SECOND", "sk-of-a-test ")
    load(None, {"guard": {"settings": {"shadow": {"settings": {"key_variable": "KEY_OF_THE_SECOND"}}}}})
    logs.set_up("DEBUG", form)
    known = [PASSWORD, "aws-key-of-a-test", "Bearer-of-a-test", "Basic%20of-a-test", "Basic of-a-test", "sk-of-a-test"]
    for secret in known:
        try:
            raise RuntimeError(f"no way with {secret}")
        except RuntimeError:
            log.exception("refused %s", secret, extra={"detail": [secret]})
    said = capsys.readouterr().err
    for secret in known:
        assert secret not in said
        assert json.dumps(secret)[1:-1] not in said
    assert "Traceback" in said


def test_config_show_masks_what_came_by_file(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (secrets / "kafka__client__ssl_key_pem").write_text("-----BEGIN PRIVATE KEY-----\nabc\n")
    config.show(load())
    said = capsys.readouterr().out
    assert "PRIVATE KEY" not in said
    assert '"ssl.key.pem" = "********"' in said


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_a_process_that_dies_of_an_error_that_quotes_a_secret(level: str, secrets: Path) -> None:
    (secrets / "kafka__client__sasl_password").write_text(PASSWORD)
    done = proguard(
        {"guard": {"engine": "tests.support.leaky_guard:quoting"}, "telemetry": {"log_level": level}},
        "config",
        "check",
        environment={"PROGUARD_SECRETS_DIR": str(secrets)},
    )
    assert done.returncode == 1
    assert "RuntimeError" in done.stderr
    assert ("Traceback" in done.stderr) is (level == "DEBUG")
    for form in (PASSWORD, json.dumps(PASSWORD)[1:-1], repr(PASSWORD)[1:-1]):
        assert form not in done.stdout + done.stderr


def test_passwords_in_addresses_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROGUARD_OBJECTS__ENDPOINT_URL", "http://somebody:hunter2@s3.example")
    monkeypatch.setenv("PROGUARD_GUARD__BASE_URLS", '["http://a:hunter2@one.example/v1", "http://two.example/v1"]')
    config.show(load())
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    assert "somebody:********@s3.example" in shown
    assert "http://two.example/v1" in shown
