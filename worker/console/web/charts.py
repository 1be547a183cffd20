"""Charts as SVG in the page, drawn by pygal on the server; docs/decisions/0019 says what of its drawing is kept.

Only marks, text and places pass: no style, script, link or id, and no class but those of static/console.css. Large
charts stand beside their figures as a table. The same figures are drawn once and kept.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup
from pygal import Line, StackedBar
from pygal.etree import etree
from pygal.style import Style

from worker.console.web.render import percent, short

SERIES = 8
_NAME = 60
_DATES = 6
_OTHERS = "others"
_TAGS = frozenset({"svg", "g", "path", "rect", "circle", "text"})
_ATTRIBUTES = ("viewBox", "x", "y", "width", "height", "d", "cx", "cy", "r", "transform")
_LEFT_OUT = frozenset({"background", "tooltip"})
_CLASSES = frozenset(
    {"chart", "spark", "axis", "x", "y", "line", "guide", "dot", "no_data", *(f"color-{at}" for at in range(SERIES))}
)
_LONG = re.compile(r"-?\d+\.\d+")
_SHARED: dict[str, Any] = {
    "no_prefix": True,
    "show_legend": False,  # the page has it as a list, which wraps on a phone
    "js": (),
    "css": (),
    "pretty_print": True,  # or the style, which is dropped, would be made smaller each time
    "style": Style(label_font_size=19, major_label_font_size=19),  # room for the largest that console.css sets
}
_AXES: dict[str, Any] = _SHARED | {
    "classes": ("chart",),
    "width": 720,
    "margin": 12,
    "margin_right": 24,
    "spacing": 6,
    "show_minor_x_labels": False,
    "truncate_label": -1,
}

# pygal takes lxml where it finds it; drawings are the same everywhere.
etree.to_etree()


@dataclass(frozen=True, slots=True)
class Stacked:
    """Stacked bars. names: of the series, in the order of their colours; the last one may be all others."""

    svg: Markup
    names: Sequence[str]


@lru_cache(maxsize=2048)
def spark(counts: tuple[int, ...], said: str) -> Markup:
    """A small line from zero, without axes, its last place marked. said: the figures in words."""
    places = [str(at) for at in range(len(counts))]
    drawn = Line(
        **_SHARED,
        classes=("chart", "spark"),
        width=160,
        height=36,
        margin=4,
        spacing=0,
        range=(0, max(counts, default=0) or 1),
        show_x_labels=False,
        show_y_labels=False,
        x_labels=places,
        x_labels_major=places[-1:],
        show_only_major_dots=True,
        no_data_text="",
        explicit_size=True,
    )
    drawn.add(None, counts)
    return _in_page(drawn.render_tree(), said)


@lru_cache(maxsize=16)
def shares(days: tuple[str, ...], values: tuple[float | None, ...], what: str) -> Markup:
    """A line of shares of one, a day each, over an axis in percent from zero; None (nothing to share) is a gap."""
    known = [(value, day) for value, day in zip(values, days, strict=True) if value is not None]
    highest = max(known, default=(0.0, ""))
    scale = _scale(highest[0] or 0.01)
    drawn = Line(
        **_AXES,
        **_by_day(days, scale),
        height=160,
        value_formatter=lambda value: f"{100 * value:g} %",
        allow_interruptions=True,
        no_data_text="No figures yet",
    )
    drawn.add(None, values, formatter=_told(days, None, percent))
    if not known:
        return _in_page(drawn.render_tree(), f"{what}, none yet")
    (latest, day), (most, most_on) = known[-1], highest
    said = f"{what}, {percent(latest)} on {day}, at most {percent(most)} on {most_on}"
    return _in_page(drawn.render_tree(), said)


def stacked(days: Sequence[str], counts: Mapping[str, Sequence[int]], what: str) -> Stacked:
    """Counts of each series on each day, the largest series at the bottom; beyond SERIES they are one, `others`."""
    ordered = sorted(counts, key=lambda name: (-sum(counts[name]), name))
    kept = [(short(name, _NAME), tuple(counts[name])) for name in ordered]
    if len(kept) > SERIES:
        rest = [values for _, values in kept[SERIES - 1 :]]
        kept = [*kept[: SERIES - 1], (_OTHERS, tuple(map(sum, zip(*rest, strict=True))))]
    return Stacked(_stacked(tuple(days), tuple(kept), what), [name for name, _ in kept])


@lru_cache(maxsize=128)
def _stacked(days: tuple[str, ...], series: tuple[tuple[str, tuple[int, ...]], ...], what: str) -> Markup:
    totals = [sum(values[at] for _, values in series) for at in range(len(days))]
    highest, day = max(zip(totals, days, strict=True), default=(0, ""))
    scale = _scale(highest or 1, least=1)  # no part of a risk on the axis
    drawn = StackedBar(
        **_AXES,
        **_by_day(days, scale),
        height=200,
        value_formatter=lambda value: f"{value:.0f}",
        strict=True,  # None stays None, and is not drawn
        no_data_text="None",
    )
    for name, values in series or [("", (0,) * len(days))]:  # without any pygal raises
        drawn.add(None, [value or None for value in values], formatter=_told(days, name, str))
    return _in_page(drawn.render_tree(), f"{what}, at most {highest} on {day}" if highest else f"{what}, none")


def _by_day(days: Sequence[str], scale: Sequence[float]) -> dict[str, Any]:
    """Settings of both axes: days, some of them written out, and numbers from zero."""
    return {
        "x_labels": [day[5:] for day in days],
        "x_labels_major_every": math.ceil(len(days) / _DATES) or 1,
        "y_labels": scale,
        "range": (0, scale[-1]),
    }


def _scale(highest: float, least: float = 0.0) -> list[float]:
    """At most six numbers from zero to the highest or above, 1, 2 or 5 times a power of ten apart.

    highest: above 0. least: between two of them. pygal's own would be apart by 8 or 16.
    """
    rough = max(highest / 5, least) * (1 - 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    return [at * step for at in range(math.ceil(highest / step * (1 - 1e-9)) + 1)]


def _told(days: Sequence[str], name: str | None, form: Callable[[Any], str]) -> Callable[[Any, int], str]:
    """What is said of a mark when it is pointed at. pygal fills the parameters in by their names."""

    def told(value: Any, index: int) -> str:
        where = days[index] if name is None else f"{days[index]}, {name}"
        return f"{where}: {form(value)}"

    return told


def _in_page(drawn: Element, said: str) -> Markup:
    """A drawing as one picture with a name. Its text is escaped by ElementTree."""
    picture = _kept(drawn)
    assert picture is not None  # the root is an svg
    picture.attrib.update({"role": "img", "aria-label": said})
    return Markup(ElementTree.tostring(picture, encoding="unicode"))


def _kept(given: Element) -> Element | None:
    """What of a node stands in the page; None where nothing does. What pygal's script would show becomes a title."""
    classes = given.get("class", "").split()
    if given.tag not in _TAGS or not _LEFT_OUT.isdisjoint(classes):
        return None
    made = Element(given.tag)
    for name in _ATTRIBUTES:
        if name in given.attrib:
            made.set(name, _LONG.sub(lambda number: f"{float(number[0]):.1f}", given.attrib[name]))
    if shown := [each for each in classes if each in _CLASSES]:
        made.set("class", " ".join(shown))
    if given.tag == "text":
        made.text = given.text
    for child in given:
        if child.tag == "desc" and child.get("class") == "value":
            ElementTree.SubElement(made, "title").text = child.text
        elif (kept := _kept(child)) is not None:
            made.append(kept)
    return made if len(made) or given.tag != "g" else None
