"""An engine in 40 lines: a list of words. `[guard] engine = "tests.support.word_list_guard:WordListGuard"`."""

from collections.abc import Sequence
from hashlib import sha256

from proguard_core.guards.protocol import Category, GuardError, GuardLimits, GuardOptions, GuardRequest, Judgement
from proguard_core.policy.policy import Policy
from schemas.common import CategoryKind, Outcome, Reason


class WordListGuard:
    name, limits = "word-list", GuardLimits()

    def __init__(self, options: GuardOptions, policy: Policy) -> None:
        words = options.settings.get("words", {})
        if not isinstance(words, dict):
            raise ValueError("guard.settings.words must be a table of words and their categories")
        self._codes = {str(word).casefold(): str(code) for word, code in words.items()}
        self.revision = sha256(f"{policy.version} {sorted(self._codes.items())}".encode()).hexdigest()[:16]

    async def start(self) -> None: ...

    async def probe(self) -> None: ...

    async def close(self) -> None: ...

    async def swap(self, revision: str) -> None:
        if revision != self.revision:
            raise GuardError(f"there is only {self.revision}")

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        return [self._judge(request) for request in requests]

    def _judge(self, request: GuardRequest) -> Judgement:
        text = f"{request.text} {request.response or ''}".casefold()
        if code := next((code for word, code in self._codes.items() if word in text), None):
            return Judgement(Outcome.UNSAFE, category=Category(CategoryKind.KNOWN, code))
        if request.picture is not None:  # what was not looked at is never safe
            return Judgement(Outcome.UNDETERMINED, Reason.NOT_JUDGEABLE)
        return Judgement(Outcome.SAFE)
