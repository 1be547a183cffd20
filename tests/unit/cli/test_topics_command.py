"""A topic that was just made may be unknown to the broker that answers: it is looked for again."""

from types import SimpleNamespace
from typing import Any

import pytest

import worker.commands.topics as command


def test_a_topic_that_was_just_made_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_LOOK_AGAIN_S", 0.0)
    answers = [[SimpleNamespace(name="verdicts", missing=missing)] for missing in (True, True, False)]
    monkeypatch.setattr("worker.topics.look", lambda *_: answers.pop(0))
    anything: Any = None
    (state,) = command._look_until_known(anything, anything, ["verdicts"])
    assert not state.missing
    assert answers == []


def test_a_topic_that_stays_away_is_shown_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_KNOWN_WITHIN_S", 0.3)
    monkeypatch.setattr("worker.topics.look", lambda *_: [SimpleNamespace(name="verdicts", missing=True)])
    anything: Any = None
    (state,) = command._look_until_known(anything, anything, ["verdicts"])
    assert state.missing
