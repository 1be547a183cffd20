"""Exact tests and intervals of counts, on numpy alone: the demo has no SciPy. The tests hold them against SciPy's."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Bounds:
    """A value with the interval around it; high is math.inf where nothing bounds it."""

    value: float
    low: float
    high: float


def at_least(hits: int, of: int, share: float) -> float:
    """P(X >= hits) for X ~ Binomial(of, share): the one-sided exact binomial test."""
    if hits <= 0:
        return 1.0
    if hits > of or share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    logs = _log_terms(hits, of, share)
    highest = float(logs.max())
    return min(1.0, math.exp(highest) * float(np.exp(logs - highest).sum()))


def share_of(hits: int, of: int, confidence: float = CONFIDENCE) -> Bounds:
    """A share with its exact two-sided interval (Clopper and Pearson 1934). Where nothing was tried: 0 to 1."""
    if of == 0:
        return Bounds(0.0, 0.0, 1.0)
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _root(hits, of, tail)
    high = 1.0 if hits == of else 1 - _root(of - hits, of, tail)
    return Bounds(hits / of, low, high)


def rate_ratio(now: int, exposure_now: float, before: int, exposure_before: float) -> Bounds:
    """How many times the rate before the rate now is, two Poisson counts by their exposures, with its 95 % interval.

    Given both together, `now` is binomial, so the interval of that share is carried over (Przyborowski and Wilenski
    1940). inf as the value where nothing was before.
    """
    scale = exposure_before / exposure_now
    share = share_of(now, now + before)
    value = now / before * scale if before else (math.inf if now else 1.0)
    return Bounds(value, _odds(share.low) * scale, _odds(share.high) * scale)


def excess(now: int, exposure_now: float, before: int, exposure_before: float) -> float:
    """P-value of `now` or more, were the rate what it was before: the same conditional test, one-sided."""
    return at_least(now, now + before, exposure_now / (exposure_now + exposure_before))


def _odds(share: float) -> float:
    return math.inf if share >= 1 else share / (1 - share)


def _log_terms(hits: int, of: int, share: float) -> NDArray[np.float64]:
    """Logarithms of the binomial probabilities of hits, hits + 1, ..., of."""
    counts = np.arange(hits, of + 1, dtype=np.float64)
    first = math.lgamma(of + 1) - math.lgamma(hits + 1) - math.lgamma(of - hits + 1)
    steps = np.concatenate([[0.0], np.log(of - counts[:-1]) - np.log(counts[1:])])
    logs: NDArray[np.float64] = first + np.cumsum(steps) + counts * math.log(share) + (of - counts) * math.log1p(-share)
    return logs


def _root(hits: int, of: int, tail: float) -> float:
    """The share at which `hits` or more have the probability `tail`, by halving."""
    low, high = 0.0, 1.0
    for _step in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if at_least(hits, of, middle) > tail else (middle, high)
    return low
