"""What the audit of a cascade knows: how many unsafe posts the first guard lets through, and when that is too many."""

import logging
import math
from collections.abc import Callable

log = logging.getLogger(__name__)

CONFIDENCE = 0.95
_STEPS = 60


class Audit:
    """Counts of one cascade. share: of what passed, judged again; least_recall: below it, for certain, it is said."""

    def __init__(self, share: float, least_recall: float) -> None:
        self._share = share
        self._least_recall = least_recall
        self.passed = self.forwarded = self.audited = 0
        self.found = self.missed = 0

    def recall(self, missed: float | None = None) -> float:
        """Of all unsafe posts, the share that the first guard sends on; each one missed stands for 1 / share of them.

        As the second guard sees it: what it calls safe counts as safe. 1 where nothing was unsafe.
        """
        passed = (self.missed if missed is None else missed) / self._share if self._share else 0.0
        return self.found / (self.found + passed) if self.found + passed else 1.0

    def note_missed(self) -> None:
        """One more that passed and is unsafe. Logs when recall lies below the least one even at its upper bound."""
        self.missed += 1
        highest = self.recall(at_least(self.missed))
        if highest < self._least_recall:
            said = (self.missed, self.audited, self.recall(), highest, self._least_recall)
            log.warning(
                "cascade: the first guard passed %d of %d audited posts that are unsafe; recall is about %.3f, at most "
                "%.3f, below %.3f: lower guard.settings.cascade.safe_below",
                *said,
            )


def at_least(events: int, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound of a Poisson mean of which `events` were seen (Garwood 1936)."""
    if events == 0:
        return 0.0

    def fewer(mean: float) -> float:
        terms = (math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(events))
        return sum(terms)

    return _root(lambda mean: fewer(mean) < confidence, 0.0, float(events))


def share_at_least(hits: int, of: int, confidence: float = CONFIDENCE) -> float:
    """One-sided lower bound of a share (Clopper and Pearson 1934): 299 of 299 give 0.99."""
    if hits == 0:
        return 0.0

    def as_many(share: float) -> float:
        logs = (
            math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)
            + k * math.log(share) + ((of - k) * math.log1p(-share) if k < of else 0.0)
            for k in range(hits, of + 1)
        )  # fmt: skip
        return sum(map(math.exp, logs))

    return _root(lambda share: as_many(share) > 1 - confidence, 0.0, 1.0)


def _root(is_above: Callable[[float], bool], low: float, high: float) -> float:
    """Where is_above turns from false to true between low and high, by halving."""
    for _step in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_above(middle) else (middle, high)
    return low
