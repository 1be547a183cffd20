"""The page holds everything it needs, runs nothing, and shows of strangers' texts what may be shown, escaped."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from proguard_core.evaluation import report
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.benchmarks import Benchmark
from proguard_core.evaluation.page import render
from proguard_core.evaluation.report import GuardRun
from proguard_core.evaluation.rows import Problems, Row
from proguard_core.evaluation.withholding import Split
from proguard_core.policy.loader import load_policy
from schemas.common import CategoryKind, Outcome

SAFE, UNSAFE = Outcome.SAFE, Outcome.UNSAFE
EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">&lt; " \' \u202e gnorw'
POLICY = load_policy()


def rows() -> list[Row]:
    made = [Row(f"safe-{at}", f"harmless {at}", request_label=SAFE) for at in range(30)]
    made += [Row(f"bad-{at}", f"harmful {at}", request_label=UNSAFE, categories=("C8S1",)) for at in range(30)]
    made.append(Row("evil<b>", EVIL, request_label=UNSAFE, categories=("C4S2",), source="<i>part"))
    made.append(Row("minor-by-set", "about somebody small", request_label=UNSAFE, categories=("C11S1",)))
    made.append(Row("minor-by-guard", "seen by the guard", request_label=SAFE))
    made.append(Row("minor-by-split", "seen under a smaller policy", request_label=UNSAFE, categories=("C8S1",)))
    made.append(Row("minor-by-words", "a 12 year old and more", request_label=UNSAFE))
    return made


def said(row: Row) -> Answer:
    if row.id == "minor-by-guard":
        return Answer(UNSAFE, kind=CategoryKind.KNOWN, code="C11S2", request_score=0.9)
    if row.id == "safe-3":
        return Answer(UNSAFE, kind=CategoryKind.NOVEL, name="<u>Odd name", request_score=0.95, by="big<")
    if row.id.startswith("bad-") and row.id != "bad-7":
        return Answer(UNSAFE, kind=CategoryKind.KNOWN, code="C8S1", request_score=0.8, by="big<")
    return Answer(SAFE, request_score=0.2, by="small")


@pytest.fixture
def evaluated() -> tuple[dict[str, object], list[Benchmark], list[GuardRun]]:
    benchmark = Benchmark("mi<ne", rows(), Problems(), Path())
    benchmark.problems.add("no label (left out)", "<x>")
    run = GuardRun("guard<1>", "scripted", "1", {"mi<ne": {row.id: said(row) for row in benchmark.rows}})
    run.warnings.append("<warned>")
    near = Answer(UNSAFE, kind=CategoryKind.NOVEL, name="Odd", nearest="C11S1")
    run.splits["mi<ne"] = [(Split("split 1", frozenset({"C8"})), {"minor-by-split": near})]
    return report.build(POLICY, [benchmark], [run], None), [benchmark], [run]


class Tags(HTMLParser):
    """Every element with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


def test_it_runs_nothing_and_asks_for_nothing(
    evaluated: tuple[dict[str, object], list[Benchmark], list[GuardRun]],
) -> None:
    page = render(*evaluated)
    found = tags(page)
    assert not {tag for tag, _ in found} & {"script", "img", "iframe", "object", "embed", "link", "b", "i", "u", "x"}
    names = {name for _, attributes in found for name in attributes}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "srcset", "action", "formaction"})
    assert {attributes["href"] for tag, attributes in found if tag == "a"} == {"#mi<ne"}
    assert "http" not in re.sub(r'http-equiv="', "", page)
    assert "default-src 'none'" in page


def test_texts_are_there_escaped_and_behind_a_veil(
    evaluated: tuple[dict[str, object], list[Benchmark], list[GuardRun]],
) -> None:
    page = render(*evaluated)
    assert "&lt;script&gt;alert(1)" in page
    assert "harmless 3" in page
    assert "harmful 7" in page
    assert "harmless 4" not in page  # no error
    veiled = re.findall(r'<label class="veil">.*?</label>', page, re.DOTALL)
    assert len(veiled) == 3
    assert all('type="checkbox"' in each for each in veiled)


def test_nothing_near_minors_is_shown(evaluated: tuple[dict[str, object], list[Benchmark], list[GuardRun]]) -> None:
    page = render(*evaluated)
    for text in ("somebody small", "seen by the guard", "smaller policy", "12 year old"):
        assert text not in page
    assert "4 more not shown" in page


def test_texts_can_be_left_out(evaluated: tuple[dict[str, object], list[Benchmark], list[GuardRun]]) -> None:
    page = render(*evaluated, texts=False)
    assert "veil" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert "harmful 7" not in page


def test_the_report_holds_no_content(evaluated: tuple[dict[str, object], list[Benchmark], list[GuardRun]]) -> None:
    text = str(evaluated[0])
    assert "harmless" not in text
    assert "alert(1)" not in text
    assert "Odd name" not in text


def test_plots_show_what_the_report_says(evaluated: tuple[dict[str, object], list[Benchmark], list[GuardRun]]) -> None:
    page = render(*evaluated)
    found = tags(page)
    assert sum(tag == "svg" for tag, _ in found) == 2
    assert sum(tag == "circle" for tag, _ in found) == 3  # scores of 0.2, 0.8 and above 0.9
    assert sum(tag == "polyline" for tag, _ in found) == 5


def test_what_a_first_stage_did_is_told(evaluated: tuple[dict[str, object], list[Benchmark], list[GuardRun]]) -> None:
    page = render(*evaluated)
    assert "small 34 of 65 rows, 5 unsafe missed, 0 safe alarmed" in page
    assert "big&lt; 30 of 65 rows, 0 unsafe missed, 1 safe alarmed" in page
