"""A dataset of the paper's size from synthetic text rows: `python -m benchmarks.dataset [--rows N] [--write FOLDER]`.

Times reading the rows from a file, building, and (with --write, where pyarrow is there) verl's and TRL's files.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

from proguard_core.dataset.builder import Dataset, build
from proguard_core.dataset.items import Origin
from proguard_core.dataset.sources import Form, read_items
from proguard_core.dataset.writers import write_own, write_trl, write_verl
from proguard_core.evaluation.rows import Problems
from proguard_core.novelty import bank as banks
from proguard_core.policy.loader import load_policy
from proguard_core.policy.policy import MINORS
from proguard_core.policy.taxonomy import SUBCATEGORY_NAMES

ROWS = 87_000
SECONDS, GIGABYTES = 180, 2.0
_SYLLABLES = ("ba", "ne", "lo", "ti", "ru", "ka", "mi", "so", "da", "pe", "gu", "fi", "vo", "zan", "ter", "mol", "rin")


def _rows(count: int) -> list[bytes]:
    """Half safe, half over the codes; 15 to 120 words of no language, one in ten a near-duplicate of the row before."""
    chance = random.Random(0)
    words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4))) for _ in range(8000)]
    codes = [code for code in SUBCATEGORY_NAMES if code != MINORS]
    made, text = [], "a"
    for at in range(count):
        text = f"{text} again" if at % 10 == 9 else " ".join(chance.choices(words, k=chance.randint(15, 120)))
        unsafe = at % 20 < 10
        made.append(
            {"id": f"{at}", "request": text, "request_label": "unsafe" if unsafe else "safe", "licence": "CC0",
             "category": codes[at // 20 % len(codes)] if unsafe else None, "author": f"{at // 3}"}
        )  # fmt: skip
    return [json.dumps(row).encode() for row in made]


def _write(dataset: Dataset, folder: Path) -> None:
    for name, write in (("own rows", write_own), ("verl", write_verl), ("TRL", write_trl)):
        began = time.perf_counter()
        write(dataset, folder / name.replace(" ", "-"))
        print(f"written for {name}: {time.perf_counter() - began:.0f} s")


def main() -> None:
    """Print times and the peak of memory; exit code 1 where the limits are not kept (they are for ROWS rows)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dataset", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--write", type=Path, help="a folder that is not there yet")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        file.write_bytes(b"\n".join(_rows(asked.rows)))
        began, problems = time.perf_counter(), Problems()
        dataset = build(
            read_items(file, Form.OWN, Origin.BASE, problems), load_policy(), banks.load(), problems=problems
        )
        took = time.perf_counter() - began
    sides = f"{len(dataset.train)} to learn from, {len(dataset.held_out)} held out"
    print(f"{asked.rows} rows: read and built in {took:.0f} s ({sides}); {dict(problems.counts)}")
    if asked.write:
        _write(dataset, asked.write)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory {peak:.2f} GiB")
    raise SystemExit(0 if took <= SECONDS and peak <= GIGABYTES else 1)


if __name__ == "__main__":
    main()
