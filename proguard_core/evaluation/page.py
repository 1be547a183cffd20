"""report.html: one self-contained page. No script, no address: plots are SVG in the page, texts open by a checkbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.benchmarks import Benchmark
from proguard_core.evaluation.binary_tables import TURNS
from proguard_core.evaluation.report import GuardRun
from proguard_core.evaluation.worst import worst
from proguard_core.policy.taxonomy import CATEGORY_NAMES

SIDE = 260
_MARGIN = 34
_OUTSIDE = ("novel", "hallucinated", "no category", "safe", "undetermined")
SWEPT = {
    "weighted_f1": "weighted F1",
    "recall": "recall",
    "precision": "precision",
    "false_positive_rate": "false positives",
}

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a plot of [0, 1] x [0, 1]. points: SVG coordinates; dots: (x, y, radius, what to say)."""

    label: str
    points: str
    dots: list[tuple[float, float, float, str]]


def _at(x: float, y: float) -> tuple[float, float]:
    inner = SIDE - 2 * _MARGIN
    return round(_MARGIN + x * inner, 1), round(SIDE - _MARGIN - y * inner, 1)


def _curve(label: str, points: Sequence[tuple[float, float]], dots: Sequence[tuple[float, float, float, str]]) -> Curve:
    placed = [_at(x, y) for x, y in points]
    return Curve(label, " ".join(f"{x},{y}" for x, y in placed), [(*_at(x, y), r, said) for x, y, r, said in dots])


def reliability(line: Line) -> list[Curve]:
    """Score against the share of truly unsafe rows; a dot's area grows with its rows."""
    bins = line.get("reliability") or []
    most = max((each["rows"] for each in bins), default=1)
    dots = [
        (
            each["score"],
            each["unsafe"],
            2 + 6 * (each["rows"] / most) ** 0.5,
            f"{each['rows']} rows with a mean score of {each['score']:.2f}: {each['unsafe']:.0%} unsafe",
        )
        for each in bins
    ]
    return [_curve("reliability", [(each["score"], each["unsafe"]) for each in bins], dots)] if bins else []


def sweep(line: Line) -> list[Curve]:
    """Figures by threshold."""
    steps = line.get("sweep") or []
    return [
        _curve(label, [(step["threshold"], step[key]) for step in steps], []) for key, label in SWEPT.items() if steps
    ]


def heat(line: Line) -> dict[str, Any]:
    """The confusion table by main category: headings, and rows of (count, share of the row)."""
    confusion: Mapping[str, Mapping[str, int]] = line["confusion"]
    said = {column for found in confusion.values() for column in found}
    columns = [code for code in CATEGORY_NAMES if code in said or code in confusion]
    columns += [column for column in _OUTSIDE if column in said]
    columns += sorted(said - set(columns))  # categories of a policy's own
    rows = []
    for code, found in confusion.items():
        total = sum(found.values())
        rows.append((code, total, [(found.get(column, 0), found.get(column, 0) / total) for column in columns]))
    return {"columns": columns, "rows": rows}


def render(report: Line, benchmarks: Sequence[Benchmark], guards: Sequence[GuardRun], *, texts: bool = True) -> str:
    """The page as HTML. texts: whether the worst errors are shown, each behind a blur."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = _percent
    environment.filters["interval"] = _interval
    source = resources.files("proguard_core.evaluation").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        report=report,
        sections=[_section(report, benchmark, guards, texts) for benchmark in benchmarks],
        names=CATEGORY_NAMES,
        side=SIDE,
        margin=_MARGIN,
        swept=list(SWEPT.values()),
        texts=texts,
    )


def _section(report: Line, benchmark: Benchmark, guards: Sequence[GuardRun], texts: bool) -> dict[str, Any]:
    tables = report["tables"]
    real = {guard.label for guard in guards}

    def of(name: str) -> list[Line]:
        return [line for line in tables[name] if line["set"] == benchmark.name]

    binary = {turn: of(turn) for turn in TURNS}
    plots = [
        {"turn": turn, "guard": line["guard"], "line": line, "reliability": reliability(line), "sweep": sweep(line)}
        for turn in TURNS
        for line in binary[turn]
        if line["guard"] in real and line.get("reliability")
    ]
    said: list[Mapping[str, Answer]] = [guard.answers.get(benchmark.name, {}) for guard in guards]
    said += [answers for guard in guards for _, answers in guard.splits.get(benchmark.name, [])]
    return {
        "benchmark": next(each for each in report["benchmarks"] if each["name"] == benchmark.name),
        "binary": binary,
        "by_source": {turn: of(f"{turn}_by_source") for turn in TURNS},
        "plots": plots,
        "categories": of("category"),
        "heat": [(line, heat(line)) for line in of("category") if line["guard"] in real],
        "detection": of("novel_detection"),
        "description": of("novel_description"),
        "worst": [
            worst(turn, guard.label, benchmark.rows, guard.answers.get(benchmark.name, {}), said)
            for turn in TURNS
            if binary[turn]
            for guard in guards
        ]
        if texts
        else [],
    }


def _percent(value: Any) -> str:
    if value is None:
        return "–"
    return f"{100 * float(value['value'] if isinstance(value, Mapping) else value):.1f}"


def _interval(value: Any) -> str:
    """The bounds in percent, small behind a figure; empty without any."""
    return f"{100 * value['low']:.1f}–{100 * value['high']:.1f}" if isinstance(value, Mapping) else ""
