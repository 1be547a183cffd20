"""`guard.engine = "openai"` from the settings to verdicts, and to exit code 78."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.verdict import Verdict
from tests.support.openai_server import OpenAIServer
from worker import secret_values
from worker.commands import judge
from worker.errors import EXIT_CONFIGURATION, ConfigurationError
from worker.logs import mask
from worker.settings import Settings, load


def settings(server: OpenAIServer, **own: Any) -> Settings:
    guard = {"engine": "openai", "model": "proguard", "base_urls": [server.base_url], "settings": own}
    # One batch after the other: what is asked twice at once is not in the cache yet.
    return load(None, {"guard": guard, "batching": {"max_wait_ms": 1, "in_flight": 1}})


def posts(folder: Path) -> Path:
    file = folder / "posts.jsonl"
    texts = ["fine", "unsafe:C3S1", "server:mumble", "server:overflow", "fine"]
    file.write_text("".join(json.dumps({"post_id": str(at), "text": text}) + "\n" for at, text in enumerate(texts)))
    return file


def test_the_name_of_the_keys_variable_is_no_secret_and_its_value_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-hidden")
    with OpenAIServer() as server:
        config = settings(server, key_variable="OPENAI_API_KEY", output_cap=512)
    assert secret_values.masked(config.guard.settings) == config.guard.settings
    assert "very-hidden" not in mask("the server said sk-very-hidden")


def test_a_file_of_posts_is_judged(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with OpenAIServer() as server:
        assert judge.run(settings(server, cache_size=10), posts(tmp_path)) == 0
        asked = [seen.text for seen in server.script.posts]
    verdicts = [Verdict.model_validate_json(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [str(verdict.outcome) for verdict in verdicts] == ["safe", "unsafe", "undetermined", "undetermined", "safe"]
    assert [verdict.reason and str(verdict.reason) for verdict in verdicts[2:4]] == ["forced", "not_judgeable"]
    assert {verdict.guard.name for verdict in verdicts} == {"openai:proguard"}
    assert sum("fine" in text for text in asked) == 1


def test_an_unknown_model_and_a_missing_server_setting_are_78(tmp_path: Path) -> None:
    with OpenAIServer(model="another-model") as server:
        with pytest.raises(ConfigurationError, match="another-model") as raised:
            judge.run(settings(server), posts(tmp_path))
        assert raised.value.exit_code == EXIT_CONFIGURATION
        with pytest.raises(ConfigurationError, match=r"guard\.settings has no sizes"):
            judge.run(settings(server, sizes=1), posts(tmp_path))
