"""A policy: which categories a guard looks for, from which score on, and what the platform should do."""

from dataclasses import dataclass, field
from functools import cached_property

from proguard_core.policy.taxonomy import CODES_BY_NAME, name_key
from schemas.common import Action, CategoryKind, Outcome

MINORS = "C11S1"
SEXUAL = "C11"
# Asking an enumeration for a member is slow, and this is asked for every post.
_SAFE, _ALLOW = Outcome.SAFE, Action.ALLOW


def concerns_minors(kind: CategoryKind, code: str | None, nearest: str | None) -> bool:
    """Whether content must go nowhere: minors, or a nameless risk close to them or to the category around them."""
    return code == MINORS or (kind is CategoryKind.NOVEL and nearest in {MINORS, SEXUAL})


@dataclass(frozen=True, slots=True)
class PolicyCategory:
    """One category (C3) or subcategory (C3S1) that the policy lists.

    threshold: score in [0, 1] from which a post of this category is unsafe.
    """

    code: str
    name: str
    description: str
    synonyms: tuple[str, ...]
    threshold: float
    action: Action

    @property
    def main(self) -> str:
        """Code of the main category: C3 of C3S1."""
        return self.code.partition("S")[0]


@dataclass(frozen=True)
class Policy:
    """Listed categories by code, in the order of the file; version is the hash of what the file means."""

    name: str
    version: str
    categories: dict[str, PolicyCategory]
    subcategories: dict[str, PolicyCategory]
    threshold: float
    novel_action: Action
    undetermined_action: Action
    hallucinated_action: Action = Action.REVIEW
    source: str = field(default="", compare=False)

    @cached_property
    def codes(self) -> frozenset[str]:
        """Every listed code, of both levels."""
        return frozenset(self.categories) | frozenset(self.subcategories)

    @cached_property
    def codes_by_name(self) -> dict[str, str]:
        """Code of each listed name, the taxonomy's name of a renamed one, and each synonym, by `name_key`.

        A phrase that two categories share is the first one's, but always that of minors where it is theirs.
        """
        minors = self.find(MINORS)
        items = [*([minors] if minors else []), *self.subcategories.values(), *self.categories.values()]
        found: dict[str, str] = {name_key(item.name): item.code for item in reversed(items)}
        for name, code in CODES_BY_NAME.items():
            if code in self.codes:
                found.setdefault(name, code)
        for item in items:
            for phrase in item.synonyms:
                found.setdefault(name_key(phrase), item.code)
        return found

    def find(self, code: str) -> PolicyCategory | None:
        """The listed category of a code, or None."""
        return self.subcategories.get(code) or self.categories.get(code)

    def action(self, outcome: Outcome, kind: CategoryKind, code: str | None, nearest: str | None = None) -> Action:
        """What to do with a post judged so. Minors are always escalated, whatever the policy says."""
        if outcome is _SAFE:
            return _ALLOW
        if code == MINORS or (kind is CategoryKind.NOVEL and nearest == MINORS):
            return Action.ESCALATE
        if outcome is Outcome.UNDETERMINED:
            return self.undetermined_action
        if kind is CategoryKind.KNOWN and code is not None and (category := self.find(code)) is not None:
            return category.action
        return self.novel_action if kind is CategoryKind.NOVEL else self.hallucinated_action
