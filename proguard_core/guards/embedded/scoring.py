"""From a reading to calibrated probabilities, by the artefact's own heads or by ones that were taught since."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proguard_core.guards.embedded.heads import Heads
from proguard_core.guards.embedded.text_model import (
    FIRST_CATEGORY,
    OTHER,
    REQUEST,
    RESPONSE,
    Calibration,
    Floats,
    Reading,
    sigmoid,
    softmax,
)
from proguard_core.policy.policy import SEXUAL


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one window: probability that the request or the response is unsafe, and one probability a key."""

    request: float
    response: float
    categories: dict[str, float]


class Scoring:
    """One artefact's calibration with heads on it. keys: where each learned category's probability goes."""

    def __init__(self, calibration: Calibration, heads: Heads, keys: Sequence[str]) -> None:
        self._codes = calibration.codes
        self._temperatures = temperatures(calibration)
        self._other = FIRST_CATEGORY + calibration.codes.index(OTHER)
        self._heads = heads
        self._keys = (*calibration.codes, *keys)
        self._sexual = np.array([code.partition("S")[0] == SEXUAL for code in calibration.codes])

    @property
    def threshold(self) -> float:
        """The probability under which no listed code fits."""
        return self._heads.threshold

    def score(self, reading: Reading) -> Scores:
        """What the artefact itself places in the sexual category stays as it is, whatever was taught since: its places
        are the artefact's, and its labels are never below the artefact's. Minors (law 11) hang on them.
        """
        own = reading.logits / self._temperatures
        taught = np.concatenate([own, np.full(len(self._keys) - len(self._codes), own[self._other])])
        taught += self._heads.add(reading.features)
        if self._sexual[int(own[FIRST_CATEGORY:].argmax())]:
            taught[:FIRST_CATEGORY] = np.maximum(taught[:FIRST_CATEGORY], own[:FIRST_CATEGORY])
            shares = softmax(own[FIRST_CATEGORY:])
            categories = dict(zip(self._codes, shares.tolist(), strict=True))
        else:
            categories = _summed(self._keys, softmax(taught[FIRST_CATEGORY:]))
        return Scores(sigmoid(float(taught[REQUEST])), sigmoid(float(taught[RESPONSE])), categories)


def temperatures(calibration: Calibration) -> Floats:
    """One divisor a logit."""
    by_code = [calibration.category_temperature] * len(calibration.codes)
    return np.array([calibration.request_temperature, calibration.response_temperature, *by_code])


def _summed(keys: Sequence[str], shares: Floats) -> dict[str, float]:
    """Two learned categories may have one code, where a policy calls both by it."""
    found: dict[str, float] = {}
    for key, share in zip(keys, shares.tolist(), strict=True):
        found[key] = found.get(key, 0.0) + share
    return found
