"""The cache answers exact repeats only, is bounded, and holds nothing that concerns minors."""

from collections.abc import Sequence

import pytest
from PIL import Image

from proguard_core.guards.cached import CachedGuard
from proguard_core.guards.protocol import (
    Category,
    GuardError,
    GuardLimits,
    GuardRequest,
    GuardUnavailable,
    Judgement,
    Picture,
)
from proguard_core.policy.loader import load_policy, parse_policy
from schemas.common import CategoryKind, Outcome, Reason
from tests.unit.policy.builders import SMALL

POLICY = load_policy()
SAFE = Judgement(Outcome.SAFE, request=Outcome.SAFE)


class Asked:
    """Answers by text, safe where nothing else is told; asked holds what reached it."""

    name, limits = "asked", GuardLimits()

    def __init__(self, **answers: Judgement) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.revision = "r1"
        self.error: Exception | None = None

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def probe(self) -> None:
        if self.error is not None:
            raise GuardUnavailable

    async def swap(self, revision: str) -> None:
        self.revision = revision

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        if self.error is not None:
            raise self.error
        self.asked += [request.text for request in requests]
        return [self.answers.get(request.text, SAFE) for request in requests]


def picture(digest: str) -> Picture:
    return Picture(Image.new("RGB", (4, 4)), digest)


def unsafe(code: str | None, kind: CategoryKind = CategoryKind.KNOWN, nearest: str | None = None) -> Judgement:
    return Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE, category=Category(kind, code, nearest=nearest))


async def test_a_repeat_is_answered_without_asking_in_the_same_batch_and_later() -> None:
    inner = Asked(b=unsafe("C3S1"))
    guard = CachedGuard(inner, POLICY, 10)
    first = await guard.judge([GuardRequest("a"), GuardRequest("b"), GuardRequest("a")])
    again = await guard.judge([GuardRequest("b"), GuardRequest("c"), GuardRequest("a")])
    assert inner.asked == ["a", "b", "c"]
    assert first == [SAFE, unsafe("C3S1"), SAFE]
    assert again == [unsafe("C3S1"), SAFE, SAFE]
    assert (guard.hits, guard.misses) == (3, 3)


@pytest.mark.parametrize(
    "other",
    [
        GuardRequest("a", "c", picture("1")),
        GuardRequest("b", "b", picture("1")),
        GuardRequest("a", None, picture("1")),
        GuardRequest("a", "", picture("1")),
        GuardRequest("ab", "", picture("1")),
        GuardRequest("a", "b", picture("2")),
        GuardRequest("a", "b", picture("1#0")),
        GuardRequest("a", "b"),
        GuardRequest("a", "b", picture("1"), "de"),
        GuardRequest("a", "b", picture("1"), accompanied=True),
        GuardRequest("", "ab", picture("1")),
    ],
)
async def test_what_differs_in_anything_is_another_question(other: GuardRequest) -> None:
    guard = CachedGuard(Asked(), POLICY, 10)
    await guard.judge([GuardRequest("a", "b", picture("1"))])
    await guard.judge([other])
    assert (guard.hits, guard.misses) == (0, 2)


async def test_another_revision_or_policy_is_asked_anew() -> None:
    inner = Asked()
    guard = CachedGuard(inner, POLICY, 10)
    await guard.judge([GuardRequest("a")])
    inner.revision = "r2"  # swapped below the cache
    await guard.judge([GuardRequest("a")])
    await guard.swap("r3")
    assert len(guard) == 0
    await guard.judge([GuardRequest("a")])
    assert inner.asked == ["a"] * 3
    small = parse_policy(SMALL.encode(), "small.yaml", "small.yaml")
    assert guard._key(GuardRequest("a")) != CachedGuard(inner, small, 1)._key(GuardRequest("a"))


async def test_it_is_bounded_and_forgets_what_was_unused_for_longest() -> None:
    inner = Asked()
    guard = CachedGuard(inner, POLICY, 2)
    for text in ("a", "b", "a", "c"):
        await guard.judge([GuardRequest(text)])
    assert len(guard) == 2
    inner.asked.clear()
    await guard.judge([GuardRequest("a"), GuardRequest("c"), GuardRequest("b")])
    assert inner.asked == ["b"]
    await guard.judge([GuardRequest(str(number)) for number in range(50)])
    assert len(guard) == 2


MINORS = [
    unsafe("C11S1"),
    unsafe("C11"),
    unsafe("C11S2"),
    unsafe(None, CategoryKind.NOVEL, "C11S1"),
    unsafe(None, CategoryKind.NOVEL, "C11"),
    Judgement(Outcome.UNSAFE, category=Category(CategoryKind.HALLUCINATED, name="c11s1")),
]


@pytest.mark.parametrize("judgement", MINORS)
async def test_nothing_near_minors_is_remembered_nor_what_was_judged_beside_it(judgement: Judgement) -> None:
    guard = CachedGuard(Asked(harm=judgement), POLICY, 10)
    batch = [
        GuardRequest("harm", None, picture("1#0")),
        GuardRequest("", None, picture("1#1")),
        GuardRequest("harm", "x"),
    ]
    await guard.judge(batch)
    assert len(guard) == 0
    await guard.judge([*batch, GuardRequest("other")])
    assert len(guard) == 1


async def test_memory_holds_neither_text_nor_digest() -> None:
    guard = CachedGuard(Asked(), POLICY, 10)
    await guard.judge([GuardRequest("private words", None, picture("0123abcd"))])
    held = repr(vars(guard))
    assert "private words" not in held
    assert "0123abcd" not in held
    assert guard._key(GuardRequest("a")) != CachedGuard(Asked(), POLICY, 1)._key(GuardRequest("a"))


async def test_undetermined_is_asked_again() -> None:
    inner = Asked(a=Judgement(Outcome.UNDETERMINED, Reason.UNPARSEABLE))
    guard = CachedGuard(inner, POLICY, 10)
    await guard.judge([GuardRequest("a")])
    await guard.judge([GuardRequest("a")])
    assert inner.asked == ["a", "a"]


async def test_a_failure_passes_through_and_the_canary_is_never_answered_from_memory() -> None:
    inner = Asked()
    guard = CachedGuard(inner, POLICY, 10)
    await guard.judge([GuardRequest("a")])
    inner.error = GuardError("down")
    assert await guard.judge([GuardRequest("a")]) == [SAFE]
    with pytest.raises(GuardError, match="down"):
        await guard.judge([GuardRequest("a"), GuardRequest("b")])
    with pytest.raises(GuardUnavailable):
        await guard.probe()
    assert len(guard) == 1
