"""The loop closes before your eyes, on a real Kafka and a real S3, without a GPU: `make loop-demo`.

Posts about the fixing of matches, which no policy lists, are streamed; reviewers name them (by script); the embedded
guard is retrained and swapped in the running worker. Figures are of this run, on posts that nothing was trained on.
The gate has too few rows here to let anything through by itself, so a signature is given by script as well.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from proguard_core.evaluation.rows import Row
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import Policy
from proguard_core.training.embedded.heads import evaluate
from proguard_core.training.embedded.heads.replay import replay_items
from schemas.common import Outcome
from tests.support.circle import Circle, circle_on
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames
from worker.local import emerging
from worker.retraining.labels import write_items

CATEGORY = emerging.category()
POSTS, LATER = 200, 60
# Of all hits: the stream holds one kind of them, and no mining runs here (`proguard console mine` finds clusters).
CLUSTER = "R1"
_BEGAN = time.monotonic()


class LoopFailed(RuntimeError):
    """A stage did not end as it must; the text says which."""


def main() -> int:
    """0 where every stage ended as it must."""
    with tempfile.TemporaryDirectory(prefix="proguard-loop-") as name:
        folder = Path(name)
        with S3Server(folder / "objects") as s3, KafkaCluster(folder / "kafka") as kafka:
            s3.client().create_bucket(Bucket="guards")
            stream = StreamUnderTest(kafka.client_config(), TopicNames.of("loop"), folder).create()
            circle = circle_on(stream, s3, "guards", folder)
            try:
                with circle.stream.worker(0, **circle.sections):
                    _play(circle)
            except (LoopFailed, AssertionError) as error:
                print(f"The loop failed: {error}", file=sys.stderr)
                return 1
    return 0


def _play(circle: Circle) -> None:
    _stage("The artefact itself becomes the first champion; there is nothing to learn yet")
    _round(circle, "nothing to learn")
    _stage(f"{POSTS} posts about match fixing, a category that the policy does not list")
    _sum_up(circle.judged("early", emerging.texts(emerging.POSTS, POSTS, 1)))
    hits = [each["post_id"] for each in circle.read(circle.stream.topics.retraining)]
    listed = _listed_without_retraining()
    _stage(f"Listing it in the policy alone: of {LATER} later posts {listed:.0%} get its code")
    _stage(f"One reviewer calls the cluster of the {len(hits)} novel ones {CATEGORY.name!r}: one person is not enough")
    circle.review_cluster(CLUSTER, hits, ["ada"], decision="confirm", name=CATEGORY.name)
    _round(circle, "refused by the gate")
    _stage("Another reviewer agrees")
    circle.review_cluster(CLUSTER, hits, ["grace"], decision="confirm", name=CATEGORY.name)
    waits = _round(circle, "waits for a signature")
    _stage("Ada read the report and signs it")
    circle.retrain("sign", waits["run"], "--by", "Ada", "--report", waits["report"])
    _round(circle, "promoted")
    circle.until_served(waits["run"])
    _stage("The running worker swapped it in; later posts, and harmless talk about sport")
    named = _sum_up(circle.judged("late", emerging.texts(emerging.POSTS, LATER, 99)))
    _sum_up(circle.judged("neighbours", emerging.texts(emerging.NEIGHBOURS, LATER, 5)))
    if named <= listed:
        raise LoopFailed(f"{named:.0%} of the later posts are named, {listed:.0%} without retraining")
    _harm(circle)
    _stage("Roll back")
    circle.retrain("rollback", "--by", "Ada", "--reason", "the end of the demo")
    circle.until_served("release-")
    for each in circle.retrain("history"):
        print(f"    champion {each['number']}: {each['run']} ({each['cause']} by {each['by']}: {each['reason'][:90]})")
    _stage("Done")


def _harm(circle: Circle) -> None:
    """A round whose replay says the opposite of what is true, as a mistake of a column would."""
    _stage("New posts are reviewed, but somebody wrote the labels of the replay the wrong way round")
    rows = replay_items(0, 300, 700)
    random.Random(0).shuffle(rows)
    wrong = [replace(item, row=_opposite(item.row)) for item in rows[:600]]
    for key, items in (("replay", wrong), ("gate_rows", rows[600:])):
        path = circle.stream.directory / f"{key}.jsonl"
        write_items(items, path)
        circle.sections["retraining"][key] = [str(path)]
    circle.judged("more", emerging.texts(emerging.POSTS, POSTS, 2))
    hits = [each["post_id"] for each in circle.read(circle.stream.topics.retraining)]
    fresh = [post_id for post_id in hits if post_id.startswith("more-")]
    circle.review(fresh, ["ada", "grace"], decision="confirm", name=CATEGORY.name)
    _round(circle, "refused by the gate")


def _opposite(row: Row) -> Row:
    if row.unsafe:
        return replace(row, request_label=Outcome.SAFE, categories=(), ood_name=None)
    return replace(row, request_label=Outcome.UNSAFE, categories=("C9S3",))


def _stage(text: str) -> None:
    print(f"[{time.monotonic() - _BEGAN:5.1f} s] {text}", flush=True)


def _round(circle: Circle, end: str) -> dict[str, Any]:
    (done,) = circle.retrain()
    print(f"    proguard retrain: {done['end']}: {done['said'][:400]}", flush=True)
    if done["end"] != end:
        raise LoopFailed(f"the round ended as {done['end']!r}, not {end!r}")
    return done


def _sum_up(verdicts: list[dict[str, Any]]) -> float:
    """Says what was found; the share that got the new category's name."""
    unsafe = [each for each in verdicts if each["outcome"] == "unsafe"]
    names = Counter(each["category"].get("name") or each["category"].get("code") for each in unsafe)
    shown = ", ".join(f"{name} {count}" for name, count in names.most_common(4))
    print(
        f"    {len(unsafe)} of {len(verdicts)} unsafe: {shown}; revision {verdicts[0]['guard']['revision']}", flush=True
    )
    return names[CATEGORY.name] / len(verdicts)


def _listed_without_retraining() -> float:
    """Share of later posts that the artefact gives the code, once the policy lists it."""
    policy = _with_category(load_policy())
    rows = [Row(id=str(at), request=text) for at, text in enumerate(emerging.texts(emerging.POSTS, LATER, 99))]
    said = evaluate.answers(rows, policy, heads=None)
    return sum(answer.code == CATEGORY.code for answer in said.values()) / len(rows)


def _with_category(policy: Policy) -> Policy:
    """As an operator would list it: handled as its neighbour, harm in the real world, is."""
    alike = policy.categories["C9"]
    entry = replace(
        alike,
        code=CATEGORY.code,
        name=CATEGORY.name,
        description=CATEGORY.description,
        synonyms=CATEGORY.synonyms,
    )
    return replace(policy, version=policy.version[::-1], categories={**policy.categories, CATEGORY.code: entry})


if __name__ == "__main__":
    argparse.ArgumentParser(
        "python -m benchmarks.loop_demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    sys.exit(main())
