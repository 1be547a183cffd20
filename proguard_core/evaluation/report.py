"""From answers to report.json: every table, with the guards that look at nothing beside the real ones. No content."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata

from proguard_core.evaluation import binary_tables, category_tables, comparison, novel_tables, paper
from proguard_core.evaluation.answers import ALWAYS_NOVEL, ALWAYS_SAFE, ALWAYS_UNSAFE, Answer, baseline
from proguard_core.evaluation.benchmarks import Benchmark
from proguard_core.evaluation.binary_tables import TURNS, Turn
from proguard_core.evaluation.withholding import Split
from proguard_core.policy.policy import Policy

FORMAT = 1
Answers = Mapping[str, Answer]
Line = dict[str, object]


@dataclass(slots=True)
class GuardRun:
    """What one guard said. answers: by set, by row id; splits: by set, each split with the answers under its policy.

    warnings: what must be said beside its figures. looks_at_nothing: a baseline.
    """

    label: str
    name: str
    revision: str
    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    splits: dict[str, list[tuple[Split, dict[str, Answer]]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    looks_at_nothing: bool = False


def baselines(runs: Sequence[GuardRun], benchmarks: Sequence[Benchmark]) -> list[GuardRun]:
    """Always safe, always unsafe and always novel, on the rows and splits that the guards were asked."""
    made = []
    for kind in (ALWAYS_SAFE, ALWAYS_UNSAFE, ALWAYS_NOVEL):
        run = GuardRun(kind, kind, "", looks_at_nothing=True)
        for benchmark in benchmarks:
            asked = {identity for other in runs for identity in other.answers.get(benchmark.name, {})}
            said = {row.id: baseline(kind, bool(row.response)) for row in benchmark.rows if row.id in asked}
            run.answers[benchmark.name] = said
            known: dict[str, tuple[Split, dict[str, Answer]]] = {}
            for other in runs:
                for split, answers in other.splits.get(benchmark.name, []):
                    known.setdefault(split.name, (split, {key: said[key] for key in answers if key in said}))
            run.splits[benchmark.name] = list(known.values())
        made.append(run)
    return made


def build(
    policy: Policy,
    benchmarks: Sequence[Benchmark],
    guards: Sequence[GuardRun],
    encoder: novel_tables.Encoder | None,
    untrained: frozenset[str] = frozenset(),
) -> Line:
    """The report as JSON. untrained: main categories that no training of the guards saw; only these are called OOD."""
    runs = [*guards, *baselines(guards, benchmarks)]
    tables: dict[str, list[Line]] = {}
    for turn in TURNS:
        tables[turn] = list(_binary(turn, benchmarks, runs))
        tables[f"{turn}_average"] = [line for run in runs for line in _averages(turn, benchmarks, run)]
        tables[f"{turn}_by_source"] = [
            {"set": benchmark.name, **line}
            for run in runs
            for benchmark in benchmarks
            for line in binary_tables.by_source(run.label, turn, benchmark.rows, run.answers.get(benchmark.name, {}))
        ]
    tables["category"] = list(_categories(benchmarks, runs))
    tables["novel_detection"] = list(_detection(benchmarks, runs, untrained))
    tables["novel_description"] = list(_description(benchmarks, runs, untrained, policy, encoder)) if encoder else []
    return {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "project": metadata.version("proguard-stream-moderation"),
        "policy": {"name": policy.name, "version": policy.version},
        "guards": [
            {"label": run.label, "name": run.name, "revision": run.revision, "warnings": run.warnings} for run in guards
        ],
        "benchmarks": [_described(benchmark) for benchmark in benchmarks],
        "encoder": encoder.name if encoder else None,
        "tables": tables,
        "comparisons": _comparisons(benchmarks, guards),
    }


def kept_lines(benchmarks: Sequence[Benchmark], guards: Sequence[GuardRun]) -> Iterator[Line]:
    """The lines of answers.jsonl."""
    for run in guards:
        for benchmark in benchmarks:
            yield from comparison.lines(run.label, benchmark.name, benchmark.rows, run.answers.get(benchmark.name, {}))


def _described(benchmark: Benchmark) -> Line:
    facts = benchmark.facts
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "file": benchmark.file,
        "sha256": benchmark.digest,
        "rows": len(benchmark.rows),
        "modality": binary_tables.modality(benchmark.rows),
        "training_source": facts.training if facts else None,
        "form": facts.form if facts else None,
        "note": facts.note if facts else None,
        "problems": benchmark.problems.as_json(),
    }


def _binary(turn: Turn, benchmarks: Sequence[Benchmark], runs: Sequence[GuardRun]) -> Iterator[Line]:
    for benchmark in benchmarks:
        for run in runs:
            answers = run.answers.get(benchmark.name, {})
            if not len(binary_tables.scored(benchmark.rows, answers, turn).truth):
                continue
            line = binary_tables.entry(benchmark.name, run.label, turn, benchmark.rows, answers)
            yield line | _paper(benchmark, turn, line)


def _averages(turn: Turn, benchmarks: Sequence[Benchmark], run: GuardRun) -> Iterator[Line]:
    sets = {each.name: (each.rows, run.answers.get(each.name, {})) for each in benchmarks}
    yield from binary_tables.averages(run.label, turn, sets)


def _categories(benchmarks: Sequence[Benchmark], runs: Sequence[GuardRun]) -> Iterator[Line]:
    for benchmark in benchmarks:
        for run in runs:
            line = category_tables.entry(benchmark.name, run.label, benchmark.rows, run.answers.get(benchmark.name, {}))
            if line is not None:
                yield line | _paper(benchmark, "category", line)


def _splits(
    benchmarks: Sequence[Benchmark], runs: Sequence[GuardRun]
) -> Iterator[tuple[Benchmark, GuardRun, Split, dict[str, Answer]]]:
    for benchmark in benchmarks:
        for run in runs:
            for split, answers in run.splits.get(benchmark.name, []):
                yield benchmark, run, split, answers


def _detection(benchmarks: Sequence[Benchmark], runs: Sequence[GuardRun], untrained: frozenset[str]) -> Iterator[Line]:
    for benchmark, run, split, answers in _splits(benchmarks, runs):
        line = novel_tables.detection(benchmark.name, run.label, split, benchmark.rows, answers, untrained)
        if line is not None:
            yield line | _paper(benchmark, "ood", line)


def _description(
    benchmarks: Sequence[Benchmark],
    runs: Sequence[GuardRun],
    untrained: frozenset[str],
    policy: Policy,
    encoder: novel_tables.Encoder,
) -> Iterator[Line]:
    for benchmark, run, split, answers in _splits(benchmarks, runs):
        line = novel_tables.description(
            benchmark.name, run.label, split, benchmark.rows, answers, policy, encoder, untrained
        )
        if line is not None:
            why = "" if encoder.name == paper.ENCODER else f"the paper's encoder is {paper.ENCODER}"
            yield line | {"paper": None, "paper_absent": why or "the paper does not say how many rows it used"}


def _paper(benchmark: Benchmark, task: str, line: Line) -> Line:
    found, why = paper.figures(benchmark.facts, task, str(line["modality"]), int(str(line["rows"])))
    return {"paper": found, "paper_absent": why or None}


def _comparisons(benchmarks: Sequence[Benchmark], guards: Sequence[GuardRun]) -> list[Line]:
    """The first guard against each other one."""
    kept = []
    for run in guards:
        lines = {(str(line["set"]), str(line["id"])): line for line in kept_lines(benchmarks, [run])}
        kept.append(comparison.Kept(run.label, lines))
    return [
        {"first": kept[0].name, "second": other.name, "lines": comparison.compare(kept[0], other)}
        for other in kept[1:]
        if any(key in kept[0].lines for key in other.lines)
    ]
