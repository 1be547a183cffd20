"""Which category of the policy a risk belongs to, or that it belongs to none."""

from dataclasses import dataclass

from proguard_core.guards.embedded.heads import unlisted_name
from proguard_core.guards.embedded.text_model import OTHER
from proguard_core.policy.policy import MINORS, SEXUAL, Policy

# From this probability on a main category says what kind of harm a novel risk is, also where the policy lacks it.
SURE = 0.7


@dataclass(frozen=True, slots=True)
class Place:
    """code: the listed category, None for a novel risk. nearest: the listed code close to it, with its probability.

    threshold: the score in [0, 1] from which a post placed here is unsafe. name: of a novel risk, where it was learned.
    kin: of a novel risk, the main category that the network is sure of (SURE), listed or not.
    """

    code: str | None
    nearest: str | None
    probability: float
    threshold: float
    name: str | None = None
    kin: str | None = None


def listed(categories: dict[str, float], policy: Policy) -> dict[str, float]:
    """Probabilities of what the policy lists: its codes, and main categories that are listed without subcategories."""
    found = {code: share for code, share in categories.items() if code in policy.codes}
    divided = {code.partition("S")[0] for code in policy.subcategories}
    for main in policy.categories:
        shares = [share for code, share in categories.items() if code.partition("S")[0] == main]
        if main not in divided and shares:
            found[main] = sum(shares)
    return found


def _kin(categories: dict[str, float]) -> str | None:
    mains: dict[str, float] = {}
    for code, share in categories.items():
        if code != OTHER and unlisted_name(code) is None:
            main = code.partition("S")[0]
            mains[main] = mains.get(main, 0.0) + share
    best = max(mains, key=lambda main: mains[main], default=None)
    return best if best is not None and mains[best] >= SURE else None


def _nearest(categories: dict[str, float], candidates: dict[str, float]) -> tuple[str | None, float]:
    """The listed code that a novel risk is close to, with its probability.

    Every policy lists minors, so in a small one they would often be the best of a few poor candidates, and each such
    post would go to the legal process. They count as near only where the sexual category holds the most probable of all
    codes that the head knows (decision 0011). Where that code itself is not listed, its whole category is near: this
    head must not tell by a hair's breadth that nobody in it is under age.
    """
    known = {code: share for code, share in categories.items() if code != OTHER and unlisted_name(code) is None}
    overall = max(known, key=lambda code: known[code])
    if overall.partition("S")[0] != SEXUAL:
        candidates = {code: share for code, share in candidates.items() if code not in {MINORS, SEXUAL}}
    elif overall not in candidates and overall != MINORS:
        return SEXUAL, sum(share for code, share in known.items() if code.partition("S")[0] == SEXUAL)
    nearest = max(candidates, key=lambda code: candidates[code], default=None)
    return nearest, 0.0 if nearest is None else candidates[nearest]


def place(categories: dict[str, float], policy: Policy, least: float) -> Place:
    """The place of a risk.

    categories: probability of each code of the taxonomy, of `other` and of what was learned since. It is novel where
    the most probable of all is not listed (or is `other`), or where the best listed one is less probable than `least`.
    """
    candidates = listed(categories, policy)
    if not candidates:
        return Place(None, None, 0.0, policy.threshold)
    best = max(candidates, key=lambda code: candidates[code])
    overall = max(categories, key=lambda code: categories[code])
    covered = overall != OTHER and (overall in candidates or overall.partition("S")[0] in candidates)
    if not covered or candidates[best] < least:
        nearest, share = _nearest(categories, candidates)
        name = unlisted_name(overall) if categories[overall] >= least else None
        return Place(None, nearest, share, policy.threshold, name, _kin(categories))
    category = policy.find(best)
    return Place(best, best, candidates[best], category.threshold if category else policy.threshold)
