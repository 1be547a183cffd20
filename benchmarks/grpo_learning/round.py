"""The same learning by the real command: `proguard retrain` on a real Kafka and a real S3.

What there is to learn from is the round's replay, but for a few posts that come as hits with a person's review each.
Held-out rows it never gets; that none came into its dataset is looked up in the registry, which the adapter comes from.
"""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from benchmarks.grpo_learning import report, rows
from proguard_core.dataset.builder import Dataset
from proguard_core.dataset.items import Item
from proguard_core.training.registry.records import Step
from proguard_core.training.registry.runs import Registry, Run
from schemas.common import Modality
from tests.support.circle import Circle, circle_on
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames, produce
from tests.unit.dataset.builders import hit
from worker.retraining.labels import write_items
from worker.retraining.registry_store import S3Store
from worker.retraining.run import End

HITS = 60
"""Posts that come by the stream: half as many would do for a round (`min_new`)."""
REVIEWER, SIGNER = "the source's label", "the benchmark's script"
_BATCH = 64
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Lesson:
    """base: the warmed-up model. settings: of the recipe. seed: of the round. most: tokens of an answer."""

    base: Path
    settings: Mapping[str, Any]
    seed: int
    most: int
    threads: int = 1


def play(made: Dataset, lesson: Lesson, folder: Path) -> tuple[dict[str, Any], Path | None]:
    """Runs the round to its end; facts for learned.json, and the adapter (None: the training collapsed).

    folder: a new one for settings, logs and what the registry has of the round. Blocks for the whole training.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with (
        tempfile.TemporaryDirectory(prefix="proguard-round-") as name,
        S3Server(Path(name) / "objects") as s3,
        KafkaCluster(Path(name) / "kafka") as kafka,
    ):
        s3.client().create_bucket(Bucket="guards")
        stream = StreamUnderTest(kafka.client_config(), TopicNames.of("learning"), folder).create()
        circle = circle_on(stream, s3, "guards", folder.resolve())
        circle.environment = {**circle.environment, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(lesson.threads)}
        items = [sample.item for sample in made.train]
        streamed = hits(items, lesson.seed)
        _settle(circle, items, streamed, lesson, folder.resolve())
        _fill(circle, streamed)
        ends, curves = _rounds(circle, folder)
        registry = Registry(S3Store(s3.client(), circle.bucket, "guards"))
        return _taken(registry.run(str(ends[0]["run"])), ends, curves, made, folder)


def hits(items: Sequence[Item], seed: int) -> list[Item]:
    """Which rows come by the stream: texts, half of them safe."""
    texts = [item for item in items if item.modality is Modality.TEXT]
    chance = random.Random(f"hits {seed}")
    safe, unsafe = ([item for item in texts if item.row.unsafe is wanted] for wanted in (False, True))
    return [*chance.sample(safe, HITS // 2), *chance.sample(unsafe, HITS // 2)]


def policy_file() -> dict[str, Any]:
    """The benchmark's policy as an operator writes it: the shipped file with the listed entries alone."""
    whole = yaml.safe_load(resources.files("proguard_core.policy").joinpath("default.yaml").read_bytes())
    listed = rows.small_policy()
    categories = [each for each in whole["categories"] if each["code"] in listed.categories]
    for each in categories:
        each["subcategories"] = [sub for sub in each["subcategories"] if sub["code"] in listed.subcategories]
    return {**whole, "name": listed.name, "categories": categories}


def leaked(learned: Iterable[Mapping[str, Any]], made: Dataset) -> list[str]:
    """Rows of the round's dataset that are held out here, by text and picture: must be none."""
    held = [sample.item.row for sample in made.held_out]
    aside = {
        (row.request, *(hashlib.sha256(Path(image).read_bytes()).hexdigest() for image in row.images)) for row in held
    }
    return [str(row["id"]) for row in learned if (row["request"], *(Path(i).name for i in row["images"])) in aside]


def _settle(circle: Circle, items: Sequence[Item], streamed: Sequence[Item], lesson: Lesson, folder: Path) -> None:
    """The settings of the round, and the files that they name. No masks and no permuted codes, as in the other runs."""
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy_file(), allow_unicode=True))
    by_stream = {item.row.id for item in streamed}
    replayed = [_with_whole_paths(item) for item in items if item.row.id not in by_stream]
    write_items(replayed, folder / "replay.jsonl")
    guard = circle.sections["guard"]
    circle.sections["policy"] = {"path": str(folder / "policy.yaml")}
    circle.sections["guard"] = guard | {
        "engine": "transformers",
        "model": str(lesson.base.resolve()),
        "settings": {
            **guard["settings"],
            "prompts": str(rows.TEMPLATES),
            "output_cap": lesson.most,
            "batch_size": _BATCH,
        },
    }
    circle.sections["retraining"] |= {
        "trainer": "grpo",
        "work": str(folder / "work"),
        "recipe": dict(lesson.settings),
        "replay": [str(folder / "replay.jsonl")],
        "modalities": [m.value for m in Modality if any(item.modality is m for item in items)],
        "min_new": HITS // 2,
        "masked": 0.0,
        "permuted": 0.0,
        "seed": lesson.seed,
    }
    (folder / "settings.json").write_text(json.dumps(circle.sections, indent=1))


