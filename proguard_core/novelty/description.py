"""How well a guessed name describes a category: the paper's bonus (arXiv 2512.23573), from similarities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DescriptionBounds:
    """Cosine similarities from which a name earns a bonus, of the nearest phrase and of the mean over all phrases.

    They belong to an encoder: those of the paper's (BGE-M3) reward general names under a smaller one.
    """

    nearest_from: float
    mean_from: float


PAPER_BOUNDS = DescriptionBounds(nearest_from=0.7, mean_from=0.6)


def description_bonus(
    nearest: NDArray[np.floating], mean: NDArray[np.floating], bounds: DescriptionBounds
) -> NDArray[np.float64]:
    """0 to 1, elementwise: `clip(max((nearest - a) / (1 - a), (mean - b) / (1 - b)), 0, 1)`."""
    by_nearest = (np.asarray(nearest, np.float64) - bounds.nearest_from) / (1 - bounds.nearest_from)
    by_mean = (np.asarray(mean, np.float64) - bounds.mean_from) / (1 - bounds.mean_from)
    return np.clip(np.maximum(by_nearest, by_mean), 0.0, 1.0)
