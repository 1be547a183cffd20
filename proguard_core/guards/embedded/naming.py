"""A short name for a risk that the policy does not list: what the post is about and, where it is known, the harm.

What the post is about is the phrase of its own whose words the guard's network finds nearest to the whole of it. The
name leaves the guard for topics and pages, so it takes no digits, no handles, no links, and no names of people as far
as lists and letters tell: only words that the encoder's vocabulary holds whole, that are no frequent given or family
names, stand behind no title (mr) and, unless they begin a sentence, are written in small letters.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.words import load_words
from proguard_core.policy.policy import MINORS, SEXUAL, Policy

FEWEST, MOST = 3, 5
PHRASE_WORDS = 3
# Phrases whose words are read; a word costs half a millisecond, and later ones of a post changed no figure.
CANDIDATES = 16
MINORS_NAME = "Possible sexual risk to minors"
UNNAMED = "Unlisted"
NOTHING_SAID = "Unlisted kind of harm"

KINDS = {
    "C1": "rights violation",
    "C2": "deception",
    "C3": "manipulation",
    "C4": "digital intrusion",
    "C5": "environmental hazard",
    "C6": "illicit dealing",
    "C7": "hostility",
    "C8": "dangerous goods",
    "C9": "real harm",
    "C10": "disturbing scenes",
    "C11": "sexual exposure",
}
_PLAIN_KIND = "risk"
# A phrase counts for more the less harmless the guard finds its words, and the more telling ones it has.
_ALARM, _WORD_MORE = 0.2, 0.03
# Not within a word, where it is a link.
_SENTENCE = re.compile(r"[.!?]+(?=\s|$)|\n+")
_TOKEN = re.compile(r"\S+")
_WORD = re.compile(r"[A-Za-z]{1,20}")
_QUOTES = "\"'()[]{},:;…“”‘’*_-"
_WORDS = load_words()
_EMPTY_WORDS = frozenset(f"{_WORDS['empty']} {_WORDS['English']}".split())
_NAMES = frozenset(f"{_WORDS['given_names']} {_WORDS['family_names']}".split())
# A name follows them, whatever it is.
_TITLES = frozenset({"mr", "mrs", "ms", "miss", "dr", "prof", "sir", "madam", "officer", "uncle", "aunt", "auntie"})
_SHORTEST_TELLING = 3
_STEM = 6


@dataclass(frozen=True, slots=True)
class Sense:
    """What the network makes of a word read by itself: features of length 1, and its score as a request."""

    features: NDArray[np.float64]
    score: float


Read = Callable[[Sequence[str]], list[Sense]]
"""One sense a word; all words of one call belong to one post."""


def novel_name(
    text: str,
    about: NDArray[np.float64],
    nearest: str | None,
    kin: str | None,
    vocabulary: dict[str, int],
    policy: Policy,
    read: Read,
) -> str:
    """A name of FEWEST to MOST words of letters that is no listed name or synonym.

    about: the features of the post where the risk was found, of length 1. nearest: the listed code that is closest.
    kin: the main category that the network takes the post for, listed or not, which lends the name its kind of harm;
    None where it is not sure. Near to minors the name takes no word of the post.
    """
    if nearest in {MINORS, SEXUAL}:
        return MINORS_NAME
    kind = KINDS[kin].split() if kin in KINDS else []
    candidates = phrases(text, vocabulary)
    worth = _worth(about, candidates, read)
    subject = _subject(candidates, worth, FEWEST - len(kind))
    if _says(subject, kind):
        subject, kind = _subject(candidates, worth, FEWEST), []
    name = " ".join(_filled(subject, kind)).capitalize()
    return name if name.casefold() not in _listed_names(policy) else _another(name)


def phrases(text: str, vocabulary: dict[str, int]) -> list[str]:
    """At most CANDIDATES runs of up to PHRASE_WORDS words of a text, with telling words at both ends; shorter first."""
    found: dict[str, None] = {}
    for run in _runs(text, vocabulary):
        for start, first in enumerate(run):
            if not _is_telling(first):
                continue
            for end in range(start, min(len(run), start + PHRASE_WORDS)):
                words = run[start : end + 1]
                if _is_telling(run[end]) and len(set(words)) == len(words):
                    found[" ".join(words)] = None
    return list(found)[:CANDIDATES]


def _worth(about: NDArray[np.float64], candidates: Sequence[str], read: Read) -> dict[str, float]:
    """How well each phrase stands for the post, by the sum of its telling words: each word is read once."""
    words = list(dict.fromkeys(word for phrase in candidates for word in _telling(phrase)))
    senses = dict(zip(words, read(words), strict=True)) if words else {}
    worth = {}
    for phrase in candidates:
        parts = [senses[word] for word in _telling(phrase)]
        summed = np.sum([part.features for part in parts], axis=0)
        near = float(summed @ about) / (float(np.linalg.norm(summed)) or 1.0)
        alarm = sum(part.score for part in parts) / len(parts)
        worth[phrase] = near + _ALARM * alarm + _WORD_MORE * len(parts)
    return worth


def _subject(candidates: Sequence[str], worth: dict[str, float], fewest: int) -> list[str]:
    """The words of the best phrase, and the next telling ones where these are fewer than `fewest`; in their order."""
    if not candidates:
        return []
    best = max(candidates, key=lambda phrase: worth[phrase])
    taken = best.split()
    more = [phrase for phrase in candidates if " " not in phrase and phrase not in taken]
    more.sort(key=lambda phrase: -worth[phrase])
    chosen = {best, *more[: max(0, fewest - len(taken))]}
    return [word for phrase in sorted(chosen, key=candidates.index) for word in phrase.split()]


def _says(subject: Sequence[str], kind: Sequence[str]) -> bool:
    """Whether a word of the one is a word of the other, or made from it."""
    return any(word[:_STEM] == other[:_STEM] for word in subject for other in kind)


def _filled(subject: list[str], kind: list[str]) -> list[str]:
    if not subject and not kind:
        return NOTHING_SAID.split()
    words = [*subject, *kind] if subject else [UNNAMED.lower(), *kind]
    if len(words) < FEWEST:
        words.append(_PLAIN_KIND)
    return words if len(words) >= FEWEST else [UNNAMED.lower(), *words]


def _another(name: str) -> str:
    """The name of a listed category, told apart from it, and still of MOST words at most."""
    return " ".join([UNNAMED, *name.lower().split()[1 - MOST :]])


def _telling(phrase: str) -> list[str]:
    return [word for word in phrase.split() if _is_telling(word)]


def _is_telling(word: str) -> bool:
    return len(word) >= _SHORTEST_TELLING and word not in _EMPTY_WORDS


def _runs(text: str, vocabulary: dict[str, int]) -> Iterator[list[str]]:
    """Unbroken runs of words that a name may take, in small letters."""
    for sentence in _SENTENCE.split(text):
        run: list[str] = []
        before = ""
        for position, token in enumerate(_TOKEN.findall(sentence)):
            bare = token.strip(_QUOTES)
            word = bare.lower()
            plain = _WORD.fullmatch(bare) is not None and (position == 0 or bare.islower())
            taken = plain and word in vocabulary and word not in _NAMES and before not in _TITLES
            before = word
            if taken:
                run.append(word)
            if run and not (taken and token.endswith(bare)):  # a comma ends it as well
                yield run
                run = []
        if run:
            yield run


def _listed_names(policy: Policy) -> set[str]:
    listed = (*policy.categories.values(), *policy.subcategories.values())
    return {name.casefold() for category in listed for name in (category.name, *category.synonyms)}
