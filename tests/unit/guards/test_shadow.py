"""The second guard changes nothing: not an answer, not a moment, whatever it does. Only disagreements are written."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from proguard_core.guards import shadow
from proguard_core.guards.disagreements import Disagreements
from proguard_core.guards.protocol import (
    Category,
    Guard,
    GuardDied,
    GuardError,
    GuardLimits,
    GuardOptions,
    GuardRequest,
    GuardUnavailable,
    Judgement,
    Picture,
)
from proguard_core.guards.shadow import ShadowGuard
from proguard_core.policy.loader import load_policy
from schemas.common import CategoryKind, Outcome, Reason
from tests.support.guards import scripted

SAFE = Judgement(Outcome.SAFE, request=Outcome.SAFE)
Answer = Callable[[GuardRequest], Awaitable[Judgement]]


def unsafe(code: str | None = "C3S1", kind: CategoryKind = CategoryKind.KNOWN, nearest: str | None = None) -> Judgement:
    category = Category(kind, code, name="a name", nearest=nearest)
    return Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE, category=category, rationale="private words")


class Second:
    """Answers with a function; starts holds what start() does, one entry a start."""

    name, revision, limits = "second", "s1", GuardLimits()

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.lifecycle: list[str] = []
        self.start_errors: list[Exception] = []

    async def start(self) -> None:
        self.lifecycle.append("start")
        if self.start_errors:
            raise self.start_errors.pop(0)

    async def close(self) -> None:
        self.lifecycle.append("close")

    async def probe(self) -> None:
        raise GuardUnavailable

    async def swap(self, revision: str) -> None:
        raise GuardError

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        return [await self.answer(request) for request in requests]


def says(judgement: Judgement) -> Answer:
    async def answer(_request: GuardRequest) -> Judgement:
        return judgement

    return answer


def fails(error: BaseException) -> Answer:
    async def answer(_request: GuardRequest) -> Judgement:
        raise error

    return answer


async def hangs(_request: GuardRequest) -> Judgement:
    await asyncio.Event().wait()
    raise AssertionError


def live() -> Guard:
    return scripted(GuardOptions(), load_policy())


def around(second: Guard, file: Path | None = None, share: float = 1.0, **settings: float) -> ShadowGuard:
    queue, timeout_s = int(settings.get("queue", 100)), settings.get("timeout_s", 1.0)
    return ShadowGuard(live(), second, Disagreements(file), share=share, queue=queue, timeout_s=timeout_s)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in 5 s")


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "FIRST_PAUSE_S", 0.01)


async def test_only_disagreements_are_written_and_no_content(tmp_path: Path) -> None:
    file = tmp_path / "new" / "disagreements.jsonl"

    async def answer(request: GuardRequest) -> Judgement:
        return unsafe() if "odd" in request.text else SAFE

    guard = around(Second(answer), file)
    await guard.start()
    picture = Picture(Image.new("RGB", (4, 4)), "abcd")
    asked = [GuardRequest("fine private words"), GuardRequest("odd private words", "private answer", picture)]
    assert await guard.judge(asked) == [SAFE, SAFE]
    await until(lambda: guard.judged == 2)
    assert guard.disagreed == 1
    (line,) = lines(file)
    assert "private" not in file.read_text()
    assert "a name" not in file.read_text()
    assert line["picture_sha256"] == "abcd"
    assert len(str(line["text_sha256"])) == 64
    labels = {"reason": None, "response": None}
    assert line["live"] == labels | {
        "name": "scripted", "revision": "1", "outcome": "safe", "request": "safe", "kind": "none", "code": None,
    }  # fmt: skip
    assert line["shadow"] == labels | {
        "name": "second", "revision": "s1", "outcome": "unsafe", "request": "unsafe", "kind": "known", "code": "C3S1",
    }  # fmt: skip
    await guard.close()


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        (SAFE, SAFE, False),
        (SAFE, unsafe(), True),
        (SAFE, Judgement(Outcome.UNDETERMINED, Reason.FORCED), True),
        (unsafe("C3S1"), unsafe("C3S2"), True),
        (unsafe("C3S1"), unsafe(None, CategoryKind.NOVEL), True),
        (unsafe(None, CategoryKind.NOVEL), unsafe(None, CategoryKind.NOVEL, "C3S1"), False),
        (Judgement(Outcome.UNDETERMINED, Reason.FORCED), Judgement(Outcome.UNDETERMINED, Reason.UNPARSEABLE), False),
    ],
)
def test_what_counts_as_a_disagreement(first: Judgement, second: Judgement, differ: bool, tmp_path: Path) -> None:
    record = Disagreements(tmp_path / "file")
    assert record.note(GuardRequest("a"), ("l", "1", first), ("s", "1", second)) is differ
    assert len(lines(tmp_path / "file")) == differ
    record.close()


@pytest.mark.parametrize("minors", [unsafe("C11S1"), unsafe("C11"), unsafe(None, CategoryKind.NOVEL, "C11S1")])
def test_nothing_near_minors_is_written_whoever_says_so(minors: Judgement, tmp_path: Path) -> None:
    record = Disagreements(tmp_path / "file")
    assert record.note(GuardRequest("a"), ("l", "1", minors), ("s", "1", SAFE))
    assert record.note(GuardRequest("a"), ("l", "1", SAFE), ("s", "1", minors))
    assert not (tmp_path / "file").exists()


def test_the_file_is_bounded(tmp_path: Path) -> None:
    record = Disagreements(tmp_path / "file", max_bytes=1200)
    for number in range(20):
        assert record.note(GuardRequest(str(number)), ("l", "1", SAFE), ("s", "1", unsafe()))
    record.close()
    assert 0 < (tmp_path / "file").stat().st_size <= 1200


async def test_lines_name_the_revisions_that_judged(tmp_path: Path) -> None:
    """Not those in force: around a swap these are others."""
    second = Second(says(replace(unsafe(), guard="first of two", revision="s0")))
    guard = around(second, tmp_path / "file")
    await guard.start()

    async def judged(requests: Sequence[GuardRequest]) -> list[Judgement]:
        return [replace(SAFE, revision="l0") for _ in requests]

    guard._live.judge = judged  # type: ignore[method-assign]
    await guard.judge([GuardRequest("a")])
    await until(lambda: guard.disagreed == 1)
    await guard.close()
    (line,) = lines(tmp_path / "file")
    assert json.dumps(line).count("l0") == json.dumps(line).count("s0") == json.dumps(line).count("first of two") == 1


@pytest.mark.parametrize("error", [GuardError("private words"), GuardDied("gone"), RuntimeError("private words")])
async def test_failures_of_the_second_guard_touch_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    guard = around(Second(fails(error)))
    await guard.start()
    for _ in range(5):
        assert await guard.judge([GuardRequest("a")]) == [SAFE]
    await until(lambda: guard.failed >= 5)
    await guard.probe()
    assert guard.judged == 0
    assert "private words" not in caplog.text
    await guard.close()


async def test_a_second_guard_that_died_or_did_not_start_is_started_again() -> None:
    second = Second(says(SAFE))
    second.start_errors = [GuardError("no model"), RuntimeError("a bug")]
    guard = around(second)
    await guard.start()
    await guard.judge([GuardRequest("a")])
    await until(lambda: guard.judged == 1)
    assert second.lifecycle == ["start", "close"] * 2 + ["start"]
    second.answer = fails(GuardDied("gone"))
    await guard.judge([GuardRequest("a")])
    await until(lambda: second.lifecycle[-2:] == ["close", "start"] and guard.failed == 3)
    await guard.close()


async def test_a_second_guard_that_hangs_costs_no_time_and_no_memory() -> None:
    guard = around(Second(hangs), queue=4, timeout_s=0.2)
    await guard.start()
    began = time.monotonic()
    for _ in range(20):
        assert await guard.judge([GuardRequest("a")] * 10) == [SAFE] * 10
    assert time.monotonic() - began < 3.0  # waited for, each of the 20 would cost 0.2 s
    assert guard.dropped >= 190
    await until(lambda: guard.failed >= 1)
    await guard.close()


async def test_a_disk_that_is_full_touches_nothing(tmp_path: Path) -> None:
    guard = around(Second(says(unsafe())), tmp_path)  # a folder cannot be opened as a file
    await guard.start()
    assert await guard.judge([GuardRequest("a")]) == [SAFE]
    await until(lambda: guard.failed == 1)
    await guard.close()


async def test_failures_of_the_live_guard_pass_through_and_nothing_is_sampled() -> None:
    guard = around(Second(says(SAFE)))
    await guard.start()
    with pytest.raises(GuardError, match="told to"):
        await guard.judge([GuardRequest("guard:raise")])
    assert guard._waiting.empty()
    await guard.close()


async def test_a_share_is_sampled() -> None:
    draws = iter([0.05, 0.2, 0.09, 0.1] * 5)
    guard = ShadowGuard(
        live(), Second(hangs), Disagreements(), share=0.1, queue=100, timeout_s=60, draw=lambda: next(draws)
    )
    await guard.judge([GuardRequest(str(number)) for number in range(20)])
    assert guard._waiting.qsize() == 10


async def test_an_end_does_not_wait_for_the_second_guard() -> None:
    class Clinging(Second):
        async def close(self) -> None:
            await asyncio.Event().wait()

    guard = around(Clinging(hangs))
    await guard.start()
    await guard.judge([GuardRequest("a")])
    await asyncio.sleep(0.05)
    async with asyncio.timeout(shadow.CLOSE_S + 1):
        await guard.close()
