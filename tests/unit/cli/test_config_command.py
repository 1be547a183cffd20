"""`config show` gives back what is in force, without secrets."""

import tomllib
from pathlib import Path

import pytest

from worker.commands import config
from worker.settings import load

FILE = """
[kafka]
group_id = "quoted \\"group\\" 😀"
start_from = "2026-01-02T03:04:05Z"
skip = ["moderation.posts:0:17"]
[kafka.client.sasl]
username = "worker"
password = "hunter2"
[kafka.client.ssl.key]
location = "/etc/keys/client.pem"
password = "swordfish"
[guard.settings]
temperature = 0.5
api_key = "sk-verysecret"
[guard.settings.nested]
"odd key" = true
auth_token = "abc"
[objects]
buckets = ["one", "two"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "proguard.toml"
    path.write_text(FILE)
    return path


def test_what_is_shown_can_be_loaded_and_means_the_same(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load(file)
    assert config.show(settings) == 0
    shown = tmp_path / "shown.toml"
    shown.write_text(capsys.readouterr().out)
    again = load(shown)
    assert again.objects == settings.objects
    assert again.kafka.group_id == settings.kafka.group_id
    assert again.kafka.start_from == settings.kafka.start_from
    assert again.kafka.skip == settings.kafka.skip
    assert again.kafka.client.keys() == settings.kafka.client.keys()
    assert again.guard.settings["nested"]["odd key"] is True


def test_secrets_are_masked_and_the_rest_is_not(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.show(load(file))
    said = capsys.readouterr().out
    for secret in ("hunter2", "swordfish", "sk-verysecret", '"abc"'):
        assert secret not in said
    shown = tomllib.loads(said)
    assert shown["kafka"]["client"]["sasl.username"] == "worker"
    assert shown["kafka"]["client"]["ssl.key.location"] == "/etc/keys/client.pem"
    assert shown["kafka"]["client"]["sasl.password"] == "********"
    assert shown["guard"]["settings"]["temperature"] == 0.5
