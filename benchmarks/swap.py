"""What a swap costs the batches beside it: `python -m benchmarks.swap [--rounds N] [--batch N]`.

The embedded guard judges batches one after the other, as the worker hands them over. In every second one other heads
are swapped in, a folder that was not loaded before each time, as a promotion does it: read, compared with the artefact,
warmed up by a sentence, put in force. No batch may wait longer for that than one batch takes.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from proguard_core.guards.embedded.guard import EmbeddedGuard
from proguard_core.guards.embedded.heads import base_hashes
from proguard_core.guards.embedded.reader import Readers
from proguard_core.guards.embedded.text_model import CALIBRATION, FIRST_CATEGORY, FOLDER, Calibration
from proguard_core.guards.protocol import GuardOptions, GuardRequest
from proguard_core.policy.loader import load_policy
from tests.support.embedded_heads import write_heads
from worker.local import emerging

ROUNDS, BATCH = 40, 32


def _heads(folder: Path, count: int) -> list[str]:
    """Folders of heads that differ in one bias, of the size that a round of `proguard retrain` makes."""
    calibration = Calibration.read(FOLDER / CALIBRATION)
    width = Readers(FOLDER, 1, load_policy()).width
    weights = np.zeros((FIRST_CATEGORY + len(calibration.codes), width + 1), np.float32)
    base, names = base_hashes(FOLDER), [f"r{at}" for at in range(count)]
    for at, name in enumerate(names):
        weights[0, -1] = 0.01 * at
        write_heads(folder / name, base, weights)
    return names


async def _judged(guard: EmbeddedGuard, batch: list[GuardRequest]) -> tuple[float, set[str | None]]:
    """Seconds, and the revisions that judged it."""
    began = time.perf_counter()
    judgements = await guard.judge(batch)
    return time.perf_counter() - began, {judgement.revision for judgement in judgements}


async def _measured(folder: Path, rounds: int, batch: list[GuardRequest]) -> tuple[list[float], list[float]]:
    """Seconds of batches alone, and of batches with a swap beside them."""
    guard = EmbeddedGuard(GuardOptions(settings={"adapters": str(folder)}), load_policy())
    names = _heads(folder, rounds)
    alone: list[float] = []
    beside: list[float] = []
    await guard.start()
    try:
        await guard.judge(batch)
        for name in names:
            took, _ = await _judged(guard, batch)
            alone.append(took)
            swap = asyncio.create_task(guard.swap(name))
            took, revisions = await _judged(guard, batch)
            beside.append(took)
            await swap
            assert len(revisions) == 1, "a batch was judged by two revisions"
            assert guard.revision.startswith(f"{name}-"), guard.revision
    finally:
        await guard.close()
    return alone, beside


def main() -> None:
    """Print both; exit code 1 where a batch waited for longer than one takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swap", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="swaps")
    parser.add_argument("--batch", type=int, default=BATCH, help="posts a batch")
    asked = parser.parse_args()
    batch = [GuardRequest(text) for text in emerging.texts(emerging.POSTS, asked.batch, 3)]
    with tempfile.TemporaryDirectory(prefix="proguard-swap-") as folder:
        alone, beside = asyncio.run(_measured(Path(folder), asked.rounds, batch))
    usual = statistics.median(alone)
    waited = [max(0.0, took - usual) for took in beside]
    for title, seconds in (("alone", alone), ("beside a swap", beside)):
        print(f"batches of {asked.batch} {title}: median {statistics.median(seconds) * 1000:.0f} ms,", end=" ")
        print(f"longest {max(seconds) * 1000:.0f} ms")
    print(f"{asked.rounds} swaps: waited {statistics.median(waited) * 1000:.0f} ms at the median,", end=" ")
    print(f"{max(waited) * 1000:.0f} ms at most; one batch takes {usual * 1000:.0f} ms")
    raise SystemExit(0 if max(waited) <= usual else 1)


if __name__ == "__main__":
    main()
