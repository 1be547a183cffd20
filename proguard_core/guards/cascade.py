"""A small guard before a big one: what the small one is sure of stands, all else reaches the big one."""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from proguard_core.guards.audit import Audit
from proguard_core.guards.counts import CASCADE, CASCADE_UNSAFE, Counts, counts_of
from proguard_core.guards.embedded.windows import normalise
from proguard_core.guards.ngrams.features import is_english, is_plain
from proguard_core.guards.protocol import Guard, GuardLimits, GuardRequest, Judgement
from proguard_core.guards.revision import revision_of
from proguard_core.policy.policy import SEXUAL
from schemas.common import CategoryKind, Outcome

_SUFFIX_DIGITS = 8
# Part of the revision: change it with what Sureness shows or lets pass.
_RULES = "4"
# Characters that turn the order of what is read: the letters as they are stored say something else than a reader sees.
# And letters in black circles and squares, which are emoji to a reader and plain letters once they are normalised.
_TURNING_OR_FRAMED = re.compile("[\u202a-\u202e\u2066-\u2069\U0001f150-\U0001f169\U0001f170-\U0001f189]")


@dataclass(frozen=True, slots=True)
class Sureness:
    """When the first guard's answer stands, by its score in [0, 1], and how that is watched.

    safe_below: safe stands below it. unsafe_from: unsafe of a listed category stands from it on, 0: never. responses:
    whether posts with a response are shown to the first guard at all. plain: whether only text in plain letters and
    signs is shown to it, since a small guard of words does not know what an emoji turns a sentence into; what is not
    English for certain it is never shown. novel_from: no answer stands from this novelty on (1: what is further from
    home than every text that the measure was fitted to), where the first guard can tell. audit: share of what passed
    as safe that the second guard judges nevertheless. least_recall: what is said in the log when recall lies below it.
    """

    safe_below: float = 0.08
    unsafe_from: float = 0.0
    responses: bool = False
    plain: bool = True
    novel_from: float = 0.99
    audit: float = 0.01
    least_recall: float = 0.99

    def shows(self, request: GuardRequest) -> bool:
        """Whether the first guard is asked at all: never about a post with pictures, whatever of it is asked here."""
        if request.picture is not None or request.accompanied or (request.response is not None and not self.responses):
            return False
        texts = [text for text in (request.text, request.response) if text]
        fits = _is_plain if self.plain else _is_english
        return bool(texts) and all(fits(text, request.language) for text in texts)

    def passes(self, judgement: Judgement) -> bool:
        """Whether an answer stands. A missing score is no sureness; high novelty, nameless risks and doubt go on."""
        if judgement.score is None or (judgement.novelty is not None and not judgement.novelty < self.novel_from):
            return False
        if judgement.outcome is Outcome.SAFE:
            return judgement.score < self.safe_below
        if judgement.outcome is not Outcome.UNSAFE or not self.unsafe_from or judgement.score < self.unsafe_from:
            return False
        code = judgement.category.code
        # Whether minors are concerned is for the guard that can tell.
        return judgement.category.kind is CategoryKind.KNOWN and code is not None and code.partition("S")[0] != SEXUAL


def _is_plain(text: str, language: str | None) -> bool:
    return not _TURNING_OR_FRAMED.search(text) and is_plain(normalise(text), language)


def _is_english(text: str, language: str | None) -> bool:
    return is_english(normalise(text), language)


