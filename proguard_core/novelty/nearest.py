"""Which listed category a name is close to: the mean similarity to the phrases that fit it best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proguard_core.novelty.bank import Bank
from proguard_core.novelty.encoder import Floats, SentenceEncoder
from proguard_core.policy.policy import MINORS, SEXUAL, Policy

# The best phrase alone takes general names ("Harmful content") for close; a mean over all would punish a long bank.
BEST = 5
# By how much another code may be closer than minors are, for whom a doubt counts.
MARGIN = 0.05
# Cosine similarity to a single phrase of a listed category from which a name says nothing new (RewardSettings has the
# same for what is guessed): "Scams and financial fraud" has 0.93, "Ghost gun kits" 0.62.
SAME = 0.8


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Cosine similarities from which a name is close, fitted to the encoder (training/sentence_encoder/fit.py)."""

    near: float
    minors: float


def phrases_of(policy: Policy, bank: Bank) -> dict[str, tuple[str, ...]]:
    """Phrases of every listed code that is not divided further, and of all that the bank knows of the sexual category.

    A code of that category that the policy does not list counts as the whole of it (decision 0011).
    """
    divided = {item.main for item in policy.subcategories.values()}
    items = [*policy.subcategories.values()]
    items += [item for code, item in policy.categories.items() if code not in divided]
    found = {item.code: (item.name, *item.synonyms, *bank.of(item.code)) for item in items}
    for code in bank.phrases:
        if code.partition("S")[0] == SEXUAL and code not in found:
            found[code] = bank.of(code)
    return found


def score(similarities: Floats) -> Floats:
    """names x phrases of one code -> names: the mean of the BEST largest."""
    best = -np.partition(-similarities, min(BEST, similarities.shape[1]) - 1, axis=1)[:, :BEST]
    return np.asarray(best.mean(axis=1), dtype=np.float32)


def near_minors(minors: Floats, best: Floats, bound: float) -> NDArray[np.bool_]:
    """Whether names are close to minors, by their score there and the best of all scores (law 11: on the safe side)."""
    return np.asarray((minors >= bound) & (minors >= best - MARGIN))


class Nearest:
    """The phrases as vectors, made once. `near` may be called from several threads at once."""

    def __init__(
        self, encoder: SentenceEncoder, phrases: Mapping[str, Sequence[str]], listed: frozenset[str], bounds: Thresholds
    ) -> None:
        self._encoder = encoder
        self._codes = list(phrases)
        self._listed = listed
        self._bounds = bounds
        self._vectors = encoder.encode([phrase for code in self._codes for phrase in phrases[code]])
        sizes = [len(phrases[code]) for code in self._codes]
        self._starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def near(self, names: Sequence[str]) -> list[tuple[str | None, float | None]]:
        """For each name the code that it is close to with the similarity in [-1, 1], or None twice."""
        similarities = self._encoder.encode(names) @ self._vectors.T
        scores = np.stack(
            [score(similarities[:, a:b]) for a, b in zip(self._starts, self._starts[1:], strict=False)], axis=1
        )
        return [self._choose(row) for row in scores]

    def same(self, names: Sequence[str]) -> list[str | None]:
        """For each name the listed code that has it in other words, or None."""
        similarities = self._encoder.encode(names) @ self._vectors.T
        best = similarities.argmax(axis=1)
        codes = [self._codes[at] for at in np.searchsorted(self._starts, best, side="right") - 1]
        found = similarities[np.arange(len(names)), best] >= SAME
        return [code if same and code in self._listed else None for code, same in zip(codes, found, strict=True)]

    def _choose(self, scores: Floats) -> tuple[str | None, float | None]:
        best = int(scores.argmax())
        if MINORS in self._codes:
            minors = scores[self._codes.index(MINORS)]
            if near_minors(minors, scores[best], self._bounds.minors):
                return MINORS, round(float(minors), 4)
        if scores[best] < self._bounds.near:
            return None, None
        code = self._codes[best]
        return code if code in self._listed else SEXUAL, round(float(scores[best]), 4)
