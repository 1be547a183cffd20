"""What people decided about clusters and posts, as one decision a cluster or post; contradictions decide nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from proguard_core.dataset.names import read_name
from proguard_core.evaluation.rows import Problems
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import name_key
from schemas.review import Decision, Review

NAMING = frozenset({Decision.CONFIRM, Decision.RENAME})


@dataclass(frozen=True, slots=True)
class Decided:
    """Exactly one of safe, code and name is set. phrases: confirmed with it; reviewers: who say just that."""

    safe: bool = False
    code: str | None = None
    name: str | None = None
    phrases: tuple[str, ...] = ()
    reviewers: frozenset[str] = frozenset()

    @property
    def key(self) -> str | None:
        """Under which key of a synonym bank the phrases stand."""
        return self.code or self.name


def decide(reviews: Iterable[Review], policy: Policy, problems: Problems) -> dict[tuple[str, str], Decided]:
    """The decision of each ("cluster" | "post", id). A reviewer's last word counts; a rename outdoes a name.

    Where reviewers disagree, nothing is decided, and that is noted. A review that was undone says nothing.
    """
    reviews = standing(reviews)
    last: dict[tuple[str, str], dict[str, Review]] = {}
    for review in sorted(reviews, key=lambda each: (each.reviewed_at, each.review_id)):
        target = ("cluster", review.cluster) if review.cluster is not None else ("post", review.post or "")
        words = last.setdefault(target, {})
        # Taken out first, so that the last word stands last.
        words.pop(review.reviewer, None)
        words[review.reviewer] = review
    decided = {}
    for target, words in last.items():
        found = _agreed(list(words.values()), policy)
        if isinstance(found, str):
            problems.add(found, target[1])
        else:
            decided[target] = found
    return decided


def standing(reviews: Iterable[Review]) -> list[Review]:
    """Reviews without those that were undone, and without the undoing ones."""
    found = list(reviews)
    undone = {review.undoes for review in found if review.undoes is not None}
    return [review for review in found if review.undoes is None and review.review_id not in undone]


def _agreed(reviews: list[Review], policy: Policy) -> Decided | str:
    """What all of them say, or why there is no such thing."""
    reviewers = frozenset(review.reviewer for review in reviews)
    if all(review.decision is Decision.REJECT for review in reviews):
        return Decided(safe=True, reviewers=reviewers)
    phrases = tuple(phrase for review in reviews for phrase in review.synonyms)
    codes = {_code(review, policy) for review in reviews}
    if any(review.decision is Decision.REJECT for review in reviews) or len(codes) > 1:
        return "reviews that contradict each other (left out)"
    (code,) = codes
    if code is not None:
        if policy.find(code) is None:
            return "a review's code that the policy does not list (left out)"
        called = tuple(review.name for review in reviews if review.name)
        return Decided(code=code, phrases=(*called, *phrases), reviewers=reviewers)
    renames = [review.name for review in reviews if review.decision is Decision.RENAME]
    names = [review.name for review in reviews]
    if len({name_key(name or "") for name in names}) > 1 and not renames:
        return "reviews that give different names (left out)"
    name = (renames or names)[-1] or ""
    others = tuple(other for other in names if other and name_key(other) != name_key(name))
    # Whoever called it something else did not say yes to this name.
    agreeing = frozenset(review.reviewer for review in reviews if name_key(review.name or "") == name_key(name))
    return Decided(name=name, phrases=(*others, *phrases), reviewers=agreeing)


def _code(review: Review, policy: Policy) -> str | None:
    if review.decision is Decision.MERGE:
        return review.code
    # A name that the policy lists is that category, whatever the reviewer calls it.
    return review.code or read_name(review.name or "", policy).code
