"""Speed of a real engine behind the stream, beside the same engine fed offline, for docs/performance.md.

Usage: .venv-engines/bin/python -m benchmarks.engines stream|prefix|shape|pictures|all [--help]
Needs `make engines`, Java 17 and Maven (scripts/install-system-requirements.sh). On a machine with a GPU:
python -m benchmarks.engines shape --shape qwen2.5-vl-7b --price 2.50
"""

import platform
import statistics
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import prefix_cache, preparing
from benchmarks.engine_rates import EngineUnderTest, Rates, offline_rate, stream_rate
from benchmarks.shapes import MAX_MODEL_LENGTH, SHAPES, write_shape
from tests.support.engine_posts import engine_posts
from tests.support.kafka_cluster import KafkaCluster
from tests.support.s3_server import S3Server
from tests.support.tiny_vlm.cached import random_model
from tests.support.vllm_server import SERVED_NAME, VllmServer

app = typer.Typer(help=__doc__, no_args_is_help=True)

Posts = Annotated[int, typer.Option(help="Posts: six of ten text, three with a picture, one a picture alone.")]
Rounds = Annotated[int, typer.Option(help="Both ways alternate.")]
Output = Annotated[int, typer.Option(help="Tokens of each answer.")]
Model = Annotated[Path | None, typer.Option(help="Folder of a checkpoint; default: the tests' tiny random one.")]

AIM = 0.95
_CONCURRENCY = 64
_MILLION = 1_000_000
_HOUR_S = 3600


@contextmanager
def _ground() -> Iterator[tuple[KafkaCluster, S3Server, Path]]:
    directory = Path(tempfile.mkdtemp(prefix="bench-engines-"))
    with KafkaCluster(directory / "kafka") as cluster, S3Server(directory / "objects") as objects:
        yield cluster, objects, directory


def _engine(server: VllmServer, output: int) -> EngineUnderTest:
    """Answers of `output` tokens each, and no second question where they make no sense."""
    settings = {"output_cap": output, "structured_retry": False, "concurrency": _CONCURRENCY}
    patient = {"request_timeout_s": 500.0}
    return EngineUnderTest(
        "benchmarks.fixed_output:openai", SERVED_NAME, (server.base_url,), server.forget, settings | patient
    )


def _rounds(server: VllmServer, output: int, posts: int, rounds: int) -> list[Rates]:
    """Both ways in turn, each first in every other round: the same posts in a round, fresh ones in the next."""
    engine = _engine(server, output)
    offline_rate(engine, engine_posts("warm-up", _CONCURRENCY, seed=-1))
    found = []
    with _ground() as (cluster, objects, directory):
        for number in range(rounds):
            same = engine_posts(f"bench-{uuid.uuid4().hex[:8]}", posts, seed=number)
            offline = offline_rate(engine, same) if number % 2 == 0 else 0.0
            stream, outcomes = stream_rate(engine, same, cluster, objects, directory)
            found.append(Rates(offline or offline_rate(engine, same), stream, outcomes))
            said = f"{found[-1].offline:.2f} offline, {stream:.2f} behind the stream, {outcomes}"
            print(f"round {number + 1}: {said}", flush=True)
    return found


def _stream(server: VllmServer, posts: int, rounds: int, output: int) -> None:
    found = _rounds(server, output, posts, rounds)
    lines = ["| round | offline, posts/s | through Kafka and S3, posts/s | ratio |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {number} | {each.offline:.2f} | {each.stream:.2f} | {each.ratio:.2f} |"
        for number, each in enumerate(found, 1)
    ]
    lines.append(f"| median | | | {statistics.median(each.ratio for each in found):.2f} |")
    _print(f"Engine behind the stream (aim: at least {AIM})", lines)


def _prefix(server: VllmServer, posts: int, output: int) -> None:
    engine = _engine(server, output)
    found = [prefix_cache.prefix(engine, server, posts, pictures=pictures) for pictures in (False, True)]
    _print(f"Shared prefix (aim: at least {prefix_cache.AIM:.0%})", prefix_cache.table(found))


