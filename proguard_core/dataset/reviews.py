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


@dataclass(frozen=True, slots=True)
class _Word:
    """A reviewer's last word: a decision, under the name that a later rename of the same person gave it."""

    review: Review
    renamed: bool = False

    def code(self, policy: Policy, name: str | None = None) -> str | None:
        """The listed category that it says; name: what the risk is called instead."""
        # A name that the policy lists is that category, whatever the reviewer calls it.
        return self.review.code or read_name(name or self.review.name or "", policy).code


def decide(reviews: Iterable[Review], policy: Policy, problems: Problems) -> dict[tuple[str, str], Decided]:
    """The decision of each ("cluster" | "post", id). A reviewer's last word counts; a rename outdoes a name.

    A rename changes what a confirmed risk is called, and so whether the policy lists it; what was merged or rejected
    stays so, whoever renames it. Where nothing else was decided, it names one. Where reviewers disagree, nothing is
    decided, and that is noted. A review that was undone says nothing.
    """
    reviews = standing(reviews)
    last: dict[tuple[str, str], dict[str, _Word]] = {}
    for given in sorted(reviews, key=lambda each: (each.reviewed_at, each.review_id)):
        review = _as_learned(given, policy)
        target = ("cluster", review.cluster) if review.cluster is not None else ("post", review.post or "")
        words = last.setdefault(target, {})
        # Taken out first, so that the last word stands last.
        earlier = words.pop(review.reviewer, None)
        words[review.reviewer] = _after(earlier, review)
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


def _as_learned(review: Review, policy: Policy) -> Review:
    """With its name in the form in which it is learned: people type the same letters in several ways."""
    name = read_name(review.name, policy).name if review.name else None
    return review.model_copy(update={"name": name}) if name and name != review.name else review


def _after(earlier: _Word | None, review: Review) -> _Word:
    """What a reviewer says who said something earlier."""
    if review.decision is not Decision.RENAME or earlier is None:
        return _Word(review, review.decision is Decision.RENAME)
    if earlier.review.decision not in NAMING:
        return earlier
    kept = earlier.review if earlier.review.decision is Decision.CONFIRM else review
    synonyms = [*earlier.review.synonyms, *review.synonyms]
    return _Word(kept.model_copy(update={"name": review.name, "synonyms": synonyms}), renamed=True)


def _agreed(words: list[_Word], policy: Policy) -> Decided | str:
    """What all of them say, or why there is no such thing."""
    ruling = [word for word in words if word.review.decision is not Decision.RENAME]
    if any(word.review.decision not in NAMING for word in ruling):
        words = ruling  # there is no new category to rename
    if all(word.review.decision is Decision.REJECT for word in words):
        return Decided(safe=True, reviewers=frozenset(word.review.reviewer for word in words))
    renamed = next((word.review.name for word in reversed(words) if word.renamed), None)
    codes = {word.code(policy, renamed) for word in ruling or words}
    if any(word.review.decision is Decision.REJECT for word in words) or len(codes) > 1:
        return "reviews that contradict each other (left out)"
    phrases = tuple(phrase for word in words for phrase in word.review.synonyms)
    names = [word.review.name for word in words if word.review.name]
    (code,) = codes
    if code is not None:
        if policy.find(code) is None:
            return "a review's code that the policy does not list (left out)"
        reviewers = frozenset(word.review.reviewer for word in words if word.code(policy) == code)
        return Decided(code=code, phrases=(*names, *phrases), reviewers=reviewers)
    if len({name_key(name) for name in names}) > 1 and renamed is None:
        return "reviews that give different names (left out)"
    name = renamed or names[-1]
    others = tuple(other for other in names if name_key(other) != name_key(name))
    # Whoever called it something else did not say yes to this name.
    agreeing = frozenset(word.review.reviewer for word in words if name_key(word.review.name or "") == name_key(name))
    return Decided(name=name, phrases=(*others, *phrases), reviewers=agreeing)
