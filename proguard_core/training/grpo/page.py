"""training.html: one self-contained page of a run. No script, no address; plots are SVG in the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from proguard_core.training.grpo.metrics import MEASURES, Measure, series

WIDTH, HEIGHT = 320, 200
_MARGIN = 36
_MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Curve:
    """points: SVG coordinates. last: the newest value."""

    label: str
    points: str
    last: float


@dataclass(frozen=True, slots=True)
class Plot:
    """ticks: (place, what to say), of both axes."""

    measure: Measure
    curves: list[Curve]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def plot(measure: Measure, history: Sequence[Mapping[str, Any]]) -> Plot | None:
    """One measure over the updates; None where the log has no finite number of it."""
    found = {label: _finite(series(history, key)) for label, key in measure.keys.items()}
    found = {label: points for label, points in found.items() if points}
    if not found:
        return None
    steps = [step for points in found.values() for step, _ in points]
    values = [value for points in found.values() for _, value in points]
    x_low, x_high = _range(steps)
    y_low, y_high = _range(values)

    def x(step: float) -> float:
        return round(_MARGIN + (step - x_low) / (x_high - x_low) * (WIDTH - _MARGIN - 8), 1)

    def y(value: float) -> float:
        return round(HEIGHT - 22 - (value - y_low) / (y_high - y_low) * (HEIGHT - 34), 1)

    curves = [
        Curve(label, " ".join(f"{x(step)},{y(value)}" for step, value in _thinned(points)), points[-1][1])
        for label, points in found.items()
    ]
    halves = (0.0, 0.5, 1.0)
    x_ticks = [(x(at), f"{at:.0f}") for at in (x_low + part * (x_high - x_low) for part in halves)]
    y_ticks = [(y(at), f"{at:.3g}") for at in (y_low + part * (y_high - y_low) for part in halves)]
    return Plot(measure, curves, x_ticks, y_ticks)


def render(facts: Mapping[str, str], warnings: Sequence[str], history: Sequence[Mapping[str, Any]], state: str) -> str:
    """The page as HTML. history: one record an update; state: how the run stands, in words."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("proguard_core.training.grpo").joinpath("page.html.jinja").read_text(encoding="utf-8")
    plots = [found for measure in MEASURES if (found := plot(measure, history)) is not None]
    return environment.from_string(source).render(
        facts=facts,
        warnings=warnings,
        state=state,
        updates=len(history),
        plots=plots,
        width=WIDTH,
        height=HEIGHT,
        margin=_MARGIN,
    )


def _finite(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(step, value) for step, value in points if math.isfinite(value)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Never empty, so that a constant has a place."""
    low, high = min(values), max(values)
    if high - low > 1e-9 * max(1.0, abs(high)):
        return low, high
    return low - 0.5, high + 0.5


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of equal parts of a long curve."""
    size = math.ceil(len(points) / _MOST_POINTS)
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    return [(sum(s for s, _ in part) / len(part), sum(v for _, v in part) / len(part)) for part in parts]
