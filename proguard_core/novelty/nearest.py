"""Which listed category a name is close to: what it states itself, else the mean similarity to phrases that fit."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proguard_core.novelty.bank import Bank
from proguard_core.novelty.encoder import Floats, SentenceEncoder
from proguard_core.policy.policy import MINORS, SEXUAL, Policy
from proguard_core.policy.taxonomy import name_key

# The best phrase alone takes general names ("Harmful content") for close; a mean over all would punish a long bank.
BEST = 5
# By how much another code may be closer than minors are, for whom a doubt counts.
MARGIN = 0.05
# Where scripts begin that are written without blanks (Chinese, Japanese; Korean has some, and endings on its words).
_UNSPACED = 0x1100
_KATAKANA = "ァ-ヺー"
# Longer ones have endings.
_ABBREVIATION = 4
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


class Stated:
    """What a name says in so many words: a phrase of a code as it stands, or one of its words somewhere in it."""

    def __init__(self, phrases: Mapping[str, Sequence[str]], words: Mapping[str, Sequence[str]]) -> None:
        self._codes = {name_key(phrase): code for code, each in phrases.items() for phrase in each}
        # Minors first: of several words in a name theirs counts.
        ordered = sorted((code for code in words if code in phrases), key=lambda code: code != MINORS)
        self._words = [(code, re.compile("|".join(map(_beginning, words[code])))) for code in ordered if words[code]]

    def of(self, name: str) -> str | None:
        """The code, minors before all; None where it says none."""
        key = name_key(unicodedata.normalize("NFKC", name))
        said = [code for code, found in self._words if found.search(key)]
        exact = self._codes.get(key)
        return MINORS if MINORS in (*said, exact) else exact or next(iter(said), None)


def _beginning(word: str) -> str:
    """A pattern that finds it where it begins a word, an abbreviation where it is one.

    Chinese has it anywhere; katakana set words apart by being none before it.
    """
    escaped = re.escape(word)
    if all(ord(letter) < _UNSPACED for letter in word):
        return rf"(?<!\w){escaped}" if len(word) > _ABBREVIATION else rf"(?<!\w){escaped}(?!\w)"
    return rf"(?<![{_KATAKANA}]){escaped}" if re.match(f"[{_KATAKANA}]", word) else escaped


def _readable(phrases: Sequence[str]) -> Sequence[str]:
    """Those in Latin letters: to the encoder, which was taught English, others are all alike. All where none is."""
    latin = [phrase for phrase in phrases if all(_is_latin(sign) for sign in phrase if sign.isalpha())]
    return latin or phrases


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN")


class Nearest:
    """The phrases as vectors, made once. `near` may be called from several threads at once."""

    def __init__(
        self,
        encoder: SentenceEncoder,
        phrases: Mapping[str, Sequence[str]],
        listed: frozenset[str],
        bounds: Thresholds,
        words: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._encoder = encoder
        self._codes = list(phrases)
        self._listed = listed
        self._bounds = bounds
        self._stated = Stated(phrases, words or {})
        readable = {code: _readable(phrases[code]) for code in self._codes}
        self._vectors = encoder.encode([phrase for code in self._codes for phrase in readable[code]])
        sizes = [len(readable[code]) for code in self._codes]
        self._starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def near(self, names: Sequence[str]) -> list[tuple[str | None, float | None]]:
        """For each name the code that it is close to with the similarity in [-1, 1], or None twice.

        What a name states by itself comes first, minors before all; then a phrase that is the same in other words.
        """
        similarities = self._encoder.encode(names) @ self._vectors.T
        parts = [similarities[:, a:b] for a, b in zip(self._starts, self._starts[1:], strict=False)]
        scores = np.stack([score(part) for part in parts], axis=1)
        closest = np.stack([part.max(axis=1) for part in parts], axis=1)
        return [
            self._stated_or_same(name, row) or self._choose(means)
            for name, row, means in zip(names, closest, scores, strict=True)
        ]

    def same(self, names: Sequence[str]) -> list[str | None]:
        """For each name the listed code that has it in other words, or None."""
        similarities = self._encoder.encode(names) @ self._vectors.T
        best = similarities.argmax(axis=1)
        codes = [self._codes[at] for at in np.searchsorted(self._starts, best, side="right") - 1]
        found = similarities[np.arange(len(names)), best] >= SAME
        said = map(self._stated.of, names)
        chosen = [stated or (code if same else None) for stated, code, same in zip(said, codes, found, strict=True)]
        return [code if code in self._listed else None for code in chosen]

    def _stated_or_same(self, name: str, closest: Floats) -> tuple[str, float] | None:
        """closest: of each code the similarity of the one phrase that fits best."""
        stated = self._stated.of(name)
        alike = {code: float(closest[at]) for at, code in enumerate(self._codes) if closest[at] >= SAME}
        code = (
            MINORS if MINORS in {stated, *alike} else stated or max(alike, key=lambda each: alike[each], default=None)
        )
        if code is None:
            return None
        similarity = 1.0 if code == stated else round(alike[code], 4)
        return (code if code in self._listed else SEXUAL), similarity

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
