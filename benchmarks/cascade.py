"""How much of a stream a cascade saves, and at what recall: `python -m benchmarks.cascade DATA [--guard FOLDER] ...`.

DATA is the folder of labelled rows that the embedded guard was taught from; the rows measured are those of sources (and
codes) that the guard's manifest says were left out, and of --more, which were never taught. Recall is of labels: an
unsafe row counts as caught where it reaches the big guard. Thresholds are fitted on one half of the rows and measured
on the other; the mix has --unsafe unsafe posts.
"""

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proguard_core.guards.audit import share_at_least
from proguard_core.guards.cascade import Sureness
from proguard_core.guards.factory import create
from proguard_core.guards.protocol import GuardOptions, GuardRequest, Judgement
from proguard_core.policy.loader import load_policy
from proguard_core.training.embedded.rows import DEV_FILE, TRAIN_FILES, CategoryMap, read_rows

DEFAULT_GUARD = Path(__file__).parents[1] / "proguard_core" / "guards" / "embedded" / "model"
THRESHOLDS = (0.01, 0.02, 0.03, 0.035, 0.04, 0.045, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.3)
WANTED = 0.99
FEWEST = 30
SEED = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text. code: of the taxonomy, `?` where nothing says which."""

    source: str
    text: str
    unsafe: bool
    code: str


def rows_of(folder: Path, sources: set[str]) -> list[Row]:
    """Every labelled request of the sources, each text once."""
    categories = CategoryMap()
    found: dict[str, Row] = {}
    for name in (*TRAIN_FILES, DEV_FILE):
        for row in read_rows(folder / name):
            if (
                row["source"] in sources
                and row["request"]
                and row["request_label"]
                and categories.keeps_request_label(row)
            ):
                code = categories.code(row) or "?"
                found[row["request"]] = Row(row["source"], row["request"], row["request_label"] == "unsafe", code)
    return list(found.values())


async def judged(guard_folder: Path, rows: Sequence[Row]) -> list[Judgement]:
    """What the first guard says."""
    guard = create("embedded", GuardOptions(str(guard_folder)), load_policy())
    await guard.start()
    judgements: list[Judgement] = []
    for at in range(0, len(rows), 512):
        judgements += await guard.judge([GuardRequest(row.text) for row in rows[at : at + 512]])
    await guard.close()
    return judgements


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some rows at one threshold: unsafe ones and those of them that go on, safe ones and those that go on."""

    unsafe: int
    caught: int
    safe: int
    forwarded: int

    def recall(self) -> float:
        """Share of the unsafe rows that go on; 1 without any."""
        return self.caught / self.unsafe if self.unsafe else 1.0

    def share(self, unsafe: float) -> float:
        """Share of a mix with this much unsafe that goes on."""
        return unsafe * self.recall() + (1 - unsafe) * (self.forwarded / self.safe if self.safe else 0.0)

    def said(self) -> str:
        """Rows, recall, its lower bound."""
        bound = share_at_least(self.caught, self.unsafe)
        return f"{self.caught}/{self.unsafe} unsafe reach the big guard: {self.recall():.4f}, lower bound {bound:.4f}"


Judged = tuple[Row, Judgement]


def measure(pairs: Sequence[Judged], safe_below: float) -> Figures:
    """By the cascade's own rule."""
    sureness = Sureness(safe_below=safe_below)
    unsafe = [not sureness.passes(judgement) for row, judgement in pairs if row.unsafe]
    safe = [not sureness.passes(judgement) for row, judgement in pairs if not row.unsafe]
    return Figures(len(unsafe), sum(unsafe), len(safe), sum(safe))


def halves(pairs: list[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Two halves, drawn by the seed."""
    shuffled = pairs[:]
    random.Random(SEED).shuffle(shuffled)
    return shuffled[::2], shuffled[1::2]


def chosen(pairs: Sequence[Judged]) -> float | None:
    """The largest threshold whose recall has a lower bound of WANTED on these rows; None where none has."""
    sure = []
    for threshold in THRESHOLDS:
        figures = measure(pairs, threshold)
        if share_at_least(figures.caught, figures.unsafe) >= WANTED:
            sure.append(threshold)
    return max(sure, default=None)


def report(pairs: list[Judged], withheld: set[str], mix: float) -> None:
    """Every threshold, then the fitted one by source and by category."""
    fitted, held = halves(pairs)
    print(f"rows: {sum(row.unsafe for row, _ in pairs)} unsafe, {sum(not row.unsafe for row, _ in pairs)} safe")
    print(f"share: of a mix with {mix:.0%} unsafe posts, what reaches the big guard")
    for threshold in THRESHOLDS:
        figures = measure(pairs, threshold)
        print(f"safe_below {threshold:<6} share {figures.share(mix):.3f}  {figures.said()}")
    below = chosen(fitted)
    if below is None:
        print(f"no threshold has a recall of {WANTED} for certain on the first half: nothing is fitted")
        return
    figures = measure(held, below)
    print(f"fitted on half of the rows: safe_below {below}; on the other half:")
    print(f"  share {figures.share(mix):.3f}  {figures.said()}")
    for title, values in (
        ("source", {row.source for row, _ in held}),
        ("category", {row.code for row, _ in held}),
    ):
        for value in sorted(values):
            part = measure([(row, said) for row, said in held if value in (row.source, row.code)], below)
            mark = " (withheld from training)" if value in withheld else ""
            said = [part.said()] if part.unsafe >= FEWEST else []
            said += [f"{part.forwarded}/{part.safe} safe ones reach it"] if part.safe else []
            if said:
                print(f"  {title} {value}{mark}: {'; '.join(said)}")


def main() -> None:
    """Judge the rows and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cascade", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--guard", type=Path, default=DEFAULT_GUARD, help="folder of the first guard's artefact")
    parser.add_argument("--more", nargs="*", default=(), help="sources that were never taught, beside those left out")
    parser.add_argument("--taught-safe", nargs="*", default=(), help="sources whose held-out safe rows are added")
    parser.add_argument("--unsafe", type=float, default=0.1)
    asked = parser.parse_args()
    manifest = json.loads((asked.guard / "manifest.json").read_text())
    left_out = manifest.get("left_out", {"sources": [], "codes": []})
    rows = rows_of(asked.data, {*left_out["sources"], *asked.more})
    print(f"sources left out: {', '.join(sorted({row.source for row in rows}))}")
    if asked.taught_safe:
        print(
            f"NOT left out, held-out rows only, so its share is flattering: safe rows of {', '.join(asked.taught_safe)}"
        )
        held_out = {row["request"] for row in read_rows(asked.data / DEV_FILE)}
        rows += [row for row in rows_of(asked.data, set(asked.taught_safe)) if not row.unsafe and row.text in held_out]
    judgements = asyncio.run(judged(asked.guard, rows))
    report(list(zip(rows, judgements, strict=True)), set(left_out["codes"]), asked.unsafe)


if __name__ == "__main__":
    main()
