"""The steps of one run of the embedded guard's loop. Each is done when its record is there, and is not done again."""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import JsonValue

from proguard_core.dataset.builder import Dataset, DatasetSettings, build
from proguard_core.dataset.items import Item, Origin
from proguard_core.dataset.sources import Form, read_items
from proguard_core.dataset.variants import VariantSettings
from proguard_core.dataset.writers import write_own
from proguard_core.evaluation.loaders.files import FormError
from proguard_core.evaluation.rows import Problems
from proguard_core.guards.embedded.heads import base_hashes
from proguard_core.guards.embedded.text_model import FOLDER
from proguard_core.novelty import bank as banks
from proguard_core.novelty.bank import Bank
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.policy import Policy
from proguard_core.training import marks
from proguard_core.training.embedded.heads.fit import FitSettings
from proguard_core.training.embedded.heads.replay import replay_items
from proguard_core.training.embedded.heads.retrain import HeadsRecipe, code_version, retrain, untaught
from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.records import Base, Code, RunRecord, Step, StepRecord
from proguard_core.training.registry.runs import Registry, Run
from worker.errors import ConfigurationError
from worker.retraining import labels, snapshot
from worker.retraining.settings import RetrainingSettings
from worker.retraining.snapshot import Ends, Snapshot, Topics

KIND = "embedded"
RELEASE = "release-"
GATE_ROWS, BANK = "gate.jsonl", "bank.yaml"
# Of our own templates, where nothing is replayed.
_OWN_ROWS = 300
# The heads learn from rows, not from prompts, so few policies are made.
_VARIANTS = VariantSettings(masks=20, orders=2)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all steps work with. work: an empty folder of this process; model: the artefact's."""

    settings: RetrainingSettings
    policy: Policy
    registry: Registry
    topics: Topics
    work: Path
    model: Path = FOLDER

    @property
    def champions(self) -> Champions:
        """Of the registry."""
        return Champions(self.registry)

    def heads(self, run: str) -> Path:
        """A run's heads in a folder that is called as its revision is. Raises DamagedError, RunError."""
        found = self.registry.run(run)
        into = self.work / "heads" / run
        if not into.exists():
            found.fetch(Step.TRAIN, into)
        return into

    def record(self, run: str, parent: str | None) -> RunRecord:
        """What a run is about: with another configuration it is another run."""
        hashes = base_hashes(self.model)
        whole = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
        code = code_version()
        version, _, _ = code.partition("+")
        return RunRecord(
            run=run,
            kind=KIND,
            base=Base(name="embedded guard", sha256=whole),
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
            "label_new": own.label_new,
            "gate_share": own.gate_share,
            "modalities": [*own.modalities],
            "sign_off": own.sign_off,
            "policy": self.policy.version,
            "replay": [_digest(path) for path in own.replay],
            "gate_rows": [_digest(path) for path in own.gate_rows],
        }
        return said


def release(bench: Bench) -> None:
    """Make the artefact itself the first champion; after a kill under the same name, if all is as it was."""
    about = bench.record("any", None).model_dump_json(exclude={"run", "created_at"})
    run = f"{RELEASE}{hashlib.sha256(about.encode()).hexdigest()[:12]}"
    begun = bench.registry.begin(bench.record(run, None))
    if begun.step(Step.TRAIN) is None:
        (bench.work / "release").mkdir(exist_ok=True)
        folder = untaught(bench.work / "release" / run, bench.policy, bench.model)
        begun.finish(Step.TRAIN, folder, facts={"revision": run})
    bench.champions.release(begun, "retrain", "the artefact that is in the package, as it is")


def keep_snapshot(bench: Bench, run: Run, found: Snapshot) -> StepRecord:
    """The labelled posts and their reviews; where both topics ended."""
    problems = found.problems
    kept = labels.kept(found, bench.policy, Novelty(bench.policy), problems)
    folder = bench.work / "snapshot-made"
    folder.mkdir()
    kept.write(folder)
    ends: JsonValue = {topic: {str(at): end for at, end in some.items()} for topic, some in found.ends.items()}
    facts: dict[str, JsonValue] = {
        "ends": ends,
        "hits": len(found.hits),
        "reviews": len(found.reviews),
        "labelled": len(kept.hits),
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
    parted = labels.part(found, bench.policy, bench.settings.gate_share, problems)
    made = build(
        [*parted.train, *_replayed(bench, problems)],
        bench.policy,
        _bank(bench, run),
        DatasetSettings(seed=bench.settings.seed, variants=_VARIANTS),
        erased=erased,
        additions=parted.additions,
        approvals=parted.approvals,
        problems=problems,
    )
    folder = bench.work / "dataset-made"
    write_own(made, folder)
    gate = [item for item in parted.gate if item.post_id not in erased]
    labels.write_items(gate, folder / GATE_ROWS)
    marks.of(_items(made), {}).write(folder / marks.FILE)
    kept = {key: list(phrases) for key, phrases in made.bank.phrases.items()}
    (folder / BANK).write_text(yaml.safe_dump({"format": banks.FORMAT, "phrases": kept}, allow_unicode=True))
    unfit: list[JsonValue] = [*made.unfit]
    approvals: dict[str, JsonValue] = {**parted.approvals}
    facts: dict[str, JsonValue] = {
        "version": made.version,
        "bank": made.bank.version,
        "unfit": unfit,
        "fresh": sum(item.fresh for item in _items(made)),
        "rows": len(made.train),
        "gate_rows": len(gate),
        "approvals": approvals,
    }
    run.finish(Step.DATASET, folder, inputs=[Step.SNAPSHOT], facts=facts)


def train(bench: Bench, run: Run) -> StepRecord:
    """New heads, made from the champion's that the run goes on from."""
    if (done := run.step(Step.TRAIN)) is not None:
        return done
    assert run.record.parent is not None
    run.fetch(Step.DATASET, bench.work / "dataset")
    recipe = HeadsRecipe(fit=FitSettings(seed=bench.settings.seed, label_new=bench.settings.label_new))
    made = retrain(
        bench.work / "dataset",
        bench.work / "trained" / run.record.run,
        bench.policy,
        champion=bench.heads(run.record.parent),
        recipe=recipe,
        model=bench.model,
    )
    facts: dict[str, JsonValue] = {"revision": run.record.run, "new": made.manifest["new"]}
    return run.finish(Step.TRAIN, made.folder, inputs=[Step.DATASET], facts=facts)


def _replayed(bench: Bench, problems: Problems) -> Sequence[Item]:
    settings = bench.settings
    if not settings.replay:
        return replay_items(settings.seed, _OWN_ROWS, _OWN_ROWS)
    found: list[Item] = []
    for path in settings.replay:
        try:
            found += read_items(path, Form.OWN, Origin.BASE, problems, codes=bench.policy.codes)
        except (FormError, OSError) as error:
            raise ConfigurationError(f"retraining.replay: {path}: {error}") from None
    return [item for item in found if not item.row.images]


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
