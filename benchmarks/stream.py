"""Speed and memory of the stream on a real broker: ratios in one run, tables for docs/performance.md.

Usage: python -m benchmarks.stream throughput|latency|scaling|rebalance|memory|pictures|all [--help]
Needs Java 17 and Maven (scripts/install-system-requirements.sh), and `make peers` for the peers' environments.
"""

import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import latency, memory, pictures, rebalance, scaling, throughput
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server

app = typer.Typer(help=__doc__, no_args_is_help=True)

Posts = Annotated[int, typer.Option(help="Posts of 1 KB in the backlog.")]
Rounds = Annotated[int, typer.Option(help="Contenders alternate; tables show medians.")]
_HALF = 0.5


@contextmanager
def _ground() -> Iterator[tuple[KafkaCluster, Path]]:
    """One broker, and a folder for logs that stays."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    with KafkaCluster(directory / "kafka") as cluster:
        yield cluster, directory


def _print(title: str, lines: list[str]) -> None:
    print(f"\n### {title}\n\n" + "\n".join(lines), flush=True)


@app.command("throughput")
def throughput_command(
    posts: Posts = 200_000,
    rounds: Rounds = 3,
    only: Annotated[list[str] | None, typer.Option(help="Names of contenders.")] = None,
) -> float:
    """Posts a second and CPU a post, beside a bare loop, quix-streams and sentry-arroyo."""
    with _ground() as (cluster, directory):
        rates = throughput.throughput(cluster, directory, posts, rounds, only)
    _print("Throughput", throughput.table(rates))
    return throughput.proguard_rate(rates)


@app.command("latency")
def latency_command(
    rate: Annotated[float, typer.Option(help="Posts a second: half of what throughput showed.")],
    seconds: Annotated[float, typer.Option(help="Measured, after warming up.")] = 30,
) -> None:
    """From acknowledgement to the verdict that a read_committed reader sees."""
    with _ground() as (cluster, directory):
        found = latency.latency(cluster, directory, rate, seconds)
    _print("Latency", latency.table(found))


@app.command("scaling")
def scaling_command() -> None:
    """Drain rate of 1, 2 and 4 workers with a guard that only waits."""
    with _ground() as (cluster, directory):
        found = scaling.scaling(cluster, directory)
    _print("Scaling", scaling.scaling_table(found))


@app.command("rebalance")
def rebalance_command() -> None:
    """How long partitions stand still while a worker joins and leaves."""
    with _ground() as (cluster, directory):
        found = {protocol: rebalance.rebalance(cluster, directory, protocol) for protocol in ("classic", "consumer")}
    _print("Rebalance", rebalance.rebalance_table(found))


@app.command("memory")
def memory_command(
    posts: Annotated[int, typer.Option(help="As fast as they come; 0: leave out.")] = 1_000_000,
    minutes: Annotated[float, typer.Option(help="Of a steady stream; 0: leave out.")] = 60,
    rate: Annotated[float, typer.Option(help="Posts a second of the steady stream.")] = 200,
) -> None:
    """Resident memory over a million posts and over an hour."""
    with _ground() as (cluster, directory):
        found = [memory.million(cluster, directory, posts)] if posts else []
        if minutes:
            found.append(memory.soak(cluster, directory, minutes, rate))
    _print("Memory", memory.table(found))


@app.command("pictures")
def pictures_command(count: int = 40, rounds: Rounds = 3) -> None:
    """Twelve-megapixel JPEGs: fetched, decoded, scaled down."""
    with S3Server(Path(tempfile.mkdtemp(prefix="bench-s3-")) / "objects") as server:
        found = pictures.pictures(server, count, rounds)
    _print("Pictures", pictures.table(found))


@app.command("all")
def all_command(minutes: Annotated[float, typer.Option(help="Of the soak; 0: leave out.")] = 0) -> None:
    """Everything, in one run, for docs/performance.md."""
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.platform()}, Python {platform.python_version()}")
    rate = throughput_command()
    latency_command(rate * _HALF)
    scaling_command()
    rebalance_command()
    memory_command(minutes=minutes)
    pictures_command()


if __name__ == "__main__":
    app()
