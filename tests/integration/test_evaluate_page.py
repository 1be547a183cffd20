"""The report of three small sets by the embedded guard, in a real browser; a screenshot goes to build/screenshots."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.benchmark_samples import write_samples
from tests.support.browser import opened
from worker.commands import evaluate
from worker.settings import load

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    benchmarks = tuple(str(file) for file in write_samples(folder))
    request = evaluate.Request(benchmarks, ("embedded",), folder / "out", splits=1)
    assert evaluate.run(load(None), request, as_json=True) == 0
    return folder / "out" / "report.html"


@pytest.mark.timeout(240)
def test_it_is_complete_and_asks_nobody(report: Path) -> None:
    with opened(report) as (page, watched):
        expect(page.get_by_role("heading", name="posts", exact=True)).to_be_visible()
        assert page.get_by_role("img").count() == 2
        for text in ("always novel", "Is the response unsafe?", "what is taken for what", "1 (lost)"):
            assert page.get_by_text(text.removesuffix(" (lost)")).count(), text
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "evaluation.png", full_page=True)
        assert watched.addresses == [report.as_uri()]
        assert watched.complaints == []


@pytest.mark.timeout(240)
def test_plots_are_drawn(report: Path) -> None:
    """Each has a size, axes with numbers, and curves of several points that lie within it."""
    inside = """plot => {
        const frame = plot.getBoundingClientRect();
        const curves = [...plot.querySelectorAll("polyline")].filter(line => line.points.length > 1);
        return frame.width > 200 && frame.height > 150 && plot.querySelectorAll("text").length >= 6 && curves.length > 0
            && curves.every(line => { const box = line.getBoundingClientRect();
                return box.left >= frame.left - 1 && box.right <= frame.right + 1
                    && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1 && box.width > 0; });
    }"""
    with opened(report) as (page, watched):
        plots = page.get_by_role("img").all()
        assert [plot.evaluate(inside) for plot in plots] == [True, True]
        assert watched.complaints == []


def test_each_turn_was_scored_by_itself(report: Path) -> None:
    tables = json.loads((report.parent / "report.json").read_text())["tables"]
    scored = {(line["set"], turn): line["scored"] for turn in ("request", "response") for line in tables[turn]
              if line["guard"] == "embedded"}  # fmt: skip
    assert scored == {("posts", "request"): 24, ("conversations", "request"): 8, ("pictures", "request"): 4,
                      ("conversations", "response"): 8}  # fmt: skip


@pytest.mark.timeout(240)
def test_texts_are_blurred_until_they_are_clicked(report: Path) -> None:
    with opened(report) as (page, _):
        summary = page.locator("details", has=page.locator(".veil")).first
        summary.locator("summary").click()
        veil = summary.locator(".veil").first
        blurred = "element => getComputedStyle(element.querySelector('span')).filter"
        assert veil.evaluate(blurred) == "blur(7px)"
        veil.click()
        assert veil.evaluate(blurred) == "none"
        veil.get_by_role("checkbox").press("Space")
        assert veil.evaluate(blurred) == "blur(7px)"


@pytest.mark.timeout(240)
def test_a_narrow_screen_scrolls_tables_not_the_page(report: Path) -> None:
    with opened(report, width=420, height=900) as (page, _):
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