@app.command("stream")
def stream_command(posts: Posts = 200, rounds: Rounds = 3, output: Output = 64, model: Model = None) -> None:
    """End to end through Kafka and S3, against the same engine fed the same requests offline."""
    with _server(model) as server:
        _stream(server, posts, rounds, output)


@app.command("prefix")
def prefix_command(posts: Posts = 200, output: Output = 16, model: Model = None) -> None:
    """What of the policy the prefix cache holds."""
    with _server(model) as server:
        _prefix(server, posts, output)


@app.command("shape")
def shape_command(
    shape: Annotated[str, typer.Option(help=f"One of {', '.join(SHAPES)}.")] = "qwen2.5-vl-7b",
    outputs: Annotated[list[int] | None, typer.Option(help="Tokens of an answer; several times.")] = None,
    posts: Posts = 1000,
    rounds: Rounds = 1,
    gpus: Annotated[int, typer.Option(help="Tensor-parallel size.")] = 1,
    price: Annotated[float | None, typer.Option(help="Of a GPU for an hour, in your currency.")] = None,
) -> None:
    """Throughput of a model's shape with dummy weights: answers of a fixed length, with and without the worker."""
    if shape not in SHAPES:
        raise typer.BadParameter(f"{shape} is none of {', '.join(SHAPES)}")
    folder = _folder()
    checkpoint = write_shape(folder / "model", SHAPES[shape])
    more = ["--load-format", "dummy"]
    if shape != "small":  # a CPU has neither
        more += ["--no-enforce-eager", "--gpu-memory-utilization", "0.9", "--tensor-parallel-size", str(gpus)]
    lines = [
        "| answer, tokens | way | posts/s | GPU-seconds per million posts | cost per million posts |",
        "| --- | --- | --- | --- | --- |",
    ]
    with VllmServer(folder, checkpoint, adapters=False, max_model_len=MAX_MODEL_LENGTH, more=more) as server:
        for output in outputs or (64, 128, 256):
            before = server.counter("vllm:generation_tokens"), server.counter("vllm:request_success")
            for rates in _rounds(server, output, posts, rounds):
                lines += _cost_rows(output, rates, gpus, price)
            written = server.counter("vllm:generation_tokens") - before[0]
            answers = server.counter("vllm:request_success") - before[1]
            print(f"{written / answers:.1f} tokens an answer by the server's own count", flush=True)
    _print(f"{shape}, dummy weights", lines)


def _cost_rows(output: int, rates: Rates, gpus: int, price: float | None) -> Iterator[str]:
    for way, rate in (("engine alone", rates.offline), ("behind the worker", rates.stream)):
        seconds = gpus * _MILLION / rate
        cost = "" if price is None else f"{seconds * price / _HOUR_S:,.0f}"
        yield f"| {output} | {way} | {rate:.2f} | {seconds:,.0f} | {cost} |"


@app.command("pictures")
def pictures_command(
    count: Annotated[int, typer.Option(help="Pictures of 3000 x 2000 a round.")] = 32,
    rounds: Rounds = 5,
    threads: Annotated[list[int] | None, typer.Option(help="Several times.")] = None,
) -> None:
    """How fast pictures are prepared for vLLM's engine, in one thread and in several."""
    _print("Pictures prepared", preparing.table(preparing.preparing(count, rounds, threads or [2, 4])))


@app.command("all")
def all_command(posts: Posts = 200, rounds: Rounds = 3, output: Output = 64, model: Model = None) -> None:
    """What a machine without a GPU can measure."""
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.platform()}, Python {platform.python_version()}")
    with _server(model) as server:
        _prefix(server, posts, output)
        _stream(server, posts, rounds, output)


def _server(model: Path | None) -> VllmServer:
    return VllmServer(_folder(), model or random_model(), adapters=False)


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="bench-vllm-"))


def _print(title: str, lines: list[str]) -> None:
    print(f"\n### {title}\n\n" + "\n".join(lines), flush=True)


if __name__ == "__main__":
    app()
