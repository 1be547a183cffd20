"""Rows become answers by the questions a post would ask; answers are remembered, but nothing near minors."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from proguard_core.evaluation.answers import ALWAYS_NOVEL, Answer, as_json, baseline, from_json, of_assessment
from proguard_core.evaluation.cache import JudgementCache, content_key, seen
from proguard_core.evaluation.judging import MAX_FAILED_RUN, GuardStopped, Judging
from proguard_core.evaluation.rows import Problems, Row
from proguard_core.guards.protocol import GuardLimits, GuardOptions, GuardRequest, Judgement, Picture
from proguard_core.policy.loader import load_policy
from proguard_core.questions import Assessment, SeenImage
from schemas.common import CategoryKind, Outcome, Reason
from tests.support.guards import ScriptedGuard

POLICY = load_policy()
SAFE, UNSAFE, UNDETERMINED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNDETERMINED


class Guard:
    """Counts what it is asked, and fails from one question on."""

    def __init__(self, fails_from: int | None = None) -> None:
        self.asked: list[str] = []
        self._fails_from = fails_from
        self._inner = ScriptedGuard(GuardOptions())

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        if self._fails_from is not None and len(self.asked) >= self._fails_from:
            raise GuardStopped("it is gone")
        self.asked += [request.text for request in requests]
        return await self._inner.judge(requests)


async def no_pictures(_row: Row) -> Sequence[SeenImage]:
    return ()


def judging(guard: Guard, cache: JudgementCache, batch: int = 4) -> Judging:
    return Judging(guard.judge, no_pictures, GuardLimits(window_bytes=64), POLICY, cache, batch=batch)


def cache(folder: Path) -> JudgementCache:
    return JudgementCache(folder, "scripted", "1")


def test_revisions_of_a_guard_with_a_long_name_share_no_answers(tmp_path: Path) -> None:
    known = [JudgementCache(tmp_path, "x" * 200, revision) for revision in ("one", "two")]
    known[0].put("key", Row("1"), Answer(SAFE))
    known[0].close()
    assert [JudgementCache(tmp_path, "x" * 200, revision).get("key") for revision in ("one", "two")] == [
        Answer(SAFE),
        None,
    ]


def rows(number: int) -> list[Row]:
    return [Row(str(at), f"post {at} " + ("unsafe:C3S1" if at % 2 else "fine")) for at in range(number)]


def tear(folder: Path) -> None:
    """As a crash leaves the file."""
    (file,) = folder.iterdir()
    with file.open("a") as torn:
        torn.write('{"key": "cut o')


def content(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.iterdir())


async def test_every_row_has_its_answer(tmp_path: Path) -> None:
    judged = await judging(Guard(), cache(tmp_path)).judge(rows(33), Problems())
    assert [judged.answers[str(at)].request for at in range(4)] == [SAFE, UNSAFE, SAFE, UNSAFE]
    assert judged.answers["1"].code == "C3S1"
    assert (len(judged.answers), judged.asked) == (33, 33)


async def test_long_rows_are_asked_in_windows_and_the_worst_counts(tmp_path: Path) -> None:
    long = Row("long", "all is well " * 20 + "unsafe:C8S1")
    judged = await judging(Guard(), cache(tmp_path)).judge([long], Problems())
    assert judged.answers["long"].code == "C8S1"


async def test_a_run_that_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    guard = Guard(fails_from=12)
    known = cache(tmp_path)
    with pytest.raises(GuardStopped, match="it is gone"):
        await judging(guard, known).judge(rows(40), Problems())
    known.close()
    tear(tmp_path)
    second = Guard()
    known = cache(tmp_path)
    judged = await judging(second, known).judge(rows(40), Problems())
    known.close()
    assert len(judged.answers) == 40
    assert not set(guard.asked) & set(second.asked)
    assert len(guard.asked) + len(second.asked) == 40
    assert len(cache(tmp_path)) == 40


async def test_a_guard_that_only_fails_ends_the_run(tmp_path: Path) -> None:
    async def failing(requests: Sequence[GuardRequest]) -> list[Judgement]:
        return [Judgement(UNDETERMINED, Reason.GUARD_FAILED) for _ in requests]

    known = cache(tmp_path)
    with pytest.raises(GuardStopped, match=f"{MAX_FAILED_RUN} rows in a row"):
        await Judging(failing, no_pictures, GuardLimits(), POLICY, known).judge(rows(200), Problems())
    assert len(known) == 0


async def test_nothing_near_minors_is_written_down(tmp_path: Path) -> None:
    told = [
        Row("a", "secret words unsafe:C11S1"),
        Row("b", "other words unsafe:C11S2"),
        Row("c", "by the set", request_label=UNSAFE, categories=("C11S1",)),
        Row("d", "kept words unsafe:C8S1"),
    ]
    known = cache(tmp_path)
    await judging(Guard(), known).judge(told, Problems())
    known.close()
    assert len(known) == 1
    written = content(tmp_path)
    assert "C11" not in written
    assert "words" not in written
    assert "C8S1" in written


async def test_pictures_that_are_lacking_are_named_and_the_run_goes_on(tmp_path: Path) -> None:
    class Lost:
        pictures, frames, reason = (), 0, Reason.IMAGE_MISSING

    async def fetch(row: Row) -> Sequence[SeenImage]:
        return [Lost()]

    problems = Problems()
    asked = [Row("lost", images=("lost.png",)), *rows(3)]
    for _guard in range(2):
        judged = await Judging(Guard().judge, fetch, GuardLimits(), POLICY, cache(tmp_path)).judge(asked, problems)
        assert set(judged.answers) == {"0", "1", "2"}
    assert problems.examples == {"a picture cannot be had: image_missing (left out)": ["lost"]}


def test_what_is_undetermined_has_no_safe_turn() -> None:
    seen = Assessment(UNDETERMINED, Reason.TRUNCATED, SAFE, SAFE, score=0.2)
    answer = of_assessment(seen, has_response=True)
    assert (answer.request, answer.response, answer.undetermined) == (UNDETERMINED, UNDETERMINED, True)
    half = of_assessment(Assessment(UNSAFE, None, UNSAFE, None, score=0.9), has_response=True)
    assert (half.request, half.response, half.unsafe) == (UNSAFE, UNDETERMINED, True)


def test_a_score_belongs_to_a_turn_only_where_that_is_known() -> None:
    alone = of_assessment(Assessment(SAFE, None, SAFE, None, score=0.1), has_response=False)
    assert (alone.request_score, alone.response_score) == (0.1, None)
    both = of_assessment(Assessment(SAFE, None, SAFE, SAFE, score=0.4), has_response=True)
    assert (both.request_score, both.response_score) == (None, None)
    told = Assessment(SAFE, None, SAFE, SAFE, score=0.4, request_score=0.1, response_score=0.4)
    each = of_assessment(told, has_response=True)
    assert (each.request_score, each.response_score) == (0.1, 0.4)


def test_an_answer_survives_being_written() -> None:
    answer = Answer(UNSAFE, SAFE, Reason.TRUNCATED, CategoryKind.NOVEL, None, "Ticket scalping", "C6S2", 0.8, 0.1)
    assert from_json(as_json(answer)) == answer
    assert from_json(as_json(baseline(ALWAYS_NOVEL, has_response=True))).novel


def test_keys_differ_where_contents_do() -> None:
    contents = [Row("1", "ab", "c"), Row("1", "a", "bc"), Row("1", "ab"), Row("1", "", "ab")]
    assert len({content_key(row, ()) for row in contents} | {content_key(contents[0], ("d",))}) == 5


@dataclass
class Looked:
    """What was made of one picture."""

    reason: Reason | None = None
    pictures: tuple[Picture, ...] = ()
    frames: int = 1


def test_a_picture_that_was_not_looked_at_and_another_cap_on_text_make_another_key() -> None:
    shown: list[list[Looked]] = [
        [],
        [Looked(Reason.IMAGE_TOO_MANY_PIXELS)],
        [Looked(Reason.IMAGE_MISSING)],
        [Looked(), Looked()],
    ]
    keys = {content_key(Row("1", "ab"), seen(images, 65_536)) for images in shown}
    assert len(keys | {content_key(Row("1", "ab"), seen([], 500_000))}) == 5


def test_answers_are_asked_by_several_batches_at_once(tmp_path: Path) -> None:
    """Two batches are on their way, never the same one."""
    guard = Guard()
    judged = asyncio.run(judging(guard, cache(tmp_path), batch=3).judge(rows(31), Problems()))
    assert sorted(guard.asked) == sorted(row.request for row in rows(31))
    assert len(judged.answers) == 31
