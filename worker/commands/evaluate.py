"""`proguard evaluate`: guards judge benchmarks; tables on the terminal, report.json, report.html, answers.jsonl."""

import asyncio
import json
import random
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from pydantic import ValidationError

from proguard_core.evaluation import comparison, report
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.benchmarks import Benchmark, load_all
from proguard_core.evaluation.encoder import NameEncoder
from proguard_core.evaluation.judging import GuardStopped
from proguard_core.evaluation.loaders.files import FormError, HubError
from proguard_core.evaluation.page import render
from proguard_core.evaluation.report import GuardRun
from proguard_core.evaluation.withholding import Split, own_split, splits, without
from proguard_core.policy.policy import SEXUAL, Policy
from proguard_core.policy.taxonomy import CATEGORY_NAMES
from worker.commands.evaluate_guard import Asked, ask_guard
from worker.commands.evaluate_progress import log_problems, shown
from worker.commands.evaluate_tables import print_comparison, print_report
from worker.errors import ConfigurationError, WorkerError
from worker.moderation.run import make_policy
from worker.settings import GuardSettings, Settings, describe

REPORT, PAGE = "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted. compare: two guards of this run, or of earlier ones; limit: rows drawn from a set."""

    benchmarks: tuple[str, ...]
    guards: tuple[str, ...]
    out: Path
    cache: Path | None = None
    splits: int = 3
    untrained: frozenset[str] = frozenset()
    limit: int | None = None
    texts: bool = True
    compare: tuple[str, str] | None = None


def main_categories(text: str | None) -> frozenset[str]:
    """`C5,C7` as codes; anything else is wrong usage."""
    codes = frozenset(code.strip().upper() for code in (text or "").split(",") if code.strip())
    if unknown := sorted(codes - (set(CATEGORY_NAMES) - {SEXUAL})):
        why = "is never withheld, since every policy lists minors" if unknown[0] == SEXUAL else "is no main category"
        raise typer.BadParameter(f"{unknown[0]} {why} (C1 to C10)", param_hint="--untrained")
    return codes


def run(settings: Settings, request: Request, as_json: bool) -> int:
    """The command. Raises WorkerError."""
    if request.benchmarks:
        found = _evaluate(settings, request)
        if as_json or not sys.stdout.isatty():
            log_problems(found)
            print(json.dumps(_short(found), ensure_ascii=False))
        else:
            print_report(found)
        print(f"written: {request.out / REPORT}, {request.out / PAGE}", file=sys.stderr)
    if request.compare is not None:
        return _compare(request, as_json or not sys.stdout.isatty())
    return 0


def guard_settings(settings: Settings, text: str) -> tuple[str, Settings]:
    """Label and settings of `--guard`: FILE.toml with a table [guard], or an engine.

    An engine takes the keys of [guard] unless [guard] names another engine, whose keys they are then.
    """
    try:
        if text.endswith(".toml"):
            table = tomllib.loads(Path(text).read_text(encoding="utf-8")).get("guard", {})
            return Path(text).stem, settings.model_copy(update={"guard": GuardSettings.model_validate(table)})
        own = settings.guard
        if own.engine != text and "engine" in own.model_fields_set:
            own = GuardSettings()
        return text, settings.model_copy(update={"guard": own.model_copy(update={"engine": text})})
    except OSError as error:
        raise ConfigurationError(f"--guard {text}: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigurationError(describe(error, f"--guard {text}", "guard")) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"--guard {text}: {error}") from None


def _evaluate(settings: Settings, request: Request) -> dict[str, object]:
    policy = make_policy(settings)
    benchmarks = _loaded(request, policy)
    names = request.guards or (settings.guard.engine,)
    specs = _labelled([guard_settings(settings, name) for name in names])
    _check_compared(request, [label for label, _ in specs])
    for folder, option in ((request.out, "--out"), (_cache(request), "--cache")):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{folder}: {error.strerror}", param_hint=option) from None
    guards = [_judge(label, own, policy, benchmarks, request) for label, own in specs]
    found = report.build(policy, benchmarks, guards, NameEncoder() if request.splits else None, request.untrained)
    (request.out / REPORT).write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    with (request.out / comparison.ANSWERS_FILE).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in report.kept_lines(benchmarks, guards))
    (request.out / PAGE).write_text(render(found, benchmarks, guards, texts=request.texts), encoding="utf-8")
    return found


def _loaded(request: Request, policy: Policy) -> list[Benchmark]:
    try:
        benchmarks = load_all(list(request.benchmarks), policy.codes)
    except HubError as error:
        raise WorkerError(f"--benchmark: {error}") from None
    except FormError as error:
        raise typer.BadParameter(str(error), param_hint="--benchmark") from None
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--benchmark") from None
    return benchmarks if request.limit is None else [_sampled(each, request.limit) for each in benchmarks]


def _check_compared(request: Request, labels: Sequence[str]) -> None:
    """Before anything is judged: hours later it would be a pity."""
    for place in request.compare or ():
        if place not in labels and not comparison.locate(place)[0].is_dir():
            guards = ", ".join(labels)
            raise typer.BadParameter(
                f"{place} is neither a guard of this run ({guards}) nor a folder of an earlier one",
                param_hint="--compare",
            )


