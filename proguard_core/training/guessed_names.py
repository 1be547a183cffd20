"""Whether a guessed name is one at all. The paper's base of 0.5 went to any string; here it goes to names only."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources

from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import name_key

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_CONNECTIVES = frozenset({"a", "an", "and", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"})
_CONJUNCTIONS = frozenset({"and", "or", "&"})
_SEPARATORS = ",;/|+\\"


class NameFault(StrEnum):
    """Why what stands for a name earns nothing."""

    LENGTH = "length"
    LIST = "list"
    CODE = "code"
    REPEATED = "repeated"
    GENERIC = "generic"
    COPIED = "copied"
    LISTED = "listed"


@cache
def _generic_words() -> frozenset[str]:
    text = resources.files("proguard_core.training").joinpath("generic_words.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class NameRules:
    """least, most: words. copied: that many words in a row taken from the post are a copy, not a name.

    conjunctions: more of `and`, `or` and `&` make a list. generic: words that say of every risk the same; a name needs
    another one.
    """

    least: int = 2
    most: int = 6
    characters: int = 80
    conjunctions: int = 1
    copied: int = 3
    generic: frozenset[str] = field(default_factory=_generic_words, repr=False)

    def fault(self, name: str, post: str) -> NameFault | None:
        """The first rule that a name breaks; None for none."""
        tokens = name.split()
        if len(name) > self.characters or not self.least <= len(tokens) <= self.most:
            return NameFault.LENGTH
        words = [token.casefold() for token in tokens if token != "&"]
        if (
            any(mark in name for mark in ",;/|+\\")
            or sum(t.casefold() in _CONJUNCTIONS for t in tokens) > self.conjunctions
        ):
            return NameFault.LIST
        if not all(_WORD.fullmatch(word) for word in words):
            return NameFault.CODE
        meant = [word for word in words if word not in _CONNECTIVES]
        if len(set(meant)) < len(meant):
            return NameFault.REPEATED
        if len(meant) < self.least:
            return NameFault.LENGTH
        if all(word in self.generic for word in meant):
            return NameFault.GENERIC
        return NameFault.COPIED if self._is_copied(words, post) else None

    def _is_copied(self, words: list[str], post: str) -> bool:
        if len(words) < self.copied:
            return False
        read = f" {' '.join(_WORD.findall(post.casefold()))} "
        runs = range(len(words) - self.copied + 1)
        return any(f" {' '.join(words[at : at + self.copied])} " in read for at in runs)


def is_listed(name: str, policy: Policy, mains: Collection[str]) -> bool:
    """Whether a name is that of a listed category, or a synonym of it. mains: main categories that the prompt lists."""
    code = policy.codes_by_name.get(name_key(name))
    return code is not None and code.partition("S")[0] in mains
