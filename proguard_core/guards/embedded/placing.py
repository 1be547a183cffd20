"""Which category of the policy a risk belongs to, or that it belongs to none."""

from dataclasses import dataclass

from proguard_core.guards.embedded.text_model import OTHER
from proguard_core.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Place:
    """code: the listed category, None for a novel risk. nearest: the most probable listed code, with its probability.

    threshold: the score in [0, 1] from which a post placed here is unsafe.
    """

    code: str | None
    nearest: str | None
    probability: float
    threshold: float


def listed(categories: dict[str, float], policy: Policy) -> dict[str, float]:
    """Probabilities of what the policy lists: subcategories, and main categories that are listed without any."""
    found = {code: share for code, share in categories.items() if code in policy.subcategories}
    divided = {code.partition("S")[0] for code in policy.subcategories}
    for main in policy.categories:
        shares = [share for code, share in categories.items() if code.partition("S")[0] == main]
        if main not in divided and shares:
            found[main] = sum(shares)
    return found


def place(categories: dict[str, float], policy: Policy, least: float) -> Place:
    """The place of a risk.

    categories: probability of each code of the taxonomy and of `other`. It is novel where the most probable of all
    is not listed (or is `other`), or where the best listed one is less probable than `least`.
    """
    candidates = listed(categories, policy)
    if not candidates:
        return Place(None, None, 0.0, policy.threshold)
    nearest = max(candidates, key=lambda code: candidates[code])
    overall = max(categories, key=lambda code: categories[code])
    covered = overall != OTHER and (overall in candidates or overall.partition("S")[0] in candidates)
    if not covered or candidates[nearest] < least:
        return Place(None, nearest, candidates[nearest], policy.threshold)
    category = policy.find(nearest)
    return Place(nearest, nearest, candidates[nearest], category.threshold if category else policy.threshold)
