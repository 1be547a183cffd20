"""Charts: marks at the places of their figures, and nothing that the pages' policy refuses or a stranger wrote."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from worker.console.web import charts

DAYS = tuple(f"2026-11-{day:02}" for day in range(1, 31))
TAGS = {"svg", "g", "path", "rect", "circle", "text", "title"}
ATTRIBUTES = {
    *("viewBox", "x", "y", "width", "height", "d", "cx", "cy", "r", "transform"),
    *("class", "role", "aria-label"),
}


def read(svg: str) -> ElementTree.Element:
    """As XML, having looked at every node."""
    root = ElementTree.fromstring(svg)
    for node in root.iter():
        assert node.tag in TAGS
        assert set(node.attrib) <= ATTRIBUTES
    assert (root.tag, root.get("role")) == ("svg", "img")
    return root


def told(root: ElementTree.Element) -> list[str]:
    return [node.text or "" for node in root.iter("title")]


def scale(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.findall(".//g[@class='axis y']//text")]


def bars(root: ElementTree.Element, series: int) -> list[tuple[float, ...]]:
    """(x, y, width, height) of each bar of a series."""
    found = root.findall(f".//g[@class='color-{series}']//rect")
    return [tuple(float(bar.attrib[name]) for name in ("x", "y", "width", "height")) for bar in found]


def test_a_small_line_begins_at_zero_and_marks_its_last_place() -> None:
    root = read(charts.spark((0, 5, 10), "risks a day: 0, 5, 10"))
    assert (root.get("aria-label"), root.get("viewBox")) == ("risks a day: 0, 5, 10", "0 0 160 36")
    (line,) = root.iter("path")
    places = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", line.attrib["d"])]
    xs, ys = zip(*places, strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    assert ys[0] > 26 > 2 > ys[2] >= 0
    (dot,) = root.iter("circle")
    assert (float(dot.attrib["cx"]), float(dot.attrib["cy"])) == places[-1]


@pytest.mark.parametrize("counts", [(), (0,), (7,), (0, 0, 0), (10**9, 1)])
def test_a_small_line_of_little_is_a_picture_too(counts: tuple[int, ...]) -> None:
    root = read(charts.spark(counts, "said"))
    assert len(list(root.iter("circle"))) == bool(counts)


def test_bars_stand_on_each_other_the_largest_series_at_the_bottom() -> None:
    plot = charts.stacked(DAYS[:3], {"old": [1, 0, 2], "new": [4, 8, 2]}, "risks a day")
    root = read(plot.svg)
    assert plot.names == ["new", "old"]
    assert root.get("aria-label") == "risks a day, at most 8 on 2026-11-02"
    assert told(root) == [
        *("2026-11-01, new: 4", "2026-11-02, new: 8", "2026-11-03, new: 2"),
        *("2026-11-01, old: 1", "2026-11-03, old: 2"),
    ]
    below, above = bars(root, 0), bars(root, 1)
    assert [bar[3] / below[2][3] for bar in below] == pytest.approx([2, 4, 1], abs=0.02)
    feet = {round(y + height, 1) for _, y, _, height in below}
    assert max(feet) - min(feet) <= 0.11
    assert above[0][1] + above[0][3] == pytest.approx(below[0][1], abs=0.11)
    assert above[1][1] + above[1][3] == pytest.approx(below[2][1], abs=0.11)
    assert scale(root) == ["0", "2", "4", "6", "8"]
    assert [each.text for each in root.findall(".//g[@class='axis x']//text")] == ["11-01", "11-02", "11-03"]


def test_what_is_too_much_is_one_series_and_stays_within_its_box() -> None:
    counts = {f"r{at}": [at, 1] for at in range(11)} | {"others": [100, 100]}
    plot = charts.stacked(DAYS[:2], counts, "risks a day")
    root = read(plot.svg)
    assert plot.names == ["others", "r10", "r9", "r8", "r7", "r6", "r5", "others"]
    assert len(plot.names) == charts.SERIES
    assert f"2026-11-01, others: {0 + 1 + 2 + 3 + 4}" in told(root)
    assert "2026-11-01, others: 100" in told(root)  # a revision may be called so
    boxes = [box for series in range(charts.SERIES) for box in bars(root, series)]
    assert all(x >= 0 and y >= 0 and x + width <= 720 and y + height <= 200 for x, y, width, height in boxes)


def test_sixty_days_have_six_dates_and_counts_have_whole_numbers() -> None:
    days = [f"2026-{month:02}-{day:02}" for month in (9, 11) for day in range(1, 31)]
    root = read(charts.stacked(days, {"r1": [0] * 59 + [1]}, "risks a day").svg)
    dates = [each.text for each in root.findall(".//g[@class='axis x']//text")]
    assert dates == ["09-01", "09-11", "09-21", "11-01", "11-11", "11-21"]
    assert scale(root) == ["0", "1"]


@pytest.mark.parametrize("days", [0, 1, 30])
@pytest.mark.parametrize("series", [0, 1])
def test_nothing_to_stack_is_a_picture_that_says_so(days: int, series: int) -> None:
    plot = charts.stacked(DAYS[:days], {f"r{at}": [0] * days for at in range(series)}, "risks a day")
    root = read(plot.svg)
    assert root.get("aria-label") == "risks a day, none"
    assert len(plot.names) == series
    assert not list(root.iter("rect"))


@pytest.mark.parametrize(
    ("most", "steps"),
    [(3, 1), (6, 2), (23, 5), (41, 10), (57, 20), (100, 20), (1_234_567, 500_000)],
)
def test_an_axis_has_round_numbers_up_to_the_highest(most: int, steps: int) -> None:
    root = read(charts.stacked(DAYS[:1], {"r1": [most]}, "risks a day").svg)
    axis = [int(each) for each in scale(root)]
    assert axis == [*range(0, most, steps), axis[-1]]
    assert most <= axis[-1] < most + steps


def test_shares_have_an_axis_in_percent_and_gaps_where_nothing_is_known() -> None:
    root = read(charts.shares(DAYS[:6], (0.0, 0.01, None, 0.03, 0.02, 0.01), "undetermined"))
    assert root.get("aria-label") == "undetermined, 1.0 % on 2026-11-06, at most 3.0 % on 2026-11-04"
    assert scale(root) == ["0 %", "1 %", "2 %", "3 %"]
    assert len(root.findall(".//g[@class='color-0']/path")) == 2
    assert told(root)[:3] == ["2026-11-01: 0.0 %", "2026-11-02: 1.0 %", "2026-11-04: 3.0 %"]


@pytest.mark.parametrize("values", [(), (None, None)])
def test_without_shares_it_says_so(values: tuple[None, ...]) -> None:
    root = read(charts.shares(DAYS[: len(values)], values, "undetermined"))
    assert root.get("aria-label") == "undetermined, none yet"
    assert "No figures yet" in [each.text for each in root.iter("text")]


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "</title></svg><img src=x onerror=alert(1)>",
        "\"' onload='alert(1)' x=\"",
        "]]><!-- &lt;b&gt; &#60;script> <?xml?>",
        "javascript:alert(1)",
        "x" * 5_000,
        "photo\u202egnp.exe",
        "{{ 7 * 7 }} %s {0}",
    ],
)
def test_the_name_of_a_stranger_is_text_and_short(name: str) -> None:
    plot = charts.stacked(DAYS[:2], {name: [1, 2], "r1": [5, 5]}, "risks a day")
    root = read(plot.svg)
    assert plot.names[0] == "r1"
    assert len(plot.names[1]) <= 60
    assert told(root)[2:] == [f"2026-11-01, {plot.names[1]}: 1", f"2026-11-02, {plot.names[1]}: 2"]
    assert plot.names[1][:30].replace("\ufffd", "\u202e") == " ".join(name.split())[:30]
    assert len(plot.svg) < 5_000
    for refused in ("<script", "<img", "<style", "style=", "<!--", "<?", "href", "\u202e"):
        assert refused not in plot.svg


def test_the_same_figures_are_drawn_once() -> None:
    first = charts.spark((1, 2, 3), "said")
    assert charts.spark((1, 2, 3), "said") is first
    assert charts.spark((1, 2, 3), "said otherwise") is not first


def test_drawings_do_not_depend_on_whether_lxml_is_there() -> None:
    """An installation has no lxml; the environment of the tests has."""
    code = "import sys{}; from worker.console.web import charts; print(charts.spark((1, 2), 'said'))"
    hidden = "; sys.modules['lxml'] = None"
    drawn = [
        subprocess.run([sys.executable, "-c", code.format(each)], check=True, capture_output=True, text=True).stdout
        for each in ("", hidden)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith("<svg")
