"""Plots as SVG in the page, without script or style of their own: docs/decisions/0014 says why no library draws them.

Coordinates are those of the SVG's viewBox. Every plot stands beside its figures as a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SERIES = 8
_MARGIN = 4.0


@dataclass(frozen=True, slots=True)
class Spark:
    """A line without axes. points: of a polyline; last: the end of it; said: the figures in words."""

    width: int
    height: int
    points: str
    last: tuple[float, float]
    said: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle. series: below SERIES, for its colour."""

    x: float
    y: float
    width: float
    height: float
    series: int
    said: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars, a day each. ticks: (x, day); names: of the series, the last one may be all others."""

    width: int
    height: int
    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, str]]
    names: Sequence[str]
    highest: int


def spark(values: Sequence[float], said: str, width: int = 160, height: int = 36, top: float | None = None) -> Spark:
    """A small line of values >= 0 from the left to the right. top: the value at the upper edge."""
    top = max([*values, 0.0]) if top is None else top
    step = (width - 2 * _MARGIN) / max(len(values) - 1, 1)
    places = [
        (round(_MARGIN + at * step, 1), round(height - _MARGIN - _share(value, top) * (height - 2 * _MARGIN), 1))
        for at, value in enumerate(values)
    ]
    points = " ".join(f"{x},{y}" for x, y in places)
    return Spark(width, height, points, places[-1] if places else (_MARGIN, height - _MARGIN), said)


def stacked(days: Sequence[str], counts: Mapping[str, Sequence[int]], width: int = 720, height: int = 160) -> Bars:
    """Counts of each series on each day, the largest series at the bottom; beyond SERIES they are one, `others`."""
    ordered = sorted(counts, key=lambda name: (-sum(counts[name]), name))
    kept = {name: list(counts[name]) for name in ordered[: SERIES if len(ordered) <= SERIES else SERIES - 1]}
    if len(ordered) > SERIES:
        rest = [counts[name] for name in ordered[SERIES - 1 :]]
        kept["others"] = [sum(each[at] for each in rest) for at in range(len(days))]
    highest = max((sum(each[at] for each in kept.values()) for at in range(len(days))), default=0)
    inner, step = height - 24.0, width / max(len(days), 1)
    bars = []
    for at, day in enumerate(days):
        below = 0.0
        for series, (name, values) in enumerate(kept.items()):
            tall = _share(values[at], highest) * (inner - _MARGIN)
            if values[at]:
                place = (round(at * step + step * 0.1, 1), round(inner - below - tall, 1))
                bars.append(Bar(*place, round(step * 0.8, 1), round(tall, 1), series, f"{day}, {name}: {values[at]}"))
            below += tall
    every = max(1, len(days) // 6)
    ticks = [(round(at * step + step / 2, 1), day[5:]) for at, day in enumerate(days) if at % every == 0]
    return Bars(width, height, bars, ticks, list(kept), highest)


def _share(value: float, top: float) -> float:
    return min(value / top, 1.0) if top > 0 else 0.0
