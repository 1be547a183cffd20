"""Twelve-megapixel JPEGs from a real S3 server, fetched, decoded and scaled down: our way and the plain one."""

import asyncio
import io
import os
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from proguard_core.guards.protocol import GuardLimits
from proguard_core.images import fitted
from schemas.post import ImageReference
from tests.support.s3_server import S3Server
from worker.moderation.fetch import Fetcher
from worker.moderation.objects import ObjectStore
from worker.settings import ObjectSettings

_BUCKET = "bench-pictures"
_SIZE = (4000, 3000)
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Pictures:
    """Medians over the rounds."""

    way: str
    cpu_milliseconds: float
    per_second: float


def _photograph(number: int) -> bytes:
    """Soft shapes with a camera's noise: about 3 MB as a JPEG of quality 90, as phones make them."""
    random = np.random.default_rng(number)
    soft = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize(_SIZE, Image.Resampling.BICUBIC)
    noisy = np.asarray(soft, dtype=np.int16) + random.integers(-9, 10, (_SIZE[1], _SIZE[0], 1), dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def pictures(server: S3Server, count: int, rounds: int) -> list[Pictures]:
    """Both ways, alternating; CPU of this process, threads included (the server is another one)."""
    os.environ.update(server.environment)
    client = server.client()
    client.create_bucket(Bucket=_BUCKET)
    bodies = [_photograph(number) for number in range(4)]
    keys = [f"{number}.jpg" for number in range(count)]
    for number, key in enumerate(keys):
        client.put_object(Bucket=_BUCKET, Key=key, Body=bodies[number % len(bodies)])
    ways: dict[str, Callable[[], int]] = {
        "boto3, full Pillow decode": lambda: _plain(server, keys),
        "proguard": lambda: asyncio.run(_ours(server, keys)),
    }
    measured: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _round in range(rounds):
        for way, run in ways.items():
            measured[way].append(_timed(run, count))
    return [
        Pictures(way, statistics.median(cpu for cpu, _ in found), statistics.median(rate for _, rate in found))
        for way, found in measured.items()
    ]


def _timed(run: Callable[[], int], count: int) -> tuple[float, float]:
    """CPU milliseconds a picture, pictures a second."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    done = run()
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
    if done != count:
        raise RuntimeError(f"{done} of {count} pictures were decoded")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / count * 1000, count / seconds


def _plain(server: S3Server, keys: list[str]) -> int:
    """What most people write."""
    client = server.client()

    def one(key: str) -> Image.Image:
        body = client.get_object(Bucket=_BUCKET, Key=key)["Body"].read()
        image = Image.open(io.BytesIO(body)).convert("RGB")
        return image.resize(fitted(*image.size, GuardLimits().max_pixels), Image.Resampling.BICUBIC)

    with ThreadPoolExecutor(_THREADS) as threads:
        return sum(image.width > 0 for image in threads.map(one, keys))


async def _ours(server: S3Server, keys: list[str]) -> int:
    settings = ObjectSettings(endpoint_url=server.endpoint_url, buckets=(_BUCKET,), decode_threads=_THREADS)
    fetcher = Fetcher(ObjectStore(settings), settings, GuardLimits().max_pixels)
    await fetcher.start()

    async def one(key: str) -> int:
        post = await fetcher.fetch([ImageReference(uri=f"s3://{_BUCKET}/{key}")], 0)
        seen = len(post.images[0].pictures)
        post.release()
        return seen

    try:
        return sum(await asyncio.gather(*map(one, keys)))
    finally:
        await fetcher.close()


def table(found: list[Pictures]) -> list[str]:
    """Markdown; the ratio is of CPU."""
    plain = found[0].cpu_milliseconds
    return [
        "| way | CPU a picture, ms | pictures/s | pictures a CPU second, against the plain way |",
        "| --- | --- | --- | --- |",
        *(
            f"| {each.way} | {each.cpu_milliseconds:.0f} | {each.per_second:.1f} | "
            f"{plain / each.cpu_milliseconds:.2f} |"
            for each in found
        ),
    ]