def _sampled(benchmark: Benchmark, most: int) -> Benchmark:
    """So many rows, the same ones each time, in their order."""
    if len(benchmark.rows) <= most:
        return benchmark
    chosen = sorted(random.Random(benchmark.name).sample(range(len(benchmark.rows)), most))
    benchmark.problems.count(f"left out, since only {most} rows were wanted", len(benchmark.rows) - most)
    return replace(benchmark, rows=[benchmark.rows[at] for at in chosen])


def _labelled(specs: list[tuple[str, Settings]]) -> list[tuple[str, Settings]]:
    """Each guard with a label of its own."""
    made: list[tuple[str, Settings]] = []
    for label, own in specs:
        taken = sum(other.partition("#")[0] == label for other, _ in made)
        made.append((f"{label}#{taken + 1}" if taken else label, own))
    return made


def _judge(
    label: str, settings: Settings, policy: Policy, benchmarks: Sequence[Benchmark], request: Request
) -> GuardRun:
    """All that is asked of one guard: every row under the policy, then the splits under smaller ones."""
    work = _work(policy, benchmarks, request)
    rows = sum(len(asked.rows) for under in work.values() for asked in under)
    with shown(label, rows) as done:
        try:
            return asyncio.run(_ask_all(label, settings, policy, work, request, done))
        except KeyboardInterrupt:
            print(f"broken off. {_kept_in(_cache(request))}", file=sys.stderr)
            raise


def _work(policy: Policy, benchmarks: Sequence[Benchmark], request: Request) -> dict[frozenset[str], list[Asked]]:
    """What is asked under each policy, by the categories that it lacks; the whole policy comes first."""
    work: dict[frozenset[str], list[Asked]] = {frozenset(): [Asked(each, None, each.rows) for each in benchmarks]}
    for benchmark in benchmarks if request.splits else ():
        for split in splits(benchmark.name, benchmark.rows, policy, request.splits, untrained=request.untrained):
            rows = [row for row in benchmark.rows if row.safe or (row.unsafe and (row.categories or row.ood_name))]
            work.setdefault(split.withheld, []).append(Asked(benchmark, split, rows))
    return work


async def _ask_all(
    label: str,
    settings: Settings,
    policy: Policy,
    work: dict[frozenset[str], list[Asked]],
    request: Request,
    done: Callable[[int], None],
) -> GuardRun:
    guard_run = GuardRun(label, "", "")
    cache = _cache(request)
    for withheld, asked in work.items():
        try:
            said = await ask_guard(settings, without(policy, withheld), asked, cache, done)
        except GuardStopped as error:
            raise WorkerError(f"the guard {label} stopped: {error}. {_kept_in(cache)}") from None
        if not withheld:
            guard_run.name, guard_run.revision, guard_run.warnings = said.name, said.revision, said.warnings
        for each, answers in zip(asked, said.answers, strict=True):
            _note(guard_run, each, answers)
    for found in guard_run.splits.values():
        found.sort(key=lambda split: split[0].name)
    return guard_run


def _cache(request: Request) -> Path:
    return request.cache or request.out / "judgements"


def _kept_in(cache: Path) -> str:
    return f"What was answered is kept in {cache}; the same command goes on from there"


def _note(guard_run: GuardRun, asked: Asked, answers: dict[str, Answer]) -> None:
    name = asked.benchmark.name
    if asked.split is not None:
        guard_run.splits.setdefault(name, []).append((asked.split, answers))
        return
    guard_run.answers[name] = answers
    own: Split | None = own_split(asked.benchmark.rows)
    if own is not None:
        guard_run.splits.setdefault(name, []).append((own, answers))


def _compare(request: Request, as_json: bool) -> int:
    assert request.compare is not None
    try:
        first, second = (_kept(request, place) for place in request.compare)
        lines = comparison.compare(first, second)
    except comparison.NothingToCompare as error:
        raise WorkerError(f"--compare: {error}") from None
    if as_json:
        print(json.dumps({"first": first.name, "second": second.name, "lines": lines}, ensure_ascii=False))
    else:
        print_comparison(first.name, second.name, lines)
    return 0


def _kept(request: Request, place: str) -> comparison.Kept:
    """A guard of this run's folder by its label, else of an earlier run's folder."""
    folder, guard = comparison.locate(place)
    if folder.is_dir():
        return replace(comparison.read(folder, guard), name=place)
    try:
        return replace(comparison.read(request.out, place), name=place)
    except comparison.NothingToCompare as error:
        raise comparison.NothingToCompare(f"{place} is no folder of an earlier run; {error}") from None


def _short(found: dict[str, object]) -> dict[str, object]:
    """The report without what is only plotted."""
    tables = found["tables"]
    assert isinstance(tables, dict)
    plotted = {"reliability", "sweep", "confusion"}
    return found | {
        "tables": {
            name: [{key: value for key, value in line.items() if key not in plotted} for line in lines]
            for name, lines in tables.items()
        }
    }
