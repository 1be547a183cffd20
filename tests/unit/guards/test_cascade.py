"""Only what the first guard is sure of stops there; the audit finds what it misses; both are in the revision."""

import asyncio
import logging
import math
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from proguard_core.guards.audit import Audit, at_least, share_at_least
from proguard_core.guards.cascade import CascadeGuard, Sureness
from proguard_core.guards.counts import CACHE, CASCADE, CASCADE_UNSAFE, SHADOW, counts_of
from proguard_core.guards.factory import create
from proguard_core.guards.protocol import (
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    Judgement,
    Picture,
)
from proguard_core.policy.loader import load_policy
from proguard_core.questions import combine, plan
from schemas.common import Outcome, Reason
from schemas.post import Post
from tests.support.scored_guard import ScoredGuard
from tests.unit.core.test_questions import Seen
from tests.unit.guards.test_cached import Asked

POLICY = load_policy()
UNSAFE = Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE)
NEVER = 1e-18


def made(**sureness: Any) -> tuple[CascadeGuard, ScoredGuard, Asked]:
    first, second = ScoredGuard(), Asked()
    return CascadeGuard(first, second, Sureness(**{"audit": NEVER, **sureness})), first, second


def picture() -> Picture:
    return Picture(Image.new("RGB", (4, 4)), "p")