def _with_whole_paths(item: Item) -> Item:
    return replace(item, row=replace(item.row, images=tuple(str(Path(image).resolve()) for image in item.row.images)))


def _fill(circle: Circle, streamed: Sequence[Item]) -> None:
    """Hits and a review of each, which says what the source's label says."""
    made = [hit(item.row.id, item.row.request) for item in streamed]
    values = [(each.post_id.encode(), each.model_dump_json().encode()) for each in made]
    produce(circle.stream.config, circle.stream.topics.retraining, values)
    for item in streamed:
        said = {"decision": "merge", "code": item.row.categories[0]} if item.row.unsafe else {"decision": "reject"}
        circle.review([item.row.id], [REVIEWER], **said)


def _rounds(circle: Circle, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One round; where it waits for a signature, it is signed, and the next round promotes it."""
    first, curves = _said(circle, folder, "--once")
    ends = [first]
    if first["end"] == End.WAITS:
        _said(circle, folder, "sign", str(first["run"]), "--by", SIGNER, "--report", str(first["report"]))
        ends.append(_said(circle, folder, "--once")[0])
    if ends[-1]["end"] not in {End.PROMOTED, End.REFUSED}:
        raise SystemExit(f"the round ended as {ends[-1]['end']!r}: {ends[-1]['said']} (log: {folder / 'retrain.log'})")
    return ends, curves


def _said(circle: Circle, folder: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """`proguard retrain ARGUMENTS` as a process: its last line, and the curves of a training that it ran.

    Checkpoints are gone when it ends, so they are read while it runs.
    """
    log, out = folder / "retrain.log", folder / "retrain.out"
    curves: dict[str, Any] = {}
    with log.open("ab") as errors, out.open("wb") as lines:
        command = [sys.executable, "-m", "worker.cli", "retrain", *arguments]
        process = subprocess.Popen(command, env=circle.variables(), stdout=lines, stderr=errors)
        try:
            while process.poll() is None:
                curves = _curves(folder / "work") or curves
                time.sleep(_LOOK_S)
        finally:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        raise SystemExit(f"proguard retrain {' '.join(arguments)} ended with {process.returncode} (log: {log})")
    written = out.read_text().splitlines()
    return (dict(json.loads(written[-1])) if written else {}), curves


def _curves(work: Path) -> dict[str, Any]:
    """Of the newest whole checkpoint; nothing here removes one, for it may be half written."""
    sealed = sorted(work.glob("*/training/checkpoint-*/seal.json"), key=lambda path: int(path.parent.name[11:]))
    with suppress(OSError, ValueError):  # it was removed meanwhile
        return report.curves_of(sealed[-1].parent) if sealed else {}
    return {}


def _taken(
    run: Run, ends: Sequence[Mapping[str, Any]], curves: Mapping[str, Any], made: Dataset, folder: Path
) -> tuple[dict[str, Any], Path | None]:
    """What the registry has of the round, files compared with their hashes."""
    dataset = run.fetch(Step.DATASET, folder / "dataset")
    run.fetch(Step.GATE, folder / "gate")
    learned = [json.loads(line) for line in (folder / "dataset" / "train.jsonl").read_text().splitlines()]
    if found := leaked(learned, made):
        raise SystemExit(f"{len(found)} held-out rows were learned from: {found[:3]}")
    facts: dict[str, Any] = {
        "through": report.RETRAIN,
        "curves": dict(curves),
        "round": {
            "run": run.record.run,
            "ends": [each["end"] for each in ends],
            "gate": ends[0]["said"],
            "rows": len(learned),
            "fresh": dataset.facts["fresh"],
        },
    }
    trained = run.step(Step.TRAIN)
    if trained is None:
        return {**facts, "status": "collapsed", "why": ends[0]["said"], "rollouts": None, "passes": {}}, None
    adapter = folder / run.record.run
    run.fetch(Step.TRAIN, adapter)
    result = json.loads((adapter / "result.json").read_text())
    return {**facts, **{key: result[key] for key in ("status", "why", "rollouts", "passes")}}, adapter
