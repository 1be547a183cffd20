"""Exact fits of small linear heads: logistic losses with a quadratic penalty, minimised by L-BFGS in numpy.

The losses are smooth and strongly convex (that of categories is, where a row has one right category), so what comes out
depends on the rows alone, not on a seed or on where the search begins.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Loss = Callable[[Floats], tuple[float, Floats]]
"""From flat parameters to the loss and its gradient."""

MEMORY = 10
MOST_STEPS = 300
TOLERANCE = 1e-5
_SUFFICIENT, _CURVATURE = 1e-4, 0.9
_MOST_TRIES = 25


def minimise(loss: Loss, start: Floats, steps: int = MOST_STEPS, tolerance: float = TOLERANCE) -> Floats:
    """Parameters of (nearly) least loss: L-BFGS (Nocedal and Wright 2006, algorithm 7.5) with a weak Wolfe search.

    Ends where the largest entry of the gradient is at most tolerance x max(1, loss), or after `steps`.
    """
    at = start.astype(np.float64)
    value, slope = loss(at)
    pairs: deque[tuple[Floats, Floats]] = deque(maxlen=MEMORY)
    for _ in range(steps):
        if np.abs(slope).max(initial=0.0) <= tolerance * max(1.0, abs(value)):
            break
        direction = -_curved(slope, pairs)
        if direction @ slope >= 0:  # rounding spoilt the memory
            pairs.clear()
            direction = -slope
        first = 1.0 if pairs else 1.0 / max(1.0, float(np.linalg.norm(slope)))
        found = _search(loss, at, value, slope, direction, first)
        if found is None:
            break
        moved, value, turned = found
        step, change = moved - at, turned - slope
        if step @ change > 1e-12 * (change @ change):
            pairs.append((step, change))
        at, slope = moved, turned
    return at


def _curved(slope: Floats, pairs: deque[tuple[Floats, Floats]]) -> Floats:
    """The gradient times the inverse Hessian that the last steps suggest (two loops)."""
    turned = slope.copy()
    shares = []
    for step, change in reversed(pairs):
        share = (step @ turned) / (step @ change)
        turned -= share * change
        shares.append(share)
    if pairs:
        step, change = pairs[-1]
        turned *= (step @ change) / (change @ change)
    for (step, change), share in zip(pairs, reversed(shares), strict=True):
        turned += (share - (change @ turned) / (step @ change)) * step
    return turned


def _search(
    loss: Loss, at: Floats, value: float, slope: Floats, direction: Floats, first: float
) -> tuple[Floats, float, Floats] | None:
    """A step that lowers the loss and flattens the slope enough, by doubling and halving; None where none does."""
    low, high, length = 0.0, np.inf, first
    along = float(direction @ slope)
    best = None
    for _ in range(_MOST_TRIES):
        moved = at + length * direction
        new, turned = loss(moved)
        if not np.isfinite(new) or new > value + _SUFFICIENT * length * along:
            high = length
        else:
            best = (moved, new, turned)
            if float(direction @ turned) >= _CURVATURE * along:
                return best
            low = length
        length = 2 * low if high == np.inf else (low + high) / 2
    return best


def binary(
    features: Floats, offsets: Floats, wanted: Floats, weights: Floats, pull: float, tolerance: float = TOLERANCE
) -> Floats:
    """Coefficients of one head (features first, then the bias) that explain labels beyond what the offsets say.

    features: rows x width; offsets: logits of the head so far; wanted: 1 unsafe, 0 safe. Loss: weighted log loss, and
    pull / 2 x the squared length of the coefficients, which draws the head to what it was.
    """
    signs = 2 * wanted - 1

    def loss(at: Floats) -> tuple[float, Floats]:
        margins = signs * (offsets + features @ at[:-1] + at[-1])
        pulled = 0.5 * pull * float(at @ at)
        error = -weights * signs * _logistic(-margins)
        slope = np.append(features.T @ error, error.sum()) + pull * at
        return float(weights @ np.logaddexp(0.0, -margins)) + pulled, slope

    return minimise(loss, np.zeros(features.shape[1] + 1), tolerance=tolerance)


def several(
    features: Floats,
    offsets: Floats,
    right: NDArray[np.bool_],
    weights: Floats,
    taught: NDArray[np.bool_],
    pull: float,
    tolerance: float = TOLERANCE,
) -> Floats:
    """Coefficients of the category head, (classes, width + 1), zero where `taught` is false.

    offsets: rows x classes; right: which classes count as right in a row, at least one. Loss: minus the logarithm of
    the probability of all right ones together, weighted, and the same pull.
    """
    rows, width = features.shape
    count = int(taught.sum())
    right_offsets = np.where(right, 0.0, -np.inf)

    def loss(flat: Floats) -> tuple[float, Floats]:
        at = flat.reshape(count, width + 1)
        logits = offsets.copy()
        logits[:, taught] += features @ at[:, :-1].T + at[:, -1]
        every, shares = _log_sum(logits)
        good, of_right = _log_sum(logits + right_offsets)
        error = weights[:, None] * (shares - of_right)[:, taught]
        slope = np.column_stack([error.T @ features, error.sum(0)]) + pull * at
        return float(weights @ (every - good)) + 0.5 * pull * float(flat @ flat), slope.ravel()

    found = np.zeros((offsets.shape[1], width + 1))
    if rows and count:
        start = np.zeros(count * (width + 1))
        found[taught] = minimise(loss, start, tolerance=tolerance).reshape(count, width + 1)
    return found


def _log_sum(logits: Floats) -> tuple[Floats, Floats]:
    """Logarithm of the sum of exponentials of each row, and the shares."""
    highest = logits.max(1, keepdims=True)
    raised = np.exp(logits - highest)
    total = raised.sum(1, keepdims=True)
    return (highest + np.log(total))[:, 0], raised / total


def _logistic(values: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