class CascadeGuard:
    """Keeps the guard protocol. A judgement names the guard that judged; its revision covers both guards and Sureness.

    Pictures never stop at the first guard. The audit draws by a hash of the content, so that a batch that is judged
    again draws alike. A failure of either guard fails the batch.
    """

    def __init__(self, first: Guard, second: Guard, sureness: Sureness) -> None:
        self._first, self._second = first, second
        self._sureness = sureness
        self._suffix = "." + revision_of(first.revision, repr(sureness), _RULES)[:_SUFFIX_DIGITS]
        self._audit = Audit(sureness.audit, sureness.least_recall)

    @property
    def name(self) -> str:
        """Both guards'."""
        return f"{self._first.name}, {self._second.name}"

    @property
    def revision(self) -> str:
        """The second guard's, and a hash of the first one's and of the thresholds."""
        return self._second.revision + self._suffix

    @property
    def limits(self) -> GuardLimits:
        """What both can take; pictures are the second guard's alone."""
        first, second = self._first.limits, self._second.limits
        return GuardLimits(min(first.window_bytes, second.window_bytes), second.max_pixels)

    async def start(self) -> None:
        """Start both. Raises what either raises, with neither left running."""
        try:
            # Both end before either is closed: one that was still starting would be up afterwards.
            done = await asyncio.gather(self._first.start(), self._second.start(), return_exceptions=True)
            for error in done:
                if error is not None:
                    raise error
        except BaseException:
            await self.close()
            raise

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order."""
        answers, audited = await self._judge_first(requests)
        rest = [index for index in range(len(requests)) if index not in answers]
        if rest:
            asked = [replace(requests[index], revision=self._wanted(requests[index])) for index in rest]
            before = self._second.revision
            judgements = await self._second.judge(asked)
            if len(judgements) != len(rest):
                raise ValueError(f"{len(rest)} requests got {len(judgements)} judgements")
            for index, judgement in zip(rest, judgements, strict=True):
                answers[index] = self._signed(judgement, self._second, judgement.revision or before)
                self._count(judgement, audited=index in audited)
        # Counted once the batch has its answers: one that fails is judged again.
        self._audit.passed += len(requests) - len(rest)
        return [answers[index] for index in range(len(requests))]

    async def probe(self) -> None:
        """Both guards' canaries."""
        await self._first.probe()
        await self._second.probe()

    async def swap(self, revision: str) -> None:
        """The second guard's; the first one stays."""
        await self._second.swap(revision.removesuffix(self._suffix))

    async def close(self) -> None:
        """Both."""
        await asyncio.gather(self._first.close(), self._second.close())

    def counts(self) -> Counts:
        """How many questions went which way, and the unsafe ones among those that the second guard saw."""
        audit = self._audit
        ways = {"passed": audit.passed, "forwarded": audit.forwarded, "audited": audit.audited}
        unsafe = {"found": audit.found, "missed": audit.missed}
        return {**counts_of(self._second), CASCADE: ways, CASCADE_UNSAFE: unsafe}

    async def _judge_first(self, requests: Sequence[GuardRequest]) -> tuple[dict[int, Judgement], set[int]]:
        """The answers that stand, by place, and the places that passed but are audited."""
        shown = [index for index, request in enumerate(requests) if self._sureness.shows(request)]
        judgements = await self._first.judge([replace(requests[index], revision=None) for index in shown])
        passed = {
            index: judgement
            for index, judgement in zip(shown, judgements, strict=True)
            if self._sureness.passes(judgement)
        }
        audited = {
            index
            for index, judgement in passed.items()
            if judgement.outcome is Outcome.SAFE and self._is_drawn(requests[index])
        }
        current = self._second.revision
        stand = {
            index: self._signed(passed[index], self._first, self._wanted(requests[index]) or current)
            for index in passed
            if index not in audited
        }
        return stand, audited

    def _signed(self, judgement: Judgement, guard: Guard, revision: str) -> Judgement:
        return replace(judgement, guard=judgement.guard or guard.name, revision=revision + self._suffix)

    def _wanted(self, request: GuardRequest) -> str | None:
        """The revision that a request wants, as the second guard knows it; None where it was never one of ours."""
        wanted = request.revision
        return wanted.removesuffix(self._suffix) if wanted is not None and wanted.endswith(self._suffix) else None

    def _is_drawn(self, request: GuardRequest) -> bool:
        hashed = hashlib.blake2b(self._suffix.encode(), digest_size=8)
        for part in (request.text, request.response or ""):
            hashed.update(b"\0" + part.encode("utf-8", "surrogatepass"))
        return int.from_bytes(hashed.digest()) < self._sureness.audit * 2**64

    def _count(self, judgement: Judgement, *, audited: bool) -> None:
        unsafe = judgement.outcome is Outcome.UNSAFE
        if not audited:
            self._audit.forwarded += 1
            self._audit.found += unsafe
            return
        self._audit.audited += 1
        if unsafe:
            self._audit.note_missed()
