"""Shares of many verdicts with their intervals, quickly: exact ones take seconds where a million were counted."""

import math

from proguard_core.novelty.significance import Bounds

_Z = 1.959963984540054


def share_with_interval(hits: int, of: int) -> Bounds:
    """A share with Wilson's 95 % score interval (1927). Where nothing was counted: 0 to 1."""
    if of == 0:
        return Bounds(0.0, 0.0, 1.0)
    share, square = hits / of, _Z * _Z
    centre = (share + square / (2 * of)) / (1 + square / of)
    half = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return Bounds(share, max(0.0, centre - half), min(1.0, centre + half))
