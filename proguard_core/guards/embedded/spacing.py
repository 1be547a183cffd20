"""Words that ran together when a picture was read: the recogniser loses spaces between tight letters."""

import math
import re
from collections.abc import Mapping

from proguard_core.guards.embedded.words import load_words

# Shorter runs are nearly always words or names; longer ones no line of a picture holds.
_RUN = re.compile(r"[A-Za-z]{10,200}")
_LONGEST = 16
_COMMON = 4000
# Of two ways the one with fewer words: "into" is rarer than "in" and "to".
_A_WORD = 3.0
_LETTERS_A_WORD = 2.5
# Two words are often one: "undermining", "keystrokes".
_FEWEST = 3


class Spacing:
    """Cuts runs of letters into words of a vocabulary whose order is that of frequency, as BERT's is."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        small = frozenset(load_words()["English"].split())
        words = {word: place for word, place in vocabulary.items() if word.isascii() and word.isalpha()}
        first = min((place for word, place in words.items() if len(word) > 1), default=0)
        words = {
            word: place
            for word, place in words.items()
            # The vocabulary holds many short pieces of names, which any run of letters could be cut into.
            if word in small or (len(word) > 2 and place - first < _COMMON) or len(word) > 3
        }
        # Zipf: the word at rank r has a share of about 1 / r.
        self._costs = {word: math.log(max(place - first, 0) + 2) + _A_WORD for word, place in words.items()}

    def spaced(self, text: str) -> str:
        """The text, with a space between the words of each run that is no word but is made of words."""
        return _RUN.sub(lambda run: " ".join(self._cut(run.group())), text)

    def _cut(self, run: str) -> list[str]:
        """The cheapest words that make up the run; the run itself where there are none, or where it is a word."""
        lower = run.lower()
        if lower in self._costs:
            return [run]
        best: list[tuple[float, int]] = [(0.0, 0)]
        for end in range(1, len(lower) + 1):
            tried = (
                (best[start][0] + self._costs.get(lower[start:end], math.inf), start)
                for start in range(max(0, end - _LONGEST), end)
            )
            best.append(min(tried))
        if math.isinf(best[-1][0]):
            return [run]
        words, end = list[str](), len(run)
        while end:
            start = best[end][1]
            words.append(run[start:end])
            end = start
        is_told = _FEWEST <= len(words) <= len(run) / _LETTERS_A_WORD
        return words[::-1] if is_told else [run]
