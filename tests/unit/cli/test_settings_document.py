"""`docs/settings.md` says what the models say, and every setting says what it means."""

import socket
from pathlib import Path

import pytest

from worker import settings_document
from worker.settings import Settings

KEYS = [
    (section, key)
    for section, field in Settings.model_fields.items()
    for key in getattr(field.annotation, "model_fields", ())
]


def test_the_file_in_the_project_is_current() -> None:
    assert settings_document.main(["--check"]) == 0


def test_a_stale_file_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(settings_document, "_ROOT", Path(__file__).parent)
    assert settings_document.main(["--check"]) == 1
    assert "docs/settings.md is stale" in capsys.readouterr().err


def test_every_key_is_there_with_its_variable_and_a_meaning() -> None:
    rows = [line.split(" | ") for line in settings_document.document().splitlines() if line.startswith("| `")]
    assert [(row[0].removeprefix("| "), row[3]) for row in rows] == [
        (f"`{key}`", f"`PROGUARD_{section}__{key}`".upper()) for section, key in KEYS
    ]
    assert not [row[0] for row in rows if not row[4].removesuffix("|").strip()]


def test_nothing_of_this_machine_is_in_it() -> None:
    assert f'"{socket.gethostname()}"' not in settings_document.document()
