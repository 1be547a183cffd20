"""The steps of one run of the loop. Each is done when its record is there, and is not done again."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from proguard_core.dataset.builder import ERASED, Dataset, build
from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.pictures import Fingerprint, fingerprint
from proguard_core.dataset.sources import Form, read_items
from proguard_core.evaluation.loaders.files import FormError
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty import bank as banks
from proguard_core.novelty.bank import Bank
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import Policy
from proguard_core.training import marks
from proguard_core.training.gate.report import Finding, Report, Status
from proguard_core.training.promotion import finish_gate
from proguard_core.training.registry.champions import Champions, OtherBaseError, check_base
from proguard_core.training.registry.records import Code, RunRecord, Step, StepRecord
from proguard_core.training.registry.runs import Registry, Run
from worker.errors import ConfigurationError
from worker.retraining import labels, snapshot
from worker.retraining.embedded_trainer import EmbeddedTrainer
from worker.retraining.settings import RetrainingSettings
from worker.retraining.snapshot import Ends, Snapshot, Topics
from worker.retraining.trainer import CollapsedError, Lesson, Trainer

RELEASE = "release-"
GATE_ROWS, BANK = "gate.jsonl", "bank.yaml"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all steps work with. work: an empty folder of this process. novelty: tells which names are near to minors.

    given: the trainer, else the embedded one.
    """

    settings: RetrainingSettings
    policy: Policy
    registry: Registry
    topics: Topics
    work: Path
    novelty: Novelty
    given: Trainer | None = None

    @property
    def trainer(self) -> Trainer:
        """What is taught."""
        return self.given or EmbeddedTrainer(self.settings, self.policy)

    @property
    def champions(self) -> Champions:
        """Of the registry."""
        return Champions(self.registry)

    def revision(self, run: str) -> Path:
        """A run's files in a folder that is called as its revision is. Raises DamagedError, RunError."""
        found = self.registry.run(run)
        into = self.work / "revisions" / run
        if not into.exists():
            found.fetch(Step.TRAIN, into)
        return into

    def record(self, run: str, parent: str | None) -> RunRecord:
        """What a run is about: with another configuration it is another run."""
        code = self.trainer.code()
        version, _, _ = code.partition("+")
        return RunRecord(
            run=run,
            kind=self.trainer.kind,
            base=self.trainer.base,
            parent=parent,
            config=self.config(),
            code=Code(version=version, commit=_commit() or code),
            created_at=self.registry.clock(),
        )

    def config(self) -> dict[str, JsonValue]:
        """Settings that change a result, files by their hashes."""
        own = self.settings
        said: dict[str, JsonValue] = {
            "seed": own.seed,
            "gate_share": own.gate_share,
            "labels": own.labels,
            "modalities": [*own.modalities],
            "sign_off": own.sign_off,
            "policy": self.policy.version,
            "replay": [_digest(path) for path in own.replay],
            "gate_rows": [_digest(path) for path in own.gate_rows],
        }
        return said | self.trainer.config()


def release(bench: Bench) -> None:
    """Make the base itself the first champion; after a kill under the same name, if all is as it was."""
    about = bench.record("any", None).model_dump_json(exclude={"run", "created_at"})
    run = f"{RELEASE}{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    begun = bench.registry.begin(bench.record(run, None))
    if begun.step(Step.TRAIN) is None:
        (bench.work / "release").mkdir(exist_ok=True)
        folder = bench.work / "release" / run
        bench.trainer.untaught(folder)
        begun.finish(Step.TRAIN, folder, facts={"revision": run})
    bench.champions.release(begun, "retrain", "the base model as it is")


def keep_snapshot(bench: Bench, run: Run, found: Snapshot) -> StepRecord:
    """The labelled posts and their reviews; where both topics ended."""
    problems = found.problems
    kept = labels.kept(found, bench.policy, bench.novelty, problems)
    folder = bench.work / "snapshot-made"
    folder.mkdir()
    kept.write(folder)
    ends: JsonValue = {topic: {str(at): end for at, end in some.items()} for topic, some in found.ends.items()}
    facts: dict[str, JsonValue] = {
        "ends": ends,
        "hits": len(found.hits),
        "reviews": len(found.reviews),
        "labelled": len(kept.hits) + len(kept.judged),
        "overturned": len(kept.judged),
        "left_out": dict(problems.counts),
    }
    return run.finish(Step.SNAPSHOT, folder, facts=facts)


def ends_of(run: Run) -> Ends:
    """Where its snapshot ended."""
    said = run.finished(Step.SNAPSHOT).facts["ends"]
    assert isinstance(said, Mapping)
    return {
        topic: {int(at): int(str(end)) for at, end in some.items()}
        for topic, some in said.items()
        if isinstance(some, Mapping)
    }


def make_dataset(bench: Bench, run: Run) -> StepRecord:
    """The dataset, its marks, the gate's rows of new categories, and the bank. Then the offsets are committed."""
    if run.step(Step.DATASET) is None:
        _make_dataset(bench, run)
    bench.topics.commit(ends_of(run))  # again after a kill: the same offsets
    return run.finished(Step.DATASET)


