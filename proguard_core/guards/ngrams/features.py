"""Text to hashed runs of word pieces. Teaching and judging both use this file, so that they cannot part."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.language import has_english_word, speaks_english

BITS = 18
SLOTS = 1 << BITS
MOST_PIECES = 64
# Above it a text is spelled out ("k i l l"), coded or a list of signs: nothing for a model of words.
_MOST_SINGLE = 0.4
_ORDINARY = frozenset("‘’“”–—…•€£¥°é\n\t\r")
# Odd numbers, one a length of the run; the sum of products is hashed once more (Knuth's multiplicative method).
_FACTORS = (1_000_003, 7_919, 104_729)
_KNUTH = 2_654_435_761
_SHIFT = 7


def slots(ids: Sequence[int]) -> NDArray[np.int64]:
    """Places in [0, SLOTS) of every run of one, two and three pieces, each once, in order. Empty without pieces."""
    one = np.asarray(ids, dtype=np.int64)
    two = one[:-1] * _FACTORS[0] + one[1:] * _FACTORS[1] + 1
    three = one[:-2] * _FACTORS[0] + one[1:-1] * _FACTORS[1] + one[2:] * _FACTORS[2] + 2
    return np.unique((np.concatenate([one, two, three]) * _KNUTH >> _SHIFT) & (SLOTS - 1))


def weight(count: int) -> float:
    """Of each of `count` slots, so that every text has the length 1."""
    return float(1.0 / np.sqrt(count)) if count else 0.0


def is_plain(text: str, language: str | None) -> bool:
    """Whether the normalised text is English in ordinary letters and signs, before it is cut into pieces."""
    if not (text.isascii() or all(letter.isascii() or letter in _ORDINARY for letter in text)):
        return False
    return is_english(text, language)


def is_english(text: str, language: str | None) -> bool:
    """Whether the normalised text is English for certain: one without a small word of it ("vendo armas baratas") is of
    an unknown language.
    """
    return has_english_word(text) and speaks_english(text, language)


class Words:
    """Tells whether pieces, as ids of one vocabulary, are few, known, and words."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._unknown = vocabulary["[UNK]"]
        # "a" and "i" are words, and stand in many a sentence; the bound allows for them.
        self._single = frozenset(
            place
            for piece, place in vocabulary.items()
            if len(bare := piece.removeprefix("##")) == 1 and bare.isalnum()
        )

    def are_read(self, ids: Sequence[int]) -> bool:
        """False for nothing, for long texts, for unknown pieces, and for what is spelled out or in code."""
        if not 0 < len(ids) <= MOST_PIECES or self._unknown in ids:
            return False
        return sum(place in self._single for place in ids) <= _MOST_SINGLE * len(ids)
