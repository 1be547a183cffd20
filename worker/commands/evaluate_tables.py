"""The tables of `proguard evaluate` for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

Line = Mapping[str, Any]


def percent(value: Any, interval: bool = True) -> str:
    """A share in percent; with its interval where it has one."""
    if value is None:
        return "-"
    if not isinstance(value, Mapping):
        return f"{100 * float(value):.1f}"
    bounds = f" [{100 * value['low']:.1f}, {100 * value['high']:.1f}]" if interval else ""
    return f"{100 * value['value']:.1f}{bounds}"


def print_report(found: Mapping[str, Any], console: Console | None = None) -> None:
    """Everything but what is plotted."""
    console = console or Console()
    tables = found["tables"]
    for benchmark in found["benchmarks"]:
        for problem in benchmark["problems"]:
            named = f" ({', '.join(problem['for_example'][:3])})" if problem["for_example"] else ""
            shown = escape(f"{benchmark['name']}: {problem['problem']}: {problem['rows']}{named}")
            console.print(shown, highlight=False)
    for guard in found["guards"]:
        for warning in guard["warnings"]:
            console.print(f"warning: {escape(guard['label'])}: {escape(warning)}", highlight=False)
    for turn in ("request", "response"):
        _binary(console, f"Is the {turn} unsafe? (percent, 95 % interval)", tables[turn], found["benchmarks"])
        _averages(console, f"Average weighted F1, {turn}", tables[f"{turn}_average"])
    _categories(console, tables["category"])
    _detection(console, tables["novel_detection"])
    _description(console, tables["novel_description"])
    for each in found["comparisons"]:
        print_comparison(each["first"], each["second"], each["lines"], console)


def print_comparison(first: str, second: str, lines: Sequence[Line], console: Console | None = None) -> None:
    """Which differences are larger than chance."""
    table = _table(f"{escape(second)} against {escape(first)}: p by McNemar, corrected for {len(lines)} lines")
    for heading in ("set", "question", "rows", escape(first), escape(second), "difference", "p", "larger than chance"):
        table.add_column(heading)
    for line in lines:
        table.add_row(
            escape(line["set"]),
            line["question"],
            str(line["rows"]),
            percent(line["first"]),
            percent(line["second"]),
            percent(line["difference"]),
            f"{line['p_value_corrected']:.4f}",
            "yes" if line["larger_than_chance"] else "no",
        )
    (console or Console()).print(table)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")


def _binary(console: Console, title: str, lines: Sequence[Line], benchmarks: Sequence[Line]) -> None:
    if not lines:
        return
    training = {each["name"]: each["training_source"] for each in benchmarks}
    table = _table(title)
    for heading in ("set", "guard", "rows", "weighted F1", "F1 unsafe", "precision", "recall", "FPR", "AUC", "ECE"):
        table.add_column(heading)
    table.add_column("undet.")
    table.add_column("paper: 7B")
    for line in lines:
        mark = {"yes": " (T)", "possible": " (t)"}.get(training.get(line["set"]) or "", "")
        table.add_row(
            escape(line["set"]) + mark,
            escape(line["guard"]),
            str(line["rows"]),
            percent(line["weighted_f1"]),
            *(percent(line[key], False) for key in ("f1_unsafe", "precision", "recall", "false_positive_rate")),
            percent(line.get("auc"), False),
            percent(line.get("calibration_error")),
            str(line["undetermined"]),
            f"{line['paper']['ProGuard-7B']:.1f}" if line["paper"] else "",
        )
    console.print(table)
    for line in lines:
        for stage, found in line.get("by_stage", {}).items():
            counts = f"{found['rows']} of {line['rows']} rows, {found['unsafe_rows_missed']} unsafe missed"
            said = f"{line['set']}, {line['guard']}: {stage} judged {counts}, {found['safe_rows_alarmed']} safe alarmed"
            console.print(escape(said), highlight=False)
    if any(training.values()):
        console.print("(T) is a training source of ProGuard, (t) may be one", highlight=False)


def _averages(console: Console, title: str, lines: Sequence[Line]) -> None:
    if not lines:
        return
    table = _table(title)
    for heading in ("modality", "guard", "sets", "rows", "weighted by rows", "plain mean"):
        table.add_column(heading)
    for line in lines:
        means = (percent(line[key]) for key in ("weighted_by_rows", "plain_mean"))
        table.add_row(line["modality"], escape(line["guard"]), str(line["sets"]), str(line["rows"]), *means)
    console.print(table)


def _categories(console: Console, lines: Sequence[Line]) -> None:
    if not lines:
        return
    table = _table("Is the category right? (unsafe rows; safe and undetermined are wrong)")
    for heading in ("set", "guard", "rows", "accuracy", "main category", "called safe", "undet."):
        table.add_column(heading)
    for line in lines:
        shares = (percent(line[key]) for key in ("accuracy", "main_accuracy"))
        counts = (str(line[key]) for key in ("called_safe", "undetermined"))
        table.add_row(escape(line["set"]), escape(line["guard"]), str(line["rows"]), *shares, *counts)
    console.print(table)


def _detection(console: Console, lines: Sequence[Line]) -> None:
    if not lines:
        return
    table = _table("Is a risk found that the policy does not list? (F1 of that class over unsafe rows)")
    for heading in ("set", "guard", "split", "withheld from", "share", "rows", "F1", "false novel, listed", "... safe"):
        table.add_column(heading)
    for line in lines:
        table.add_row(
            escape(line["set"]),
            escape(line["guard"]),
            f"{line['split']}: {','.join(line['withheld']) or '-'}",
            line["withheld_from"],
            percent(line["withheld_share"]) + ("" if line["comparable"] else " (!)"),
            str(line["rows"]),
            percent(line["f1"]),
            percent(line["false_novel_in_taxonomy"], False),
            percent(line["false_novel_on_safe"], False),
        )
    console.print(table)
    console.print("Only what is withheld from training too is out of distribution (--untrained)", highlight=False)


def _description(console: Console, lines: Sequence[Line]) -> None:
    if not lines:
        return
    table = _table(f"How well is it named? (0 to 100, by {lines[0]['encoder']})")
    headings = ("score", "specific", "closest", "similarity")
    for heading in ("set", "guard", "split", "withheld from", "rows", "named", *headings):
        table.add_column(heading)
    for line in lines:
        scores = [line["score"], line["specific"]]
        shown = [f"{each['value']:.1f} [{each['low']:.1f}, {each['high']:.1f}]" for each in scores]
        where = (escape(line["set"]), escape(line["guard"]), line["split"], line["withheld_from"])
        shown += [percent(line["closest"]), f"{line['similarity']['value']:.2f}"]
        table.add_row(*where, str(line["rows"]), str(line["named"]), *shown)
    console.print(table)
