"""Names of new categories, which began as words of a guard or of a reviewer: are they fit to be learned?"""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from proguard_core.dataset.items import Item
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty.bank import Bank
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import Policy, concerns_minors
from proguard_core.policy.prompts.neutralise import neutral
from proguard_core.policy.taxonomy import name_key
from schemas.common import CategoryKind
from schemas.verdict import MAX_NAME_CHARACTERS

LISTED_OTHERWISE = "a new name that a listed category has in other words (left out: it would be merged)"
_MARKUP = frozenset("<>{}[]|\\")


@dataclass(frozen=True, slots=True)
class NamedCategory:
    """code: where the name is one that the policy has; problem: why the name cannot be used."""

    name: str
    code: str | None = None
    problem: str | None = None


def read_name(text: str, policy: Policy) -> NamedCategory:
    """A name as it is learned: NFKC, single spaces. One that the policy lists, as name or synonym, is its code."""
    if len(text) > MAX_NAME_CHARACTERS:
        return NamedCategory("", problem=f"a name of more than {MAX_NAME_CHARACTERS} characters")
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    if code := policy.codes_by_name.get(name_key(name)):
        return NamedCategory(name, code)
    if not name.isprintable() or neutral(name) != name or set(name) & _MARKUP or ("&" in name and ";" in name):
        return NamedCategory(name, problem="a name with markup")
    letters = [letter for letter in name if letter.isalpha()]
    if len(letters) < 2:
        return NamedCategory(name, problem="a name without letters")
    # The encoder that compares names was taught English: it finds all of another script alike.
    if not all(unicodedata.name(letter, "").startswith("LATIN") for letter in letters):
        return NamedCategory(name, problem="a name in a script that the sentence encoder does not know")
    return NamedCategory(name)


def settle(items: Sequence[Item], policy: Policy, problems: Problems) -> list[Item]:
    """Items with names that can be learned: known ones as their code; those that cannot be used are noted and left out.

    A row that is safe, or that has a code, keeps no name.
    """
    kept = []
    for item in items:
        row = item.row
        if row.ood_name is None:
            kept.append(item)
            continue
        if row.categories or not row.unsafe:
            kept.append(replace(item, row=replace(row, ood_name=None), synonyms=()))
            continue
        found = read_name(row.ood_name, policy)
        if found.problem is not None:
            problems.add(found.problem, row.id)
        elif found.code is not None:
            problems.add("a new name that the policy has already (its code taken)", row.id)
            kept.append(replace(item, row=replace(row, ood_name=None, categories=(found.code,)), synonyms=()))
        else:
            synonyms = usable_phrases(item.synonyms, policy)
            kept.append(replace(item, row=replace(row, ood_name=found.name), synonyms=synonyms))
    return kept


def usable_phrases(phrases: Sequence[str], policy: Policy) -> tuple[str, ...]:
    """Phrases that describe something new, each once."""
    read = [found for phrase in phrases if not (found := read_name(phrase, policy)).problem and found.code is None]
    return tuple({name_key(found.name): found.name for found in read}.values())


def near_to_minors(names: Collection[str], policy: Policy, novelty: Novelty) -> frozenset[str]:
    """Of new names those that are close to minors, or to the category around them (law 11)."""
    ordered = sorted(names)
    places = novelty.near(ordered) if ordered else []
    return frozenset(
        name
        for name, (nearest, _) in zip(ordered, places, strict=True)
        if concerns_minors(CategoryKind.NOVEL, None, nearest)
    )


def listed_otherwise(names: Collection[str], policy: Policy, novelty: Novelty) -> frozenset[str]:
    """Of names those that can be read, are not the policy's own, and say what a listed category says already.

    Taught as new they would be punished: the reward gives nothing for a listed category in other words.
    """
    new = [name for name in sorted(names) if (read := read_name(name, policy)).problem is None and read.code is None]
    codes = novelty.same(new) if new else []
    return frozenset(name for name, code in zip(new, codes, strict=True) if code is not None)


def without_taken(phrases: Sequence[str], bank: Bank, key: str) -> tuple[str, ...]:
    """Phrases that mean nothing else in a bank already."""
    owners = {name_key(phrase): owner for owner, held in bank.phrases.items() for phrase in held}
    return tuple(phrase for phrase in phrases if owners.get(name_key(phrase), key) == key)
