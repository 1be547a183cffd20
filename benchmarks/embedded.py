"""What the embedded guard costs on one core: `python -m benchmarks.embedded DATA [--posts 2000] [--safe-below 0.08]`.

DATA is the folder of labelled rows; posts are requests of its held-out rows (dev.jsonl.gz), nine of ten harmless, in
batches of 32 through one worker and one thread of onnxruntime. With the first stage the bound may be given; its recall
is the share of the unsafe posts that the encoder alone finds and that are found with the stage too. Prints Markdown.
"""

import argparse
import asyncio
import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.measure import resident_bytes
from proguard_core.guards.factory import create
from proguard_core.guards.protocol import Guard, GuardOptions, GuardRequest, Judgement, Picture
from proguard_core.policy.loader import load_policy
from proguard_core.training.embedded.rows import dev_examples
from schemas.common import Outcome

BATCH = 32
HARMLESS = 0.9
SEED = 7
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One guard over all posts: posts a second of wall clock, CPU a post (ms), and what it said."""

    posts_per_second: float
    cpu_ms: float
    said: list[Judgement]


def mix(folder: Path, count: int) -> list[tuple[str, bool]]:
    """Held-out requests and whether they are unsafe, in random order; fewer where there are not so many safe ones."""
    rows = [row for row in dev_examples(folder) if row.response is None and row.unsafe is not None]
    chooser = random.Random(SEED)
    safe = [(row.request, False) for row in rows if not row.unsafe]
    unsafe = [(row.request, True) for row in rows if row.unsafe]
    count = min(count, int(len(safe) / HARMLESS))
    taken = chooser.sample(safe, int(count * HARMLESS)) + chooser.sample(unsafe, count - int(count * HARMLESS))
    chooser.shuffle(taken)
    return taken


def guard(cascade: dict[str, object] | None) -> Guard:
    """One worker, one thread."""
    first = {} if cascade is None else {"cascade": cascade}
    return create("embedded", GuardOptions(settings={"workers": 1, "threads": 1, **first}), load_policy())


async def run(tried: Guard, texts: Sequence[str]) -> Run:
    """All texts, batch by batch."""
    await tried.judge([GuardRequest(texts[0])])
    said: list[Judgement] = []
    began, cpu = time.perf_counter(), time.process_time()
    for at in range(0, len(texts), BATCH):
        said += await tried.judge([GuardRequest(text) for text in texts[at : at + BATCH]])
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return Run(len(texts) / seconds, used / len(texts) * 1000, said)


async def alone(tried: Guard, requests: Sequence[GuardRequest]) -> list[float]:
    """Milliseconds of each request, one at a time, sorted."""
    times = []
    for request in requests:
        began = time.perf_counter()
        await tried.judge([request])
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def pictures() -> tuple[Picture, Picture]:
    """A page of text, and noise in the colours of a photograph."""
    page = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(page)
    for line in range(10):
        draw.text((40, 40 + 50 * line), "The bakery opens at eight and the bread is still warm.", "black", font_size=24)
    chooser = random.Random(SEED)
    small = Image.frombytes("RGB", (40, 30), chooser.randbytes(40 * 30 * 3))
    return Picture(page, "page"), Picture(small.resize((800, 600), Image.Resampling.BICUBIC), "photograph")


def recall(unsafe: Sequence[bool], encoder: Sequence[Judgement], staged: Sequence[Judgement]) -> float:
    """Of the unsafe posts that the encoder finds, the share that is still found."""
    found = [
        after.outcome is Outcome.UNSAFE
        for harmful, before, after in zip(unsafe, encoder, staged, strict=True)
        if harmful and before.outcome is Outcome.UNSAFE
    ]
    return sum(found) / len(found)


async def measured(posts: Sequence[tuple[str, bool]], safe_below: float | None) -> list[str]:
    """The table's lines."""
    texts, unsafe = [text for text, _ in posts], [harmful for _, harmful in posts]
    began = time.perf_counter()
    encoder = guard(None)
    await encoder.start()
    await encoder.probe()
    started = time.perf_counter() - began
    plain = await run(encoder, texts)
    singles = await alone(encoder, [GuardRequest(text) for text in texts[:500]])
    without = resident_bytes_of_this()
    of_text, of_photograph = pictures()
    await alone(encoder, [GuardRequest("", None, of_text)])
    page = await alone(encoder, [GuardRequest("", None, of_text)] * 5)
    photograph = await alone(encoder, [GuardRequest("", None, of_photograph)] * 5)
    with_pictures = resident_bytes_of_this()
    await encoder.close()
    bound = {} if safe_below is None else {"safe_below": safe_below}
    staged_guard = guard({"first": "ngrams", "audit": 1e-18, **bound})
    await staged_guard.start()
    staged = await run(staged_guard, texts)
    await staged_guard.close()
    passed = sum(said.guard == "ngrams" for said in staged.said) / len(texts)
    return [
        "| what | measured |",
        "| --- | --- |",
        f"| encoder alone, posts/s (CPU a post) | {plain.posts_per_second:,.0f} ({plain.cpu_ms:.2f} ms) |",
        f"| with the first stage, posts/s (CPU a post) | {staged.posts_per_second:,.0f} ({staged.cpu_ms:.2f} ms) |",
        f"| posts that stop at the first stage | {passed:.1%} |",
        f"| of the unsafe posts that the encoder finds, still found | {recall(unsafe, plain.said, staged.said):.2%} |",
        f"| one post, p50 and p99 | {statistics.median(singles):.1f} and {singles[int(len(singles) * 0.99)]:.1f} ms |",
        f"| a picture of text, a photograph (median) | {page[2]:.0f} and {photograph[2]:.0f} ms |",
        f"| start and first answer, imports done | {started:.2f} s |",
        f"| resident memory: text only, with pictures | {without:.0f} and {with_pictures:.0f} MiB |",
    ]


def resident_bytes_of_this() -> float:
    """MiB."""
    return resident_bytes(os.getpid()) / _MIB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedded", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with dev.jsonl.gz")
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument("--safe-below", type=float, help="of the first stage; its own by default")
    asked = parser.parse_args()
    posts = mix(asked.data, asked.posts)
    words = sum(len(text.split()) for text, _ in posts) / len(posts)
    print(f"{len(posts)} posts of {words:.0f} words on average\n")
    print("\n".join(asyncio.run(measured(posts, asked.safe_below))))


if __name__ == "__main__":
    main()
