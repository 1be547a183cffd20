"""A short name for a risk that the policy does not list: what the post is about and the kind of harm.

The name leaves the guard for topics and pages, so it takes no digits, no handles, no links and no names of people: only
words that the encoder's vocabulary holds whole and, unless they begin a sentence, are written in small letters.
"""

import re
from collections.abc import Iterable

from proguard_core.guards.embedded.words import load_words
from proguard_core.policy.policy import MINORS, SEXUAL, Policy

LONGEST = 6
SUBJECT_WORDS = 3
LEAST_NEAR = 0.2
MINORS_NAME = "Possible sexual risk to minors"
UNNAMED = "Unlisted"

_KINDS = {
    "C1": "rights violation",
    "C2": "deception or exposure",
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
_SENTENCE = re.compile(r"[.!?\n]+")
_TOKEN = re.compile(r"\S+")
_WORD = re.compile(r"[A-Za-z]{4,20}")
_EMPTY_WORDS = frozenset(load_words()["empty"].split())


def subject(text: str, vocabulary: dict[str, int]) -> list[str]:
    """At most SUBJECT_WORDS telling words of a text, in their order; rare ones (of high id in the vocabulary) first."""
    found: dict[str, int] = {}
    for word in _plain_words(text):
        if word in vocabulary and word not in _EMPTY_WORDS:
            found.setdefault(word, len(found))
    telling = sorted(found, key=lambda word: (-vocabulary[word], word))[:SUBJECT_WORDS]
    return sorted(telling, key=lambda word: found[word])


def novel_name(text: str, nearest: str | None, probability: float, vocabulary: dict[str, int], policy: Policy) -> str:
    """A name of two to LONGEST words of letters that is no listed name or synonym.

    nearest: the listed code that is closest; probability in [0, 1]: how close. From LEAST_NEAR on it lends the name its
    kind of harm. Near to minors the name takes no word of the post.
    """
    if nearest in {MINORS, SEXUAL}:
        return MINORS_NAME
    main = nearest.partition("S")[0] if nearest and probability >= LEAST_NEAR else ""
    kind = _KINDS.get(main, _PLAIN_KIND)
    words = [*subject(text, vocabulary), *kind.split()][:LONGEST]
    if len(words) == len(kind.split()):
        words = [UNNAMED.lower(), *words]
    name = " ".join(words).capitalize()
    return name if name.casefold() not in _listed_names(policy) else f"{UNNAMED} {name.lower()}"


def _plain_words(text: str) -> Iterable[str]:
    for sentence in _SENTENCE.split(text):
        for position, token in enumerate(_TOKEN.findall(sentence)):
            bare = token.strip("\"'()[]{},:;…“”‘’*_-")
            if _WORD.fullmatch(bare) and (position == 0 or bare.islower()):
                yield bare.lower()


def _listed_names(policy: Policy) -> set[str]:
    listed = (*policy.categories.values(), *policy.subcategories.values())
    return {name.casefold() for category in listed for name in (category.name, *category.synonyms)}
