"""Figures of one binary question (unsafe or not), exact and small; formulas as in scikit-learn, which tests compare.

Confusion counts are float arrays whose last axis is (true positive, false positive, true negative, false negative),
unsafe being positive, so that a bootstrap computes all resamples at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

TP, FP, TN, FN = range(4)
BINS = 10
PREVALENCES = (0.01, 0.10)
MAX_FPR = 0.05
SWEEP = tuple(step / 50 for step in range(1, 50))


def confusion(truth: Booleans, predicted: Booleans) -> Floats:
    """Counts of two arrays of n rows each, True being unsafe."""
    return np.array(
        [
            np.sum(truth & predicted),
            np.sum(~truth & predicted),
            np.sum(~truth & ~predicted),
            np.sum(truth & ~predicted),
        ],
        dtype=np.float64,
    )


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


def precision(counts: Floats) -> Floats:
    """Share of truly unsafe rows among those called unsafe; 0 where none is."""
    return _ratio(counts[..., TP], counts[..., TP] + counts[..., FP])


def recall(counts: Floats) -> Floats:
    """Share of unsafe rows called unsafe."""
    return _ratio(counts[..., TP], counts[..., TP] + counts[..., FN])


def false_positive_rate(counts: Floats) -> Floats:
    """Share of safe rows called unsafe."""
    return _ratio(counts[..., FP], counts[..., FP] + counts[..., TN])


def f1(counts: Floats) -> Floats:
    """F1 of the unsafe class."""
    return _ratio(2 * counts[..., TP], 2 * counts[..., TP] + counts[..., FP] + counts[..., FN])


def f1_safe(counts: Floats) -> Floats:
    """F1 of the safe class."""
    return _ratio(2 * counts[..., TN], 2 * counts[..., TN] + counts[..., FP] + counts[..., FN])


def weighted_f1(counts: Floats) -> Floats:
    """F1 of both classes, weighted by how many rows truly belong to each: the paper's figure."""
    unsafe, safe = counts[..., TP] + counts[..., FN], counts[..., FP] + counts[..., TN]
    return _ratio(unsafe * f1(counts) + safe * f1_safe(counts), unsafe + safe)


Figure = Callable[[Floats], Floats]
FIGURES: dict[str, Figure] = {
    "weighted_f1": weighted_f1,
    "f1_unsafe": f1,
    "precision": precision,
    "recall": recall,
    "false_positive_rate": false_positive_rate,
}


def precision_at(prevalence: float, recall_value: float, false_positives: float) -> float:
    """Precision where that share of posts is unsafe, by Bayes' rule; 0 where nothing is called unsafe."""
    found = prevalence * recall_value
    called = found + (1 - prevalence) * false_positives
    return found / called if called > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows sorted by score once, for AUC under any weights. truth and scores have one entry a row."""

    truth: Booleans
    order: NDArray[np.intp]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, truth: Booleans, scores: Floats) -> "Ranking":
        """Sort; equal scores form a group, which starts where `starts` says."""
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        return cls(truth, order, starts)

    def auc(self, weights: Floats | None = None) -> float | None:
        """Probability that an unsafe row outranks a safe one, ties as a half. None where a class is missing."""
        weight = np.ones(len(self.truth)) if weights is None else weights
        weight = weight[self.order]
        unsafe = np.add.reduceat(np.where(self.truth[self.order], weight, 0.0), self.starts)
        safe = np.add.reduceat(np.where(self.truth[self.order], 0.0, weight), self.starts)
        if unsafe.sum() == 0 or safe.sum() == 0:
            return None
        below = np.cumsum(safe) - safe
        return float(np.sum(unsafe * (below + safe / 2)) / (unsafe.sum() * safe.sum()))


def brier(truth: Booleans, scores: Floats) -> float:
    """Mean squared distance of the score from what is true (1 unsafe, 0 safe)."""
    return float(np.mean((scores - truth) ** 2))


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose score lies in one tenth of [0, 1]: their number, mean score and share of truly unsafe ones."""

    rows: int
    score: float
    unsafe: float


def reliability(truth: Booleans, scores: Floats) -> list[Bin]:
    """The bins that hold rows, ten of equal width."""
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    return [
        Bin(int(np.sum(place == at)), float(scores[place == at].mean()), float(truth[place == at].mean()))
        for at in range(BINS)
        if np.any(place == at)
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: distance of score and share, weighted by rows."""
    rows = sum(each.rows for each in bins)
    return sum(each.rows * abs(each.score - each.unsafe) for each in bins) / rows if rows else 0.0


def sweep(truth: Booleans, scores: Floats) -> list[dict[str, float]]:
    """Figures at each threshold of SWEEP: unsafe from that score on."""
    found = []
    for threshold in SWEEP:
        counts = confusion(truth, scores >= threshold)
        found.append({"threshold": threshold} | {name: float(figure(counts)) for name, figure in FIGURES.items()})
    return found


def recall_within(truth: Booleans, scores: Floats, most: float = MAX_FPR) -> float:
    """The highest recall of any threshold whose false-positive rate is at most `most`."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], truth[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    unsafe, safe = np.cumsum(hits)[ends], np.cumsum(~hits)[ends]
    allowed = safe <= most * max(int(np.sum(~truth)), 1)
    return float(unsafe[allowed].max() / np.sum(truth)) if np.any(allowed) and np.any(truth) else 0.0
