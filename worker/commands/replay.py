"""`proguard replay`: the options, and what is said at the end."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from worker.replay.comparison import ASPECTS, Comparison
from worker.replay.ranges import Bound, parse_bound
from worker.replay.run import Report, Request
from worker.replay.run import run as judge_again
from worker.settings import Settings

_SETTABLE = ("guard", "policy", "batching", "breaker", "objects")


def overrides(assignments: Sequence[str], policy: Path | None) -> dict[str, Any]:
    """`--set SECTION.KEY=VALUE` and `--policy` as nested tables; values are JSON, or text where they are none."""
    tables: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        section, *keys = name.split(".")
        if not equals or section not in _SETTABLE or not keys or not all(keys):
            raise typer.BadParameter(
                f"{assignment!r} is not of the form SECTION.KEY=VALUE with one of {', '.join(_SETTABLE)}",
                param_hint="--set",
            )
        table = tables.setdefault(section, {})
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = _value(text)
    if policy is not None:
        tables.setdefault("policy", {})["path"] = policy
    return tables


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def bound(option: str, text: str | None) -> Bound | None:
    """An option's offset or time; a wrong one is wrong usage."""
    try:
        return None if text is None else parse_bound(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def run(settings: Settings, request: Request, as_json: bool) -> int:
    """The command: what came of it on stdout; 1 if the range is not finished."""
    report = judge_again(settings, request)
    if as_json or not sys.stdout.isatty():
        print(json.dumps(_as_json(report, request), ensure_ascii=False))
    else:
        _print(report, request)
    if report.judged.unfinished is not None:
        print(f"not finished: {report.judged.unfinished}; the same command goes on from there", file=sys.stderr)
        return 1
    return 0


def _as_json(report: Report, request: Request) -> dict[str, object]:
    judged = report.judged
    said: dict[str, object] = {
        "topics": report.topics,
        "ranges": [{"partition": each.partition, "from": each.start, "to": each.end} for each in report.ranges],
        "offsets": report.offsets,
        "notes": report.notes,
    }
    if request.dry_run:
        return said
    said |= {
        "done_before": judged.done_before,
        "judged": judged.judged,
        "erased": judged.erased,
        "no_posts": dict(judged.no_posts),
        "expired": judged.expired,
        "unfinished": judged.unfinished,
    }
    return said | ({} if report.comparison is None else {"comparison": report.comparison.as_json()})


def _print(report: Report, request: Request) -> None:
    for note in report.notes:
        print(f"note: {note}")
    if request.dry_run:
        for each in report.ranges:
            print(f"partition {each.partition}: offsets {each.start} up to {each.end}, {each.size}")
        print(f"{report.offsets} offsets would be judged again")
        return
    judged = report.judged
    print(
        f"{judged.judged} posts judged again into {report.topics[0]}; {judged.erased} left out since they were erased, "
        f"{sum(judged.no_posts.values())} are no posts, {judged.expired} expired meanwhile, "
        f"{judged.done_before} offsets done by an earlier run (--restart does them again)"
    )
    if report.comparison is not None:
        _print_comparison(report.comparison)


def _print_comparison(comparison: Comparison) -> None:
    print(
        f"{comparison.compared} verdicts compared, {comparison.changed} would change, "
        f"{comparison.without_live} have no live verdict (any more)"
    )
    console = Console()
    for aspect in ASPECTS:
        table = Table(aspect, "live", "replay", "posts", "for example", box=None, pad_edge=False)
        for row in comparison.rows(aspect):
            examples = row["examples"]
            assert isinstance(examples, list)
            shown = ", ".join(escape(str(each.get("post_id", each["source"]))) for each in examples)
            same = row["old"] == row["new"]
            table.add_row("same" if same else "changed", str(row["old"]), str(row["new"]), str(row["count"]), shown)
        console.print(table)
