"""A scripted stream of outcomes: what is counted, what a row says, what the summary says."""

import io
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len
from rich.console import Console

from schemas.common import (
    Action,
    CategoryKind,
    DeadLetterReason,
    GuardReference,
    Modality,
    Outcome,
    PolicyReference,
    Reason,
    Source,
    Stage,
)
from schemas.dead_letter import DeadLetterHeaders
from schemas.risk import Risk
from schemas.verdict import Category, Coverage, Timings, Verdict
from worker.local.outcomes import Erasure
from worker.local.table import Screen, cells, clean, describe, summary
from worker.local.tally import Tally

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SHOWN = {(0, 0): ("p1", "text", "hello \x1b[31mred"), (1, 4): ("p2", "text", "今天" * 60), (0, 1): ("-", "", "{broken")}


def verdict(
    offset: int,
    outcome: Outcome = Outcome.SAFE,
    category: Category | None = None,
    reason: Reason | None = None,
    partition: int = 0,
    total: float = 20.0,
) -> Verdict:
    return Verdict(
        verdict_id=f"posts-{partition}-{offset}",
        post_id=f"p{offset}",
        author_id=None,
        outcome=outcome,
        reason=reason,
        action=Action.ALLOW if outcome is Outcome.SAFE else Action.REVIEW,
        request=None,
        response=None,
        score=None,
        category=category or Category(kind=CategoryKind.NONE),
        rationale="",
        image=None,
        coverage=Coverage(text_bytes=1, text_bytes_judged=1, images=0, images_judged=0, frames=0, frames_judged=0),
        modality=Modality.TEXT,
        guard=GuardReference(name="g", revision="1"),
        policy=PolicyReference(name="p", version="1"),
        source=Source(topic="posts", partition=partition, offset=offset),
        timings_ms=Timings(fetch=0, queue=0, judge=0, total=total),
        judged_at=NOW,
    )


def dead_letter(offset: int) -> DeadLetterHeaders:
    return DeadLetterHeaders(
        topic="posts",
        partition=0,
        offset=offset,
        stage=Stage.DECODE,
        reason=DeadLetterReason.NOT_JSON,
        message="the value is not JSON",
        group="g",
    )


def risk() -> Risk:
    return Risk(
        risk_id="posts-1-4",
        post_id="p2",
        name="sham challenge dares",
        rationale="",
        nearest=None,
        guard=GuardReference(name="g", revision="1"),
        policy=PolicyReference(name="p", version="1"),
        source=Source(topic="posts", partition=1, offset=4),
        observed_at=NOW,
    )


def test_a_record_is_missing_until_its_own_answer_comes() -> None:
    tally = Tally()
    tally.sent(0, 0, "p0")
    tally.sent(0, 1, "broken")
    tally.sent(0, 2, "p0", tombstone=True)
    assert tally.missing == ["p0", "broken", "p0 (erasure)"]
    assert tally.verdict(verdict(0, partition=1))
    assert tally.missing == ["p0", "broken", "p0 (erasure)"], "another partition's verdict answers nothing"
    assert tally.verdict(verdict(0))
    assert tally.dead_letter(dead_letter(1))
    tally.erased.add("p0")
    assert tally.missing == []
    assert tally.answered == 3


def test_repeats_of_at_least_once_delivery_count_once() -> None:
    tally = Tally()
    assert tally.verdict(verdict(0))
    assert not tally.verdict(verdict(0))
    assert tally.dead_letter(dead_letter(1))
    assert not tally.dead_letter(dead_letter(1))
    assert tally.by_outcome() == {"safe": 1}


def test_an_edit_is_a_record_of_its_own() -> None:
    tally = Tally()
    tally.sent(0, 0, "p0")
    tally.sent(0, 5, "p0")
    tally.verdict(verdict(0))
    assert tally.missing == ["p0"]


@pytest.mark.parametrize(
    ("category", "reason", "words"),
    [
        (Category(kind=CategoryKind.NONE), None, ""),
        (Category(kind=CategoryKind.NONE), Reason.IMAGE_MISSING, "image_missing"),
        (Category(kind=CategoryKind.KNOWN, code="C7S1", name="Hate"), None, "C7S1 Hate"),
        (Category(kind=CategoryKind.KNOWN, code="C7S1", name="Hate"), Reason.TRUNCATED, "C7S1 Hate (truncated)"),
        (Category(kind=CategoryKind.NOVEL, name="blood sport"), None, "new: blood sport"),
        (Category(kind=CategoryKind.HALLUCINATED, code="C99"), None, "unlisted code C99"),
    ],
)
def test_category_and_reason_in_words(category: Category, reason: Reason | None, words: str) -> None:
    assert describe(verdict(0, Outcome.UNSAFE, category, reason)) == words


def test_rows_of_every_kind_of_answer() -> None:
    assert cells(verdict(0), SHOWN)[3:6] == ("safe", "", "allow")
    assert cells(dead_letter(1), SHOWN)[2:5] == ("{broken", "dead letter", "decode: not_json")
    assert cells(Erasure("p1"), SHOWN)[0] == "p1"
    assert cells(verdict(9), SHOWN)[2] == "(not ours)"


def test_control_characters_of_a_post_never_reach_the_terminal() -> None:
    assert "\x1b" not in clean("a\x1b[2Jb\r\n")
    output = io.StringIO()
    Screen(Console(file=output, soft_wrap=True)).row(verdict(0), SHOWN)
    assert "hello  [31mred" in output.getvalue()
    assert "\x1b" not in output.getvalue()


def test_rows_have_one_width_whatever_the_script_of_the_text() -> None:
    output = io.StringIO()
    screen = Screen(Console(file=output, soft_wrap=True))
    wide = verdict(4, partition=1)
    screen.row(verdict(0), SHOWN)
    screen.row(wide, SHOWN)
    lines = output.getvalue().splitlines()
    assert len(lines) == 2
    assert [cell_len(line) for line in lines] == [150, 150]


def test_on_a_terminal_outcomes_are_coloured_and_rows_fit() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100, color_system="standard", soft_wrap=True)
    screen = Screen(console)
    with screen:
        screen.header()
        screen.progress("1 of 2")
        screen.row(verdict(0, Outcome.UNSAFE, Category(kind=CategoryKind.KNOWN, code="C7S1", name="Hate")), SHOWN)
    assert "\x1b[1;31munsafe" in output.getvalue()


def test_the_summary_names_what_happened() -> None:
    tally = Tally()
    for offset in (0, 1, 2, 3):
        tally.sent(0, offset, f"p{offset}")
    tally.sent(1, 4, "p2")
    tally.sent(0, 5, "p0", tombstone=True)
    tally.verdict(verdict(0, total=10))
    tally.dead_letter(dead_letter(1))
    tally.verdict(verdict(2, Outcome.UNDETERMINED, reason=Reason.IMAGE_MISSING, total=30))
    tally.verdict(verdict(4, Outcome.UNSAFE, Category(kind=CategoryKind.NOVEL, name="x y"), partition=1, total=20))
    tally.risks["posts-1-4"] = risk()
    tally.erased.add("p0")
    text = "\n".join(summary(tally))
    assert "5 of 6 records answered" in text
    assert "1 image_missing" in text
    assert "1: p2 'sham challenge dares'" in text
    assert "dead letters    1 (1 decode: not_json)" in text
    assert "erasures        1: p0" in text
    assert "median 20 ms" in text


def test_a_summary_without_any_answer() -> None:
    assert summary(Tally())[0] == "0 of 0 records answered"
