"""What a cluster is called: the guess of its members that is closest to all of them; the words that set it apart."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from proguard_core.policy.taxonomy import name_key
from worker.console.mining.embedding import Embedder

WORDS = 6
_WORD = re.compile(r"[^\W\d_]{3,}")
# Words that say nothing of a subject; in a small store they would stand out by chance.
_COMMON = frozenset((Path(__file__).parent / "common_words.txt").read_text(encoding="utf-8").split())
# A word that few authors use may be a name or an address: it is not shown.
_AUTHORS = 3
_PRIOR = 0.1


def central_name(names: Sequence[str], embedder: Embedder) -> str:
    """Of the names that members were given the one whose vector is closest to the mean of all, each counted.

    The spelling that is most frequent stands for those that are alike; of names that are equally close the first by
    the alphabet. names: at least one.
    """
    spelt: dict[str, Counter[str]] = {}
    for name in names:
        spelt.setdefault(name_key(name), Counter())[name] += 1
    shown = {key: min(counts, key=lambda name: (-counts[name], name)) for key, counts in spelt.items()}
    keys = sorted(shown)
    vectors = embedder.encode([shown[key] for key in keys])
    weights = np.array([spelt[key].total() for key in keys], dtype=np.float32)
    closeness = vectors @ (weights @ vectors)
    return shown[keys[int(closeness.argmax())]]


def words_of(texts: Iterable[tuple[str, str]]) -> Counter[str]:
    """Words of (author, text) pairs, an author once for each word; words of too few authors are left out."""
    found: dict[str, set[str]] = {}
    for author, text in texts:
        for word in set(_WORD.findall(text.casefold())):
            if word not in _COMMON:
                found.setdefault(word, set()).add(author)
    return Counter({word: len(authors) for word, authors in found.items() if len(authors) >= _AUTHORS})


def distinguishing(own: Counter[str], everything: Counter[str], count: int = WORDS) -> list[str]:
    """The words that a cluster has more of than all risks, by the z-score of their log odds.

    Log odds with a Dirichlet prior made of all risks' words (Monroe, Colaresi and Quinn 2008, equations 16 to 22): a
    word that is rare everywhere does not win by chance. One that is all there is, here or elsewhere, has no odds: it is
    left out.
    """
    total, whole = own.total(), everything.total()
    if not total or whole <= total:
        return [word for word, _ in sorted(own.items(), key=lambda item: (-item[1], item[0]))[:count]]
    scored = []
    for word, times in own.items():
        known = everything.get(word, times)
        prior, rest = _PRIOR * known, _PRIOR * (whole - known)
        others = max(0, known - times)
        besides, elsewhere = total - times + rest, whole - total - others + rest
        if besides <= 0 or elsewhere <= 0:
            continue
        here, there = np.log((times + prior) / besides), np.log((others + prior) / elsewhere)
        scored.append((float((here - there) / np.sqrt(1 / (times + prior) + 1 / (others + prior))), word))
    return [word for score, word in sorted(scored, key=lambda item: (-item[0], item[1]))[:count] if score > 0]
