"""The options of `proguard replay`, and topics that are never the live ones."""

from pathlib import Path
from typing import Any

import pytest
import typer

from worker.commands.replay import bound, overrides
from worker.errors import ConfigurationError
from worker.replay import destination
from worker.settings import load


@pytest.mark.parametrize(
    ("assignments", "tables"),
    [
        (["guard.engine=vllm"], {"guard": {"engine": "vllm"}}),
        (["guard.engine=a:b=c"], {"guard": {"engine": "a:b=c"}}),
        (
            ["guard.settings.revision=2", 'guard.settings.names=["a"]'],
            {"guard": {"settings": {"revision": 2, "names": ["a"]}}},
        ),
        (["breaker.enabled=false"], {"breaker": {"enabled": False}}),
    ],
)
def test_assignments_become_tables(assignments: list[str], tables: dict[str, Any]) -> None:
    assert overrides(assignments, None) == tables
    load(None, overrides(assignments, None))


@pytest.mark.parametrize("text", ["guard.engine", "engine=x", "topics.posts=x", "kafka.group_id=x", "guard.=x", "=x"])
def test_what_is_no_assignment_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"SECTION\.KEY=VALUE"):
        overrides([text], None)


def test_a_policy_is_an_override() -> None:
    assert overrides([], Path("strict.yaml")) == {"policy": {"path": Path("strict.yaml")}}


def test_a_wrong_bound_is_wrong_usage() -> None:
    assert bound("--from", None) is None
    with pytest.raises(typer.BadParameter, match="'soon'"):
        bound("--from", "soon")


def test_topics_and_group_are_the_replays_own() -> None:
    live = load()
    replay = destination.beside(live, ".replay")
    assert not set(replay.topics.outcomes) & set(live.topics.model_dump().values())
    assert replay.topics.posts == live.topics.posts
    assert replay.kafka.group_id == f"{live.kafka.group_id}.replay"
    assert replay.kafka.delivery == "at-least-once"


def test_a_suffix_that_leads_to_a_live_topic_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="never writes to the live topics"):
        destination.beside(load(), "")
    twin = load(None, {"topics": {"risks": "moderation.verdicts.b"}})
    with pytest.raises(ConfigurationError, match=r"moderation\.verdicts\.b"):
        destination.beside(twin, ".b")


def test_the_same_replay_goes_on_where_it_was_and_another_does_not() -> None:
    replay = destination.beside(load(), ".replay")
    group = destination.group_of(replay, 1, "revision")
    assert group == destination.group_of(replay, 1, "revision")
    assert group.startswith(f"{replay.kafka.group_id}.")
    assert group != destination.group_of(replay, 2, "revision")
    assert group != destination.group_of(destination.beside(load(), ".other"), 1, "revision")
