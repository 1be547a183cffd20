"""Which dead letters are meant."""

from dataclasses import replace
from typing import Any

import pytest
import typer

from schemas.common import DeadLetterReason, Stage
from schemas.dead_letter import DeadLetterHeaders
from worker.commands import dead_letters as command
from worker.moderation.dead_letters import DeadLetter, Selection

LETTER = DeadLetter(
    topic="dead",
    partition=0,
    offset=5,
    time_ms=1_700_000_000_000,
    key=b"k",
    value=b"v",
    headers=(),
    said=DeadLetterHeaders(
        topic="posts",
        partition=3,
        offset=17,
        stage=Stage.DECODE,
        reason=DeadLetterReason.NOT_JSON,
        message="m",
        group="g",
    ),
)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({}, True),
        ({"reasons": frozenset({"not_json", "invalid"})}, True),
        ({"reasons": frozenset({"invalid"})}, False),
        ({"stages": frozenset({"decode"})}, True),
        ({"stages": frozenset({"erase"})}, False),
        ({"topic": "posts", "partition": 3}, True),
        ({"topic": "dead"}, False),
        ({"partition": 0}, False),
        ({"first_offset": 17, "last_offset": 17}, True),
        ({"first_offset": 18}, False),
        ({"last_offset": 16}, False),
        ({"since_ms": 1_700_000_000_000}, True),
        ({"until_ms": 1_700_000_000_000}, False),
        ({"key": b"k"}, True),
        ({"key": b"other"}, False),
    ],
)
def test_each_filter(wanted: dict[str, Any], matches: bool) -> None:
    assert Selection(**wanted).matches(LETTER) is matches


def test_one_with_foreign_headers_is_meant_only_by_what_all_records_have() -> None:
    foreign = replace(LETTER, said=None)
    assert Selection().matches(foreign)
    assert Selection(key=b"k").matches(foreign)
    assert not Selection(partition=3).matches(foreign)
    assert not Selection(reasons=frozenset({"not_json"})).matches(foreign)


def select(**given: Any) -> Selection:
    names = ("reasons", "stages", "topic", "partition", "offsets", "since", "until", "key")
    return command.selection(**(dict.fromkeys(names) | given))


def test_options_become_a_selection() -> None:
    wanted = select(reasons=["invalid"], offsets="5:", since="2026-01-01T00:00:00Z", key="é")
    assert wanted.reasons == {"invalid"}
    assert (wanted.first_offset, wanted.last_offset) == (5, None)
    assert wanted.since_ms == 1_767_225_600_000
    assert wanted.key == "é".encode()
    single = select(offsets="7")
    assert (single.first_offset, single.last_offset) == (7, 7)


@pytest.mark.parametrize(
    "given", [{"offsets": ":"}, {"offsets": "x"}, {"since": "2026-01-01T00:00:00"}, {"stages": ["late"]}], ids=str
)
def test_a_wrong_option_is_wrong_usage(given: dict[str, Any]) -> None:
    with pytest.raises(typer.BadParameter):
        select(**given)
