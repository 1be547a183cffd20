"""Two workers on a real three-broker Kafka under random kills and stops, with one broker killed and restarted.

Usage: python -m benchmarks.delivery_faults [--posts 30000] [--faults 20] [--seed 1] [--group-protocol classic]
Needs Java 17 and Maven (scripts/install-system-requirements.sh). Exit code 1 if a promise was broken.
"""

import argparse
import tempfile
import time
import uuid
from pathlib import Path

from tests.support.kafka_cluster import KafkaCluster
from tests.support.storm import Storm, StormPlan
from tests.support.streams import StreamUnderTest
from tests.support.topics import TopicNames


def main() -> int:
    """Run one storm and print what a read_committed reader saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--posts", type=int, default=30_000, help="at least so many; more arrive until the faults are over"
    )
    parser.add_argument("--rate", type=int, default=200, help="posts a second")
    parser.add_argument("--faults", type=int, default=20, help="kills and stops of workers with posts in the guard")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group-protocol", choices=["classic", "consumer"], default="classic")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="delivery-faults-"))
    plan = StormPlan(options.posts, options.rate, options.faults, options.seed, group_protocol=options.group_protocol)
    began = time.monotonic()
    with KafkaCluster(directory / "kafka", brokers=3) as cluster:
        topics = TopicNames.of(f"storm-{uuid.uuid4().hex[:8]}")
        StreamUnderTest(cluster.client_config(), topics, directory).create(6)
        report = Storm(cluster, topics, directory, plan).run()
    print(f"seed={plan.seed} protocol={plan.group_protocol} seconds={time.monotonic() - began:.0f} ", end="")
    print(f"kills={report.kills} stops={report.stops} exits={report.exits} {report.line()}")
    for problem in report.reordered[:10]:
        print(problem)
    if not report.clean:
        print(f"logs: {directory}")
    return 0 if report.clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
