"""Logs: JSON lines for machines, no secrets, no content of errors unless at DEBUG."""

import json
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from worker import logs

log = logging.getLogger("proguard.test")


@pytest.fixture(autouse=True)
def _hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """set_up changes what belongs to the whole process; give it back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("threading.excepthook", None)
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_each_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form="json")
    log.info("two\nlines of %s", "text", extra={"partition": 3, "topic": "posts"})
    [line] = said(capsys)
    assert line["message"] == "two\nlines of text"
    assert (line["level"], line["logger"], line["partition"], line["topic"]) == ("INFO", "proguard.test", 3, "posts")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_without_a_terminal_auto_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form="auto")
    log.info("hello")
    assert said(capsys)[0]["message"] == "hello"


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form="text")
    log.warning("lag", extra={"posts": 7})
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING lag  posts=7\n", capsys.readouterr().err)


def test_set_up_again_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()
    logs.set_up("WARNING")
    log.info("not heard")
    log.warning("heard once")
    assert [line["message"] for line in said(capsys)] == ["heard once"]


@pytest.mark.parametrize(
    "text",
    [
        "sasl.password=hunter2, sasl.mechanism=PLAIN",
        "{'sasl.password': 'hunter2'}",
        '{"aws_secret_access_key": "hunter2"}',
        "https://user:hunter2@broker.example/x",
        "ssl.key.password = hunter2",
        "session_token: hunter2",
    ],
)
def test_secrets_are_masked_wherever_they_stand(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form="json")
    log.info("config %s", text)
    log.info("see extra", extra={"detail": text, "password": "hunter2"})
    assert "hunter2" not in capsys.readouterr().err


def test_what_only_looks_like_one_stays() -> None:
    assert logs.mask("s3://bucket/key with a=b and topic: posts") == "s3://bucket/key with a=b and topic: posts"


def test_errors_are_named_without_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("INFO", "json")
    try:
        raise ValueError("a post about my neighbour")
    except ValueError:
        log.exception("a batch failed")
    [line] = said(capsys)
    assert line["trace"].startswith("ValueError at test_logs.py:")
    assert "neighbour" not in json.dumps(line)


def test_debug_shows_the_whole_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("DEBUG", "json")
    try:
        raise ValueError("details")
    except ValueError:
        log.exception("a batch failed")
    assert "Traceback (most recent call last)" in said(capsys)[0]["trace"]


def test_the_death_of_a_thread_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(form="json")

    def die() -> None:
        raise RuntimeError("details")

    thread = threading.Thread(target=die, name="judging")
    thread.start()
    thread.join()
    [line] = said(capsys)
    assert (line["level"], line["message"]) == ("CRITICAL", "thread judging died")