async def test_neither_runs_on_where_one_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other may still be loading then."""
    guard, first, second = made()
    running: list[str] = []

    async def fails() -> None:
        raise GuardError("no model")

    async def loads() -> None:
        await asyncio.sleep(0.02)
        running.append("second")

    async def ends() -> None:
        running.clear()

    monkeypatch.setattr(first, "start", fails)
    monkeypatch.setattr(second, "start", loads)
    monkeypatch.setattr(second, "close", ends)
    with pytest.raises(GuardError, match="no model"):
        await guard.start()
    await asyncio.sleep(0.05)
    assert running == []


async def test_only_what_the_first_is_sure_of_stops_there() -> None:
    guard, first, second = made(safe_below=0.1)
    asked = ["the a", "the b score:0.099", "the c score:0.1", "the d score:0.4", "the e unsafe:C3S1"]
    asked += ["the f score:none", "the g foreign"]
    judgements = await guard.judge([GuardRequest(text) for text in asked])
    assert second.asked == asked[2:]
    assert [judgement.guard for judgement in judgements] == ["scored"] * 2 + ["asked"] * 5
    assert [request.text for request in first.asked] == asked
    assert counts_of(guard)[CASCADE] == {"passed": 2, "forwarded": 5, "audited": 0}


async def test_what_is_far_from_all_that_the_first_was_taught_goes_on() -> None:
    guard, _first, second = made(unsafe_from=0.9)
    asked = ["the a far:0.9899", "the b far:0.99", "the c far:1.0", "the d unsafe:C3S1 far:0.995", "the e unsafe:C3S1"]
    await guard.judge([GuardRequest(text) for text in asked])
    assert second.asked == asked[1:4]
    guard, _first, second = made(novel_from=1.0)
    await guard.judge([GuardRequest(text) for text in asked])
    assert second.asked == [asked[2], *asked[3:]]


def test_a_novelty_that_is_no_number_is_no_sureness() -> None:
    safe = Judgement(Outcome.SAFE, score=0.001)
    assert Sureness().passes(safe)
    assert not Sureness().passes(replace(safe, novelty=math.nan))


async def test_pictures_and_responses_never_stop_at_the_first() -> None:
    guard, first, second = made()
    asked = [GuardRequest("the a", None, picture()), GuardRequest("", None, picture()), GuardRequest("the b", "the c")]
    await guard.judge(asked)
    assert first.asked == []
    assert second.asked == ["the a", "", "the b"]
    guard, first, second = made(responses=True)
    await guard.judge(asked)
    assert [request.text for request in first.asked] == ["the b"]


async def test_text_with_emoji_or_strange_signs_never_stops_at_the_first() -> None:
    strange = ["you are a 🐍", "you are a sn🅰ke", "you are а snake", "l'été est beau", "c'est la vie et je ne sais pas"]
    guard, first, _second = made(responses=True)
    fine = "ｙｏｕ and me", "the plain — “words” of €5"
    asked = [GuardRequest(text) for text in (*strange, *fine)] + [GuardRequest("the a", "the b 🙂")]
    await guard.judge(asked)
    assert [request.text for request in first.asked] == list(fine)
    guard, first, _second = made(plain=False)
    await guard.judge([GuardRequest("you are a 🐍")])
    assert [request.text for request in first.asked] == ["you are a 🐍"]


FOREIGN = [
    "vendo armas baratas",
    "Moslems vergasen",
    "me voy a matar",
    "kill urself bro",
    "14 88",
    "https://t.me/x",
    " ",
]


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("text", FOREIGN)
async def test_what_may_be_any_language_goes_on(text: str, plain: bool) -> None:
    guard, first, second = made(responses=True, plain=plain, unsafe_from=0.5)
    await guard.judge([GuardRequest(text), GuardRequest("What is the word for it?", text)])
    assert first.asked == []
    assert len(second.asked) == 2


@pytest.mark.parametrize("turn", ["\u202e", "\u202d", "\u202b", "\u2066", "\u2067", "\u202c"])
async def test_letters_that_are_shown_in_another_order_than_they_are_stored_in_go_on(turn: str) -> None:
    guard, first, _second = made()
    await guard.judge([GuardRequest(f"the day is {turn}doog yrev\u202c.")])
    assert first.asked == []
    await guard.judge([GuardRequest("the day is very\u200b good")])  # the first guard reads it without that sign
    assert len(first.asked) == 1


async def test_the_text_alone_of_a_post_with_pictures_or_a_response_goes_on_as_well() -> None:
    long = "The weather is fine and we are happy. " * 10
    guard, first, second = made(responses=True)
    post = Post(post_id="p", text=long)
    with_response = Post(post_id="p", text=long, response="Yes, so are we.")
    lost = Seen([], 0, Reason.IMAGE_MISSING)
    for each, images in ((post, [Seen([picture()], 1)]), (post, [lost]), (with_response, [])):
        planned = plan(each, images, GuardLimits(window_bytes=150), 10_000)
        assert len(planned.questions) > 2
        await guard.judge([question.request for question in planned.questions])
    # A response is shown with the beginning of its request, since `responses` says so.
    assert [request.response for request in first.asked] == ["Yes, so are we."]
    planned = plan(post, [], GuardLimits(window_bytes=150), 10_000)
    asked = len(second.asked)
    await guard.judge([question.request for question in planned.questions])
    assert len(second.asked) == asked


async def test_unsafe_stands_only_where_it_is_asked_for_and_never_if_novel_or_sexual() -> None:
    texts = ["the a unsafe:C3S1", "the b unsafe:C11S2", "the c unsafe:C11", "the d novel score:0.99", "the e score:0.8"]
    guard, _first, second = made()
    await guard.judge([GuardRequest(text) for text in texts])
    assert second.asked == texts
    guard, _first, second = made(unsafe_from=0.85)
    judgements = await guard.judge([GuardRequest(text) for text in texts])
    assert second.asked == texts[1:]
    assert (judgements[0].outcome, judgements[0].category.code, judgements[0].guard) == (
        Outcome.UNSAFE,
        "C3S1",
        "scored",
    )


async def test_an_audited_post_has_the_second_guards_verdict_and_a_miss_is_counted() -> None:
    guard, _first, second = made(audit=1.0)
    second.answers["the missed"] = UNSAFE
    second.answers["the found score:0.7"] = UNSAFE
    texts = ["the fine", "the missed", "the found score:0.7"]
    judgements = await guard.judge([GuardRequest(text) for text in texts])
    assert [judgement.outcome for judgement in judgements] == [Outcome.SAFE, Outcome.UNSAFE, Outcome.UNSAFE]
    assert {judgement.guard for judgement in judgements} == {"asked"}
    assert counts_of(guard) == {
        CASCADE: {"passed": 0, "forwarded": 1, "audited": 2},
        CASCADE_UNSAFE: {"found": 1, "missed": 1},
    }


async def test_the_audit_draws_by_content_alike_in_every_batch_and_about_its_share() -> None:
    texts = [f"the post {number}" for number in range(2000)]
    guard, _first, second = made(audit=0.1)
    await guard.judge([GuardRequest(text) for text in texts])
    drawn = set(second.asked)
    assert 150 < len(drawn) < 250
    guard, _first, second = made(audit=0.1)
    for text in reversed(texts):
        await guard.judge([GuardRequest(text)])
    assert set(second.asked) == drawn


def test_the_alarm_comes_when_recall_is_too_low_for_certain(caplog: pytest.LogCaptureFixture) -> None:
    audit = Audit(share=0.1, least_recall=0.9)
    audit.found, audit.audited = 100, 400
    with caplog.at_level(logging.WARNING):
        for _miss in range(3):
            audit.note_missed()
        # Three of one in ten stand for 30 that passed, those three among them.
        assert audit.recall() == pytest.approx(100 / 130)
        assert not caplog.records  # three may be chance
        for _miss in range(3):
            audit.note_missed()
    assert "recall is about" in caplog.text
    assert "safe_below" in caplog.text


def test_where_all_that_passes_is_judged_again_recall_is_counted() -> None:
    audit = Audit(share=1.0, least_recall=0.9)
    assert audit.recall() == 1.0
    audit.found = audit.missed = 1
    assert audit.recall() == 0.5
    audit.found = 0
    assert audit.recall() == 0.0


def test_bounds_are_those_of_the_tables() -> None:
    assert share_at_least(299, 299) >= 0.99 > share_at_least(298, 298)
    assert share_at_least(90, 100) == pytest.approx(0.8363, abs=1e-4)
    assert share_at_least(0, 10) == 0
    assert [round(at_least(seen), 3) for seen in (0, 1, 3, 10)] == [0.0, 0.051, 0.818, 5.425]


async def test_the_revision_covers_both_guards_and_the_thresholds() -> None:
    guard, first, second = made()
    other, _first, _second = made(safe_below=0.03)
    assert guard.revision != other.revision
    first.revision = "s2"
    assert CascadeGuard(first, second, Sureness(audit=NEVER)).revision != guard.revision
    before = guard.revision
    second.answers["the b score:0.9"] = Judgement(Outcome.UNSAFE, revision="r0")
    judgements = await guard.judge([GuardRequest(text, revision=before) for text in ("the a", "the b score:0.9")])
    assert [judgement.revision for judgement in judgements] == [before, before.replace("r1", "r0")]
    await guard.swap("r2")
    assert guard.revision == before.replace("r1", "r2")
    (late,) = await guard.judge([GuardRequest("the a", revision=before)])
    assert late.revision == before  # as its neighbours were
    (strange,) = await guard.judge([GuardRequest("the a", revision="of another guard")])
    assert strange.revision == guard.revision
    await guard.swap(before)
    assert guard.revision == before


async def test_a_failure_of_either_fails_the_batch_and_nothing_is_counted() -> None:
    guard, first, second = made()
    second.error = GuardError("away")
    with pytest.raises(GuardError, match="away"):
        await guard.judge([GuardRequest("the a"), GuardRequest("the b score:0.9")])
    assert counts_of(guard)[CASCADE] == {"passed": 0, "forwarded": 0, "audited": 0}
    second.error = None
    first.error = GuardDied("gone")
    with pytest.raises(GuardDied):
        await guard.judge([GuardRequest("the a")])
    with pytest.raises(GuardDied):
        await guard.probe()


async def test_the_verdict_names_the_guard_that_decided() -> None:
    guard, _first, second = made()
    second.answers["the b score:0.9"] = UNSAFE
    for text, name in (("the a", "scored"), ("the b score:0.9", "asked")):
        planned = plan(Post(post_id="p", text=text), (), guard.limits, 10_000)
        judgements = await guard.judge([question.request for question in planned.questions])
        assessment = combine(planned, planned.questions, judgements, POLICY)
        assert (assessment.guard, assessment.revision) == (name, guard.revision)


async def test_by_settings_it_stands_inside_cache_and_shadow_and_all_count() -> None:
    scripted = "tests.support.guards:scripted"
    settings = {"cache_size": 5, "shadow": {"engine": scripted}, "cascade": {"safe_below": "0.1", "audit": 0.5}}
    guard = create(scripted, GuardOptions(settings=settings), POLICY)
    assert guard.name == "embedded, scripted"
    assert set(counts_of(guard)) == {CACHE, SHADOW, CASCADE, CASCADE_UNSAFE}


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("yes", "must be a table"),
        ({"safe_under": 0.1}, "safe_under"),
        ({"safe_below": 1.5}, "safe_below"),
        ({"audit": 2}, "audit"),
        *(({"novel_from": value}, "novel_from") for value in (0, 1.01, -1, float("nan"), True, "far", None)),
        ({"model": "/no/such/folder"}, "lacks"),
        ({"settings": {"batch": 1}}, "batch"),
    ],
)
def test_wrong_settings_are_named(table: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        create("tests.support.guards:scripted", GuardOptions(settings={"cascade": table}), POLICY)
