"""A first guard for cascades, told by words of a text what to say.

`score:0.003` is the score (0.001 without one), `far:0.5` the novelty (none without), `novel` makes it nameless.
"""

import re
from collections.abc import Sequence

from proguard_core.guards.protocol import Category, GuardError, GuardLimits, GuardRequest, Judgement
from schemas.common import CategoryKind, Outcome, Reason

_SCORE = re.compile(r"score:([0-9.]+|none)")
_FAR = re.compile(r"far:([0-9.]+)")
_KNOWN = re.compile(r"unsafe:(C\d+(?:S\d+)?)")


class ScoredGuard:
    """Unsafe from a score of 0.5 on, and for `unsafe:CODE` (then 0.9); `foreign` is undetermined. asked: the texts."""

    name, revision, limits = "scored", "s1", GuardLimits(window_bytes=2048)

    def __init__(self) -> None:
        self.asked: list[GuardRequest] = []
        self.error: Exception | None = None

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def probe(self) -> None:
        if self.error is not None:
            raise self.error

    async def swap(self, revision: str) -> None:
        if revision != self.revision:
            raise GuardError("there is one only")

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        if self.error is not None:
            raise self.error
        self.asked += requests
        return [_judgement(request.text) for request in requests]


def _judgement(text: str) -> Judgement:
    code = _KNOWN.search(text)
    said = _SCORE.search(text)
    far = _FAR.search(text)
    novelty = float(far[1]) if far else None
    score = None if said and said[1] == "none" else float(said[1]) if said else 0.9 if code else 0.001
    if "foreign" in text:
        return Judgement(Outcome.UNDETERMINED, Reason.UNSUPPORTED_LANGUAGE, score=score)
    if (score or 0.0) < 0.5:
        return Judgement(Outcome.SAFE, request=Outcome.SAFE, score=score, novelty=novelty)
    category = Category(CategoryKind.KNOWN, code[1] if code else "C3S1")
    if "novel" in text:
        category = Category(CategoryKind.NOVEL, name="something new")
    return Judgement(Outcome.UNSAFE, request=Outcome.UNSAFE, category=category, score=score, novelty=novelty)
