"""A guard that remembers exact repeats: the same text, the same picture, the same policy, the same revision."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence

from proguard_core.guards.counts import CACHE, Counts, counts_of
from proguard_core.guards.protocol import Guard, GuardLimits, GuardRequest, Judgement
from proguard_core.policy.policy import SEXUAL, Policy
from schemas.common import Outcome


class CachedGuard:
    """Keeps the guard protocol around another guard, whose name and revision it bears: that one judged.

    size: judgements remembered, the one unused for longest is forgotten first. Keys are hashes with a salt of this
    process, so that memory holds no content and no digest that could be looked up. Undetermined is not remembered, nor
    anything of the sexual category, of a risk near to it, or of what was judged beside these (law 11).
    """

    def __init__(self, inner: Guard, policy: Policy, size: int) -> None:
        self._inner = inner
        self._policy = policy
        self._size = size
        self._salt = os.urandom(16)
        self._judgements: OrderedDict[bytes, Judgement] = OrderedDict()
        self.hits = 0
        self.misses = 0

    @property
    def name(self) -> str:
        """The inner guard's."""
        return self._inner.name

    @property
    def revision(self) -> str:
        """The inner guard's."""
        return self._inner.revision

    @property
    def limits(self) -> GuardLimits:
        """The inner guard's."""
        return self._inner.limits

    def __len__(self) -> int:
        """Judgements remembered."""
        return len(self._judgements)

    async def start(self) -> None:
        """Start the inner guard."""
        await self._inner.start()

    async def judge(self, requests: Sequence[GuardRequest]) -> list[Judgement]:
        """One judgement a request, in order; the inner guard is asked once about what is new in the batch."""
        revision = self.revision
        keys = [self._key(request) for request in requests]
        answers: dict[bytes, Judgement] = {}
        asked: dict[bytes, GuardRequest] = {}
        for key, request in zip(keys, requests, strict=True):
            if (known := self._judgements.get(key)) is not None:
                self._judgements.move_to_end(key)
                answers[key] = known
            else:
                asked[key] = request
        self.misses += len(asked)
        self.hits += len(requests) - len(asked)
        if asked:
            judged = await self._inner.judge(list(asked.values()))
            if len(judged) != len(asked):
                raise ValueError(f"{len(asked)} requests got {len(judged)} judgements")
            answers.update(zip(asked, judged, strict=True))
            self._remember(asked, answers, revision)
        return [answers[key] for key in keys]

    async def probe(self) -> None:
        """Ask the inner guard: a canary must not be answered from memory."""
        await self._inner.probe()

    async def swap(self, revision: str) -> None:
        """Swap the inner guard's and forget everything."""
        await self._inner.swap(revision)
        self._judgements.clear()

    async def close(self) -> None:
        """Close the inner guard and forget everything."""
        self._judgements.clear()
        await self._inner.close()

    def counts(self) -> Counts:
        """The inner guard's, and questions answered from memory or not."""
        return {**counts_of(self._inner), CACHE: {"hit": self.hits, "miss": self.misses}}

    def _remember(self, asked: dict[bytes, GuardRequest], answers: dict[bytes, Judgement], revision: str) -> None:
        """revision: in force before these were asked. What another one judged than the key says is not kept."""
        withheld = {key for key in asked if _is_withheld(answers[key])}
        parts = {part for key in withheld for part in _parts(asked[key])}
        for key, request in asked.items():
            if answers[key].outcome is Outcome.UNDETERMINED or key in withheld or parts.intersection(_parts(request)):
                continue
            judged_by = answers[key].revision
            if judged_by is None and self.revision != revision:  # nobody knows which revision judged
                continue
            if judged_by is not None and judged_by != (request.revision or revision):
                continue
            self._judgements[key] = answers[key]
            self._judgements.move_to_end(key)
        while len(self._judgements) > self._size:
            self._judgements.popitem(last=False)

    def _key(self, request: GuardRequest) -> bytes:
        hashed = hashlib.blake2b(key=self._salt, digest_size=32)
        picture = request.picture.digest if request.picture is not None else None
        revision = request.revision or self.revision
        # Alone a text may be judged by another guard (cascade.py) than in company.
        company = "accompanied" if request.accompanied else None
        parts = (request.text, request.response, picture, request.language, company, self._policy.version, revision)
        for part in parts:
            # With its length, so that no two requests make the same sequence of bytes.
            data = b"-" if part is None else part.encode("utf-8", "surrogatepass")
            hashed.update(f"{-1 if part is None else len(data)}:".encode() + data)
        return hashed.digest()


def _is_withheld(judgement: Judgement) -> bool:
    """Whether the post may concern minors: a picture beside the text, judged later, can still make C11S1 of C11."""
    category = judgement.category
    return any(
        said is not None and said.strip().upper().partition("S")[0] == SEXUAL
        for said in (category.code, category.nearest, category.name)
    )


def _parts(request: GuardRequest) -> list[str]:
    """What another question of the same post has in common with this one."""
    texts = [text for text in (request.text, request.response) if text]
    return [*texts, request.picture.digest.partition("#")[0]] if request.picture is not None else texts
