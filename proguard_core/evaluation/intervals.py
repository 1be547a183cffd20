"""Bootstrap intervals and paired tests. Every draw comes from a generator that is seeded by the caller."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proguard_core.evaluation.figures import Booleans, Figure, Floats, Ranking

RESAMPLES = 2000
RANKED_RESAMPLES = 500
_LEVELS = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % percentile interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Rounded to five decimals."""
        return {"value": round(self.value, 5), "low": round(self.low, 5), "high": round(self.high, 5)}


def generator(*names: str) -> np.random.Generator:
    """A generator that is the same for the same names, in every run and on every machine."""
    return np.random.default_rng(list(hashlib.sha256("\0".join(names).encode()).digest()[:16]))


def resampled(counts: Floats, seed: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """Counts of as many rows drawn with replacement, (resamples, kinds).

    Rows of one kind are alike to a figure made of counts, so a multinomial draw is the row bootstrap, exactly.
    """
    total = int(counts.sum())
    return seed.multinomial(total, counts / total, size=resamples).astype(np.float64)


def interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    """The percentile interval of what the resamples gave."""
    low, high = np.percentile(drawn, _LEVELS)
    return Interval(value, float(low), float(high))


def of_counts(figure: Figure, counts: Floats, seed: np.random.Generator) -> Interval:
    """A figure of confusion counts."""
    return interval(float(figure(counts)), figure(resampled(counts, seed)))


def of_share(part: int, whole: int, seed: np.random.Generator) -> Interval:
    """A share of rows; whole must be above 0."""
    return interval(part / whole, seed.binomial(whole, part / whole, size=RESAMPLES) / whole)


def of_mean(values: Floats, seed: np.random.Generator) -> Interval:
    """A mean over rows."""
    picks = seed.integers(0, len(values), size=(RANKED_RESAMPLES, len(values)))
    return interval(float(values.mean()), values[picks].mean(axis=1))


def of_average(figure: Figure, sets: Sequence[Floats], seed: np.random.Generator, by_rows: bool) -> Interval:
    """A figure averaged over sets, weighted by rows or plainly; each set is resampled by itself."""
    weights = np.array([counts.sum() if by_rows else 1.0 for counts in sets])
    weights /= weights.sum()
    value = sum(weight * float(figure(counts)) for weight, counts in zip(weights, sets, strict=True))
    drawn = sum(weight * figure(resampled(counts, seed)) for weight, counts in zip(weights, sets, strict=True))
    return interval(float(value), np.asarray(drawn))


def of_auc(truth: Booleans, scores: Floats, seed: np.random.Generator) -> Interval | None:
    """The area under the ROC curve; None where a class is missing."""
    ranking = Ranking.of(truth, scores)
    value = ranking.auc()
    if value is None:
        return None
    rows = len(truth)
    drawn = []
    for _ in range(RANKED_RESAMPLES):
        weights = np.bincount(seed.integers(0, rows, size=rows), minlength=rows).astype(np.float64)
        if (area := ranking.auc(weights)) is not None:
            drawn.append(area)
    return interval(value, np.array(drawn))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value that two guards are right equally often, from the rows where one alone is right."""
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    fewer = min(only_first, only_second)
    # Sum of binomial terms in logarithms: n may be tens of thousands.
    logs = [
        math.lgamma(discordant + 1) - math.lgamma(k + 1) - math.lgamma(discordant - k + 1) for k in range(fewer + 1)
    ]
    highest = max(logs)
    tail = highest + math.log(sum(math.exp(each - highest) for each in logs)) - discordant * math.log(2)
    return min(1.0, 2 * math.exp(tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being several, by Holm's step-down method."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    corrected, running = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = running
    return corrected
