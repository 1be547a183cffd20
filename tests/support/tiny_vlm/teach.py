"""`python -m tests.support.tiny_vlm.teach`: make the tiny models that are missing, and say how well they answer."""

import argparse
import asyncio
import logging
import time
from collections import Counter
from itertools import islice
from pathlib import Path

from proguard_core.guards.protocol import GuardOptions, Judgement
from proguard_core.guards.transformers import create
from proguard_core.judgement import parse
from proguard_core.policy.loader import load_policy
from schemas.common import Outcome
from tests.support.tiny_vlm import cached
from tests.support.tiny_vlm.rows import Row, teaching_rows

HELD_OUT_SEED = 1
OUTPUT_CAP = 96


def held_out(count: int) -> list[Row]:
    """Rows of the same kind as those taught, drawn by another seed."""
    return list(islice(teaching_rows(load_policy(), HELD_OUT_SEED), count))


async def judged(model: Path, rows: list[Row], **settings: object) -> list[Judgement]:
    """What a checkpoint says to the rows' questions, in batches of eight."""
    options = GuardOptions(str(model), settings={"output_cap": OUTPUT_CAP, "batch_size": 8, **settings})
    guard = create(options, load_policy())
    await guard.start()
    try:
        return await guard.judge([row.request for row in rows])
    finally:
        await guard.close()


def score(rows: list[Row], judgements: list[Judgement]) -> dict[str, float]:
    """Shares of rows: parsed, with the right outcome, with the right outcome and category."""
    policy = load_policy()
    found: Counter[str] = Counter()
    for row, said in zip(rows, judgements, strict=True):
        right = parse(row.answer, row.kind, policy, has_response=row.request.response is not None)
        is_right = said.outcome is right.outcome
        found["parsed"] += said.outcome is not Outcome.UNDETERMINED
        found["outcome"] += is_right
        found["category"] += is_right and said.category == right.category
    return {name: found[name] / len(rows) for name in ("parsed", "outcome", "category")}


def main() -> None:
    """Make, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=120, help="held-out rows to ask (default: %(default)s)")
    rows = held_out(parser.parse_args().rows)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    began = time.monotonic()
    model, adapter = cached.taught_model(), cached.adapter()
    print(f"{model}\n{adapter}\nmade or found in {time.monotonic() - began:.0f} s", flush=True)
    for name, settings in (("base", {}), (adapter.name, {"adapters": str(adapter.parent), "adapter": adapter.name})):
        judgements = asyncio.run(judged(model, rows, **settings))
        shares = ", ".join(f"{key} {value:.1%}" for key, value in score(rows, judgements).items())
        print(f"{name}: {shares} of {len(rows)} held-out rows; {Counter(said.outcome.value for said in judgements)}")


if __name__ == "__main__":
    main()
