"""The snapshot of 100,000 hits on a real Kafka: `python -m benchmarks.snapshot [--hits N] [--reviewed SHARE]`.

Times what `proguard retrain` does before it has a dataset: reading both topics to their end, looking what is newly
labelled, and keeping the labelled posts with their reviews in a registry (here a folder).
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from benchmarks.load import post
from proguard_core.evaluation.rows import Problems
from proguard_core.policy.loader import load_policy
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.runs import Registry
from schemas.review import Decision
from tests.support.command_line import settings_for
from tests.support.kafka_cluster import KafkaCluster
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames, produce
from tests.unit.dataset.builders import hit, review
from worker.retraining import labels, steps
from worker.retraining.snapshot import Topics
from worker.retraining.steps import Bench
from worker.retraining.trainers import trainer_of

HITS = 100_000
SECONDS = 60.0
_NAMES = ("Match fixing in sport", "Exam cheating services", "Fake medical cures", "Illegal gambling rings")


def _hits(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Of posts of about 1 KB; one in fifty was erased later."""
    for at in range(count):
        posted = orjson.loads(post(at))
        made = hit(posted["post_id"], posted["text"], author=posted["author_id"], name=_NAMES[at % len(_NAMES)])
        yield posted["post_id"].encode(), orjson.dumps(made.model_dump(mode="json"))


def _reviews(count: int, share: float) -> Iterator[tuple[bytes, bytes]]:
    """Two people each confirm the first posts."""
    for at in range(round(count * share)):
        for reviewer in ("ada", "grace"):
            name = _NAMES[at % len(_NAMES)]
            made = review(f"post-{at:08d}", Decision.CONFIRM, reviewer, name=name)
            yield made.review_id.encode(), orjson.dumps(made.model_dump(mode="json"))


def _erased(count: int) -> Iterator[tuple[bytes, None]]:
    return ((f"post-{at:08d}".encode(), None) for at in range(0, count, 50))


def main() -> None:
    """Print times and the peak of memory; exit code 1 where HITS hits take longer than SECONDS."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.snapshot", description=__doc__)
    parser.add_argument("--hits", type=int, default=HITS)
    parser.add_argument("--reviewed", type=float, default=0.2, help="share of them that two people reviewed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proguard-snapshot-") as name, KafkaCluster(Path(name) / "kafka") as kafka:
        folder = Path(name)
        stream = StreamUnderTest(kafka.client_config(), TopicNames.of("snapshot"), folder).create()
        produce(stream.config, stream.topics.retraining, _hits(asked.hits))
        produce(stream.config, stream.topics.retraining, _erased(asked.hits))
        produce(stream.config, stream.topics.reviews, _reviews(asked.hits, asked.reviewed))
        took = _measured(stream, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory {peak:.2f} GiB")
    raise SystemExit(0 if took <= SECONDS else 1)


def _measured(stream: StreamUnderTest, folder: Path) -> float:
    """Seconds from the first read to the snapshot's record in the registry."""
    registry = {"registry": str(folder / "registry")}
    settings = settings_for(stream.config, stream.topics, guard={"engine": "embedded"}, retraining=registry)
    policy, work = load_policy(), folder / "work"
    work.mkdir()
    trainer = trainer_of(settings, policy, work)
    store = Registry(FolderStore(folder / "registry"))
    bench = Bench(settings.retraining, policy, store, Topics(settings), work, trainer)
    steps.release(bench)
    run = store.begin(bench.record("measured", "none"))
    began, worked = time.perf_counter(), time.process_time()
    found = bench.topics.snapshot()
    read = time.perf_counter()
    new = labels.newly_labelled(found, policy, Problems(), pictures=False)
    looked = time.perf_counter()
    record = steps.keep_snapshot(bench, run, found)
    kept = time.perf_counter()
    sizes = sum(file.size for file in record.files.values()) / 1024**2
    print(f"{len(found.hits)} hits and {len(found.reviews)} reviews read in {read - began:.1f} s")
    print(f"{new} newly labelled, found in {looked - read:.1f} s; kept in {kept - looked:.1f} s ({sizes:.0f} MiB)")
    print(f"{kept - began:.1f} s in all, of which {time.process_time() - worked:.1f} s of processors in this process")
    return kept - began


if __name__ == "__main__":
    main()
