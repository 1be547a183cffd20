"""What the challenger, the champion and the first release say to the gate's rows, and what the gate makes of it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.pictures import Fingerprint, PictureGone, fingerprint
from proguard_core.dataset.sources import Form, read_items
from proguard_core.evaluation.answers import Answer
from proguard_core.evaluation.encoder import NameEncoder
from proguard_core.evaluation.loaders.files import FormError
from proguard_core.evaluation.rows import Problems, Row, RowError, parse, read_lines
from proguard_core.evaluation.withholding import Split, own_split, splits, without
from proguard_core.images import ImageError
from proguard_core.novelty import bank
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import name_key
from proguard_core.training.embedded.heads.taught import in_policy
from proguard_core.training.gate.ancestry import trained_on
from proguard_core.training.gate.decide import decide
from proguard_core.training.gate.evidence import Arrival, Evidence, GateSettings, Judged, Naming
from proguard_core.training.promotion import finish_gate
from proguard_core.training.registry.records import Step, StepRecord
from proguard_core.training.registry.runs import Run
from schemas.common import Modality
from worker.errors import ConfigurationError
from worker.retraining.steps import BANK, GATE_ROWS, Bench

ANSWERS = "answers.json"
_SPLITS = 3
_HELD_OUT = "held_out.jsonl"


@dataclass(frozen=True, slots=True)
class Said:
    """Of one guard: by row id under the policy, and under each split's by the split's name."""

    run: str
    whole: dict[str, Answer]
    parts: dict[str, dict[str, Answer]]


_SAID = TypeAdapter(list[Said])


@dataclass(frozen=True, slots=True)
class Asked:
    """items: rows of known risks and safe ones; new: reviewed rows of new categories."""

    items: Sequence[Item]
    new: Sequence[Item]
    splits: Sequence[Split]


def answer(bench: Bench, run: Run) -> StepRecord:
    """Ask all three and keep what they say."""
    if (done := run.step(Step.EVALUATE)) is not None:
        return done
    asked = _asked(bench, run)
    found = _ask(bench, _three(bench, run), asked)
    folder = bench.work / "answers-made"
    folder.mkdir()
    (folder / ANSWERS).write_bytes(_SAID.dump_json(found))
    facts: dict[str, JsonValue] = {"rows": len(asked.items), "new": len(asked.new), "splits": len(asked.splits)}
    return run.finish(Step.EVALUATE, folder, inputs=[Step.DATASET, Step.TRAIN], facts=facts)


def judge(bench: Bench, run: Run) -> StepRecord:
    """The gate's report. Raises EvidenceError, DamagedError."""
    if (done := run.step(Step.GATE)) is not None:
        return done
    asked = _asked(bench, run)
    run.fetch_file(Step.EVALUATE, ANSWERS, bench.work / ANSWERS)
    said = {each.run: each for each in _SAID.validate_json((bench.work / ANSWERS).read_bytes())}
    challenger, champion, first = (_judged(bench, said[each], asked) for each in _three(bench, run))
    trained, unknown = trained_on(bench.registry, run.record.run)
    evidence = Evidence(
        items=asked.items,
        challenger=challenger,
        champion=champion,
        first=first,
        serves=bench.trainer.served(bench.policy),
        trained=trained,
        unknown=unknown,
        arrivals=_arrivals(bench, run, asked.new),
        prints=_prints(bench, [*asked.items, *asked.new]),
        naming=Naming(bench.policy, NameEncoder(), bank.load()) if asked.splits else None,
    )
    own = bench.settings
    settings = GateSettings(modalities=tuple(map(Modality, own.modalities)), sign_off=own.sign_off)
    return finish_gate(run, decide(evidence, settings), (Step.TRAIN, Step.EVALUATE))


def _three(bench: Bench, run: Run) -> tuple[str, str, str]:
    assert run.record.parent is not None
    return run.record.run, run.record.parent, bench.champions.first().run


