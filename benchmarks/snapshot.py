"""The snapshot of 100,000 hits on a real Kafka: `python -m benchmarks.snapshot [--hits N] [--verdicts N]`.

Times what `proguard retrain` does before it has a dataset: reading both topics to their end, looking what is newly
labelled, and keeping the labelled posts with their reviews in a registry (here a folder). With --verdicts there are so
many besides, and people overturned one in a thousand of them.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from benchmarks.load import post
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty.novelty import Novelty
from proguard_core.policy.loader import load_policy
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.runs import Registry
from schemas.review import Decision
from tests.support.command_line import settings_for
from tests.support.kafka_cluster import KafkaCluster
from tests.support.risks import verdict
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


def _other(at: int) -> str:
    return f"other-{at:08d}"


def _others(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Posts that are no hits."""
    for at in range(count):
        yield _other(at).encode(), post(at).replace(f"post-{at:08d}".encode(), _other(at).encode())


def _verdicts(count: int, topic: str) -> Iterator[tuple[bytes, bytes]]:
    """Of the other posts, all safe."""
    for at in range(count):
        source = {"topic": topic, "partition": 0, "offset": at}
        yield _other(at).encode(), verdict(at, _other(at), datetime.now(UTC), source=source)


def _overturned(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Reviews of the other posts, after all of them were written."""
    for at in range(0, count, 1000):
        made = review(_other(at), Decision.MERGE, code="C3S1").model_copy(update={"reviewed_at": datetime.now(UTC)})
        yield made.review_id.encode(), orjson.dumps(made.model_dump(mode="json"))


def main() -> None:
    """Print times and the peak of memory; exit code 1 where HITS hits take longer than SECONDS."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.snapshot", description=__doc__)
    parser.add_argument("--hits", type=int, default=HITS)
    parser.add_argument("--reviewed", type=float, default=0.2, help="share of them that two people reviewed")
    parser.add_argument("--verdicts", type=int, default=0, help="verdicts of posts that are no hits")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proguard-snapshot-") as name, KafkaCluster(Path(name) / "kafka") as kafka:
        folder = Path(name)
        stream = StreamUnderTest(kafka.client_config(), TopicNames.of("snapshot"), folder).create()
        produce(stream.config, stream.topics.retraining, _hits(asked.hits))
        produce(stream.config, stream.topics.retraining, _erased(asked.hits))
        produce(stream.config, stream.topics.reviews, _reviews(asked.hits, asked.reviewed))
        produce(stream.config, stream.topics.posts, _others(asked.verdicts), 0)
        produce(stream.config, stream.topics.verdicts, _verdicts(asked.verdicts, stream.topics.posts))
        produce(stream.config, stream.topics.reviews, _overturned(asked.verdicts))
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
    bench = Bench(settings.retraining, policy, store, Topics(settings), work, Novelty(policy), trainer)
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
    others = f" and {len(found.judged)} judged posts" if found.judged else ""
    print(f"{len(found.hits)} hits, {len(found.reviews)} reviews{others} read in {read - began:.1f} s")
    print(f"{new} newly labelled, found in {looked - read:.1f} s; kept in {kept - looked:.1f} s ({sizes:.0f} MiB)")
    print(f"{kept - began:.1f} s in all, of which {time.process_time() - worked:.1f} s of processors in this process")
    return kept - began


if __name__ == "__main__":
    main()
