"""Workers on a real Kafka and a real S3 under random faults; then an honest reader counts what came out.

Workers are killed, frozen, join and leave; brokers die and come back; S3 is away or says 503; the guard raises, hangs
or dies; the network is slow, cut or half closed. Posts arrive at a steady rate all the while, some with pictures.

Usage: python -m benchmarks.faults --faults 200 --seed 1 [--brokers 3] [--rate 150] [--group-protocol classic]
Needs Java 17 and Maven (scripts/install-system-requirements.sh). Exit code 1 if a promise was broken or the group
stood still: then the seed, the posts concerned and the folder with all logs are printed.
"""

import argparse
import signal
import sys
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path

from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.storm import Storm, StormPlan, StormReport
from tests.support.storm_faults import KINDS
from tests.support.storm_workers import StuckError
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames

_PARTITIONS = 6


def main() -> int:
    """Run one storm and print what a read_committed reader saw."""
    options = _options()
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    plan = StormPlan(
        options.faults,
        options.seed,
        options.rate,
        kinds=tuple(options.kinds.split(",")),
        group_protocol=options.group_protocol,
    )
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # so that workers and servers end too
    try:
        report = _storm(directory, options.brokers, plan)
    except StuckError as error:
        print(f"seed={plan.seed}: the group does not drain: {error}\nlogs: {directory}")
        return 1
    print(f"seed={plan.seed} protocol={plan.group_protocol} brokers={options.brokers} rate={plan.rate} ", end="")
    print(f"seconds={time.monotonic() - began:.0f} exits={report.exits}")
    print(" ".join(f"{kind}={report.counts[kind]}" for kind in KINDS if report.counts[kind]))
    if report.unacknowledged:
        print(f"{report.unacknowledged} of the posts were written twice, or unacknowledged, around a broker's death")
    if not report.clean:
        print(f"{report.history}\nlogs: {directory}")
    print(report.line())
    return 0 if report.clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20, help="about one every three seconds")
    parser.add_argument("--seed", type=int, default=1, help="draws the faults and the posts")
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=3)
    parser.add_argument("--rate", type=int, default=150, help="posts a second")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of faults, separated by commas; default: all")
    parser.add_argument("--group-protocol", choices=["classic", "consumer"], default="classic")
    options = parser.parse_args()
    if unknown := sorted(set(options.kinds.split(",")) - set(KINDS)):
        parser.error(f"unknown kinds {unknown}; there are {', '.join(KINDS)}")
    return options


def _storm(directory: Path, brokers: int, plan: StormPlan) -> StormReport:
    topics = TopicNames.of(f"storm-{uuid.uuid4().hex[:8]}")
    with (
        KafkaCluster(directory / "kafka", brokers=3 if brokers == 3 else 1, slow_network=True) as cluster,
        S3Server(directory / "objects") as s3,
    ):
        s3.client().create_bucket(Bucket="pictures")
        StreamUnderTest(cluster.client_config(), topics, directory).create(_PARTITIONS)
        return Storm(cluster, s3, "pictures", topics, directory, plan, partial(print, flush=True)).run()


if __name__ == "__main__":
    raise SystemExit(main())