def _asked(bench: Bench, run: Run) -> Asked:
    """Held-out rows of the run's dataset, the operator's rows, and those that were kept of new categories."""
    folder = bench.work / "dataset"
    if not folder.exists():
        run.fetch(Step.DATASET, folder)
    items = [*_rows(folder / _HELD_OUT, "held out", Origin.BASE, bench.policy)]
    for number, path in enumerate(bench.settings.gate_rows, 1):
        items += _given(path, f"given {number}", bench.policy)
    new = _rows(folder / GATE_ROWS, "new", Origin.REVIEW, bench.policy)
    rows = [item.row for item in items]
    novel = [row for row in rows if row.unsafe and (row.categories or row.ood_name)]
    if len(novel) < GateSettings().fewest_novel:
        return Asked(items, new, ())  # the gate would not judge it
    own = own_split(rows)
    return Asked(items, new, [*splits("gate", rows, bench.policy, _SPLITS), *([] if own is None else [own])])


def _rows(path: Path, prefix: str, origin: Origin, policy: Policy) -> list[Item]:
    """Of a file that a dataset step wrote; but for those that only the guard's own names label."""
    found = []
    for _, record in read_lines(path, Problems()):
        if record.get("origin") == Origin.CONSENSUS:
            continue
        try:
            row = in_policy(parse(record, policy.codes), policy)
        except RowError:
            continue
        images = tuple(image if "://" in image else str(path.parent / image) for image in row.images)
        found.append(
            Item(
                replace(row, id=f"{prefix}: {row.id}", images=images),
                origin,
                author=record.get("author"),
                post_id=record.get("post_id"),
                observed_at=record.get("observed_at"),
            )
        )
    return found


def _given(path: Path, prefix: str, policy: Policy) -> list[Item]:
    problems = Problems()
    try:
        items = list(read_items(path, Form.OWN, Origin.OWN, problems, codes=policy.codes))
    except (FormError, OSError) as error:
        raise ConfigurationError(f"retraining.gate_rows: {path}: {error}") from None
    if problems.counts:
        wrong = "; ".join(f"{kind} ({', '.join(problems.examples[kind][:3])})" for kind in problems.counts)
        raise ConfigurationError(f"retraining.gate_rows: {path}: {wrong}")
    return [replace(item, row=replace(in_policy(item.row, policy), id=f"{prefix}: {item.row.id}")) for item in items]


def _ask(bench: Bench, runs: Sequence[str], asked: Asked) -> list[Said]:
    """Every run once, though the champion is often the first release."""
    rows = [item.row for item in (*asked.items, *asked.new)]
    about = [item.row for item in asked.items if _is_about(item.row)]
    parts = [(bench.policy, rows), *((without(bench.policy, split.withheld), about) for split in asked.splits)]
    answers = bench.trainer.answers({run: bench.revision(run) for run in dict.fromkeys(runs)}, parts)
    names = [split.name for split in asked.splits]
    return [Said(run, said[0], dict(zip(names, said[1:], strict=True))) for run, said in answers.items()]


def _prints(bench: Bench, items: Sequence[Item]) -> dict[str, Fingerprint]:
    """Of the pictures that can be had."""
    found: dict[str, Fingerprint] = {}
    for image in {image for item in items for image in item.row.images} if bench.trainer.reads_pictures else ():
        with suppress(PictureGone, ImageError):
            found[image] = fingerprint(bench.trainer.fetch(image))
    return found


def _is_about(row: Row) -> bool:
    return row.unsafe and bool(row.categories or row.ood_name)


def _judged(bench: Bench, said: Said, asked: Asked) -> Judged:
    parts = [(split, said.parts[split.name]) for split in asked.splits]
    return Judged(said.run, said.run, bench.trainer.served(bench.policy), said.whole, parts)


def _arrivals(bench: Bench, run: Run, new: Sequence[Item]) -> list[Arrival]:
    """Categories that the challenger has and the champion has not."""
    dataset, train = run.finished(Step.DATASET), run.finished(Step.TRAIN)
    approvals = dataset.facts["approvals"]
    names = train.facts["new"]
    assert isinstance(approvals, Mapping)
    assert isinstance(names, list)
    people = {name_key(name): int(str(count)) for name, count in approvals.items()}
    phrases = {name_key(key): texts for key, texts in bank.load(bench.work / "dataset" / BANK).phrases.items()}
    found = []
    for name in map(str, names):
        code = bench.policy.codes_by_name.get(name_key(name))
        # What the reward counts as its name, the gate does.
        synonyms = phrases.get(name_key(code or name), ())
        arrival = Arrival(name, people.get(name_key(name), 0), () if code is None else (code,), synonyms)
        found.append(replace(arrival, items=[item for item in new if arrival.holds(item.row)]))
    return found
