"""Posts a second and CPU a post, beside the bare loop and two peers, alternating on one broker in one run."""

import statistics
import sys
import uuid
from collections import defaultdict
from pathlib import Path

from benchmarks.contenders import BARE, CONTENDERS, PROGUARD, QUIX, Contender, Ground, start
from benchmarks.load import backlog
from benchmarks.measure import GroupWatch, Rate, drain
from benchmarks.topics import PARTITIONS, create_outcomes
from tests.support.kafka_cluster import KafkaCluster
from tests.support.topics import create_topics


def throughput(
    cluster: KafkaCluster, directory: Path, posts: int, rounds: int, only: list[str] | None = None
) -> dict[str, list[Rate]]:
    """Rates of every contender whose environment is there, one each a round."""
    config = cluster.client_config()
    source = f"bench-{uuid.uuid4().hex[:8]}"
    source_topic = f"{source}.posts"
    create_topics(config, [source_topic], PARTITIONS)
    backlog(config, source_topic, posts)
    rates: dict[str, list[Rate]] = defaultdict(list)
    for number in range(rounds):
        for contender in CONTENDERS:
            if only and contender.name not in only:
                continue
            if contender.missing:
                print(contender.missing, file=sys.stderr)
                continue
            rate = _round(cluster, directory, contender, source, number, posts)
            rates[contender.name].append(rate)
            print(
                f"round {number + 1} {contender.name}: {rate.posts_per_second:,.0f} posts/s, "
                f"{rate.cpu_microseconds():.1f} us",
                file=sys.stderr,
            )
    return rates


def _round(cluster: KafkaCluster, directory: Path, contender: Contender, source: str, number: int, posts: int) -> Rate:
    """One contender over the whole backlog, with a group and outcome topics of its own."""
    group = f"{source}-{contender.name.replace(' ', '-')}-{number}"
    topics = create_outcomes(cluster.client_config(), group, f"{source}.posts")
    watch = GroupWatch(cluster.client_config(), group, topics.posts)
    child = start(contender, Ground(cluster.bootstrap_servers, topics, group, directory))
    try:
        broker = cluster.pid(1)
        return drain(watch, [child.pid, broker], lambda: child.returncode is None, posts)
    finally:
        child.stop()
        watch.close()


def table(rates: dict[str, list[Rate]]) -> list[str]:
    """Markdown: medians over the rounds, and ratios to the peers."""
    lines = [
        "| contender | guarantee | posts/s | CPU a post, us | broker's, us | against quix-streams | against bare |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    median = {name: statistics.median(rate.posts_per_second for rate in found) for name, found in rates.items()}
    for contender in CONTENDERS:
        found = rates.get(contender.name)
        if not found:
            lines.append(f"| {contender.name} | {contender.guarantee} | not measured | | | | |")
            continue
        own = statistics.median(rate.cpu_microseconds() for rate in found)
        broker = statistics.median(rate.cpu_microseconds(1) for rate in found)
        ratios = [
            f"{median[contender.name] / median[other.name]:.2f}" if other.name in median else ""
            for other in (QUIX, BARE)
        ]
        lines.append(
            f"| {contender.name} | {contender.guarantee} | {median[contender.name]:,.0f} | {own:.1f} | {broker:.1f} | "
            + " | ".join(ratios)
            + " |"
        )
    return lines


def proguard_rate(rates: dict[str, list[Rate]]) -> float:
    """Median posts/s of the worker."""
    return statistics.median(rate.posts_per_second for rate in rates[PROGUARD.name])