def _make_dataset(bench: Bench, run: Run) -> None:
    run.fetch(Step.SNAPSHOT, bench.work / "snapshot")
    problems = Problems()
    erased = bench.topics.erased_since(ends_of(run))
    found = snapshot.load(bench.work / "snapshot")
    trainer = bench.trainer
    parted = labels.part(found, bench.policy, bench.settings.gate_share, problems, pictures=trainer.reads_pictures)
    made = build(
        [*parted.train, *_not_erased(bench, _replayed(bench, problems), problems)],
        bench.policy,
        _bank(bench, run),
        trainer.dataset_settings,
        erased=erased,
        additions=parted.additions,
        approvals=parted.approvals,
        fetch=trainer.fetch,
        novelty=bench.novelty,
        templates=trainer.templates,
        problems=problems,
    )
    folder = bench.work / "dataset-made"
    trainer.write(made, folder)
    gate = [item for item in parted.gate if item.post_id not in erased]
    labels.write_items(gate, folder / GATE_ROWS)
    marks.of(_items(made), _prints(bench, made)).write(folder / marks.FILE)
    (folder / BANK).write_text(banks.written(made.bank), encoding="utf-8")
    fresh = sum(item.fresh for item in _items(made))
    unfit: list[JsonValue] = [*made.unfit, *(() if fresh else ("nothing of what is new can be learned from",))]
    approvals: dict[str, JsonValue] = {**parted.approvals}
    facts: dict[str, JsonValue] = {
        "version": made.version,
        "bank": made.bank.version,
        "unfit": unfit,
        "fresh": fresh,
        "rows": len(made.train),
        "gate_rows": len(gate),
        "approvals": approvals,
    }
    run.finish(Step.DATASET, folder, inputs=[Step.SNAPSHOT], facts=facts)


def train(bench: Bench, run: Run) -> StepRecord | None:
    """The challenger, made from the champion that the run goes on from. None: it collapsed, and the gate says so."""
    if (done := run.step(Step.TRAIN)) is not None:
        return done
    parent = run.record.parent
    assert parent is not None
    dataset, out = bench.work / "dataset", bench.work / "trained" / run.record.run
    run.fetch(Step.DATASET, dataset)
    lesson = Lesson(run.record.run, dataset, bench.revision(parent), out, _names_before(bench, run))
    try:
        made = bench.trainer.teach(lesson)
    except CollapsedError as error:
        finding = Finding("training", "the reward", Status.FAILED, str(error))
        finish_gate(run, Report({"challenger": {"run": run.record.run}}, [finding]), (Step.DATASET,))
        return None
    names: list[JsonValue] = [*made.new]
    facts: dict[str, JsonValue] = {"revision": run.record.run, "new": names}
    return run.finish(Step.TRAIN, out, inputs=[Step.DATASET], facts=facts, metrics=made.metrics)


def check_bases(bench: Bench) -> None:
    """ConfigurationError where the champion stands on another base: one registry is for one base."""
    current = bench.champions.current()
    if current is None:
        return
    try:
        check_base(bench.trainer.base, current.champion.base, current.champion.run)
    except OtherBaseError as error:
        raise ConfigurationError(f"{error}: give another base a retraining.registry of its own") from None


def _names_before(bench: Bench, run: Run) -> frozenset[str]:
    """New categories that an ancestor was taught."""
    found: set[str] = set()
    for each in bench.registry.lineage(run.record.run)[1:]:
        record = each.step(Step.TRAIN)
        names = record.facts.get("new") if record is not None else None
        found.update(map(str, names) if isinstance(names, list) else ())
    return frozenset(found)


def _replayed(bench: Bench, problems: Problems) -> Sequence[Item]:
    settings = bench.settings
    if not settings.replay:
        return bench.trainer.replay()
    found: list[Item] = []
    for path in settings.replay:
        try:
            found += read_items(path, Form.OWN, Origin.BASE, problems, codes=bench.policy.codes)
        except (FormError, OSError) as error:
            raise ConfigurationError(f"retraining.replay: {path}: {error}") from None
    return found if bench.trainer.reads_pictures else [item for item in found if not item.row.images]


def _not_erased(bench: Bench, items: Sequence[Item], problems: Problems) -> Sequence[Item]:
    """Rows to replay without those of posts that were erased, as far back as the topic says so.

    What came by the topic itself is compared with its own place instead: it may have been written again since.
    """
    if all(item.post_id is None for item in items):
        return items
    erased = bench.topics.erased_since({})
    kept = [item for item in items if item.post_id not in erased]
    problems.counts[ERASED] += len(items) - len(kept)
    return kept


def _bank(bench: Bench, run: Run) -> Bank:
    """The champion's; the shipped one where it has none."""
    parent = bench.registry.run(run.record.parent) if run.record.parent is not None else None
    record = parent.step(Step.DATASET) if parent is not None else None
    if parent is None or record is None or BANK not in record.files:
        return banks.load()
    parent.fetch_file(Step.DATASET, BANK, bench.work / "champions-bank.yaml")
    return banks.load(bench.work / "champions-bank.yaml")


def _items(dataset: Dataset) -> list[Item]:
    return list({sample.item.row.id: sample.item for sample in dataset.train}.values())


def _prints(bench: Bench, dataset: Dataset) -> dict[str, Fingerprint]:
    """Of every picture that is learned from."""
    shown = {image for item in _items(dataset) for image in item.row.images}
    return {image: fingerprint(bench.trainer.fetch(image)) for image in sorted(shown)}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigurationError(f"[retraining]: {path} cannot be read: {error.strerror}") from None


def _commit() -> str:
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return asked.stdout.strip()
