"""How much of a stream a cascade saves, and at what recall: `python -m benchmarks.cascade DATA [--guard FOLDER ...]`.

DATA is the folder of labelled rows that the embedded guard was taught from; the rows measured are those of sources (and
codes) that the guard's manifest says were left out, and of --more, which were never taught. Several guards, each taught
without other sources, judge each its own rows. Recall is of labels: an unsafe row counts as caught where it reaches the
big guard. Thresholds are fitted on one half of the rows and measured on the other; the mix has --unsafe unsafe posts.
--words puts the model of words before each guard, taught without the same sources and codes.
"""

import argparse
import asyncio
import json
import math
import random
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proguard_core.guards.audit import share_at_least
from proguard_core.guards.cascade import Sureness
from proguard_core.guards.factory import create
from proguard_core.guards.ngrams.guard import FOLDER as WORDS
from proguard_core.guards.ngrams.guard import MANIFEST
from proguard_core.guards.protocol import GuardOptions, GuardRequest, Judgement
from proguard_core.policy.loader import load_policy
from proguard_core.training.embedded.mixture import teaching_mixture
from proguard_core.training.embedded.rows import (
    DEV_FILE,
    TRAIN_FILES,
    CategoryMap,
    Example,
    LeftOut,
    read_rows,
)
from proguard_core.training.ngrams.__main__ import Reader, measured, questions, taught

DEFAULT_GUARD = Path(__file__).parents[1] / "proguard_core" / "guards" / "embedded" / "model"
THRESHOLDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.3)
WANTED = 0.99
NOVELTIES = (1.0, 0.99, 0.95, 0.9, 0.8)
FEWEST = 30
SEED = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text. code: of the taxonomy, `?` where nothing says which. new: of a code that was not taught."""

    source: str
    text: str
    unsafe: bool
    code: str
    new: bool = False


def rows_of(folder: Path, sources: set[str], codes: Container[str] = ()) -> list[Row]:
    """Every labelled request of the sources, each text once. codes: those that were not taught."""
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
                unsafe = row["request_label"] == "unsafe"
                found[row["request"]] = Row(row["source"], row["request"], unsafe, code, unsafe and code in codes)
    return list(found.values())


def drawn(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many rows of each source and label, drawn by the seed."""
    kinds: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.source, row.unsafe), []).append(row)
    chooser = random.Random(SEED)
    return [row for members in kinds.values() for row in chooser.sample(members, min(most, len(members)))]


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


@dataclass(frozen=True, slots=True)
class Judged:
    """A row, what the embedded guard says, and whether the model of words would let it pass before that."""

    row: Row
    said: Judgement
    by_words: bool = False


def passed_by_words(data: Path, left_out: LeftOut, rows: Sequence[Row]) -> list[bool]:
    """Whether the model of words, taught without what is left out, lets each row pass at its shipped bound."""
    reader = Reader()
    model = taught(reader, questions(teaching_mixture(data, SEED, left_out)))
    examples = [Example(row.source, row.text, None, row.unsafe, None) for row in rows]
    found = measured(reader, model, examples, np.ones(len(rows), dtype=np.bool_))
    bound = json.loads((WORDS / MANIFEST).read_text())["safe_below"]
    return [bool(score < bound) for score in found.score]


def measure(pairs: Sequence[Judged], safe_below: float, words: bool = False) -> Figures:
    """By the cascade's own rules. words: the model of words judges first."""
    sureness = Sureness(safe_below=safe_below)
    goes_on = [
        not (sureness.shows(GuardRequest(pair.row.text)) and ((words and pair.by_words) or sureness.passes(pair.said)))
        for pair in pairs
    ]
    unsafe = [on for pair, on in zip(pairs, goes_on, strict=True) if pair.row.unsafe]
    safe = [on for pair, on in zip(pairs, goes_on, strict=True) if not pair.row.unsafe]
    return Figures(len(unsafe), sum(unsafe), len(safe), sum(safe))


def by_novelty(pairs: Sequence[Judged], safe_below: float) -> None:
    """What the bound on novelty sends on of all that the score lets pass."""
    by_score = Sureness(safe_below=safe_below, novel_from=math.inf)
    low = [pair for pair in pairs if by_score.shows(GuardRequest(pair.row.text)) and by_score.passes(pair.said)]
    for bound in NOVELTIES:
        far = [pair for pair in low if pair.said.novelty is not None and pair.said.novelty >= bound]
        counts = [
            f"{sum(is_one(pair) for pair in far)}/{sum(is_one(pair) for pair in low)} {name}"
            for name, is_one in (
                ("unsafe", lambda pair: pair.row.unsafe),
                ("of withheld categories", lambda pair: pair.row.new),
                ("safe", lambda pair: not pair.row.unsafe),
            )
        ]
        print(f"  of what scores below {safe_below}, novelty from {bound} sends on: {', '.join(counts)}")


def halves(pairs: list[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Two halves, drawn by the seed."""
    shuffled = pairs[:]
    random.Random(SEED).shuffle(shuffled)
    return shuffled[::2], shuffled[1::2]


def chosen(pairs: Sequence[Judged], words: bool) -> float | None:
    """The largest threshold whose recall has a lower bound of WANTED on these rows; None where none has."""
    sure = []
    for threshold in THRESHOLDS:
        figures = measure(pairs, threshold, words)
        if share_at_least(figures.caught, figures.unsafe) >= WANTED:
            sure.append(threshold)
    return max(sure, default=None)


def report(pairs: list[Judged], mix: float, bound: float | None, words: bool) -> None:
    """Every threshold, then one of them (bound, else the fitted one on the other half) by source and by category."""
    unsafe = sum(pair.row.unsafe for pair in pairs)
    print(f"\n{'words, then ' if words else ''}the embedded guard; rows: {unsafe} unsafe, {len(pairs) - unsafe} safe")
    print(f"share: of a mix with {mix:.0%} unsafe posts, what reaches the big guard")
    for threshold in THRESHOLDS:
        figures = measure(pairs, threshold, words)
        print(f"safe_below {threshold:<6} share {figures.share(mix):.3f}  {figures.said()}")
    fitted, held = halves(pairs) if bound is None else (pairs, pairs)
    below = chosen(fitted, words) if bound is None else bound
    if below is None:
        print(f"no threshold has a recall of {WANTED} for certain on the first half: nothing is fitted")
        return
    print("fitted on half of the rows, measured on the other:" if bound is None else "as asked, on all rows:")
    for name, part in parts(held).items():
        figures = measure(part, below, words)
        said = [figures.said()] if figures.unsafe >= FEWEST else []
        said += [f"{figures.forwarded}/{figures.safe} safe ones reach it"] if figures.safe else []
        said += [f"share {figures.share(mix):.3f}"] if figures.unsafe and figures.safe else []
        if said:
            print(f"  {name}, safe_below {below}: {'; '.join(said)}")
    by_novelty(pairs, below)


def parts(pairs: list[Judged]) -> dict[str, list[Judged]]:
    """All rows, and those of each source, each code, and of codes that were taught and were not."""
    made = {"all": pairs}
    for pair in sorted(pairs, key=lambda pair: (pair.row.source, pair.row.code)):
        made.setdefault(f"source {pair.row.source}", []).append(pair)
    for pair in sorted((pair for pair in pairs if pair.row.unsafe), key=lambda pair: pair.row.code):
        made.setdefault(f"main category {pair.row.code.partition('S')[0]}", []).append(pair)
        made.setdefault(f"categories {'withheld from training' if pair.row.new else 'taught'}", []).append(pair)
    return made


def rows_and_judgements(asked: argparse.Namespace, folder: Path) -> list[Judged]:
    """What one guard was not taught, judged by it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    left_out = manifest.get("left_out", {"sources": [], "codes": []})
    rows = drawn(rows_of(asked.data, {*left_out["sources"], *asked.more}, left_out["codes"]), asked.rows)
    print(f"sources left out: {', '.join(sorted({row.source for row in rows}))}; codes: {left_out['codes'] or 'none'}")
    if asked.taught_safe:
        print(
            f"NOT left out, held-out rows only, so its share is flattering: safe rows of {', '.join(asked.taught_safe)}"
        )
        held_out = {row["request"] for row in read_rows(asked.data / DEV_FILE)}
        rows += [row for row in rows_of(asked.data, set(asked.taught_safe)) if not row.unsafe and row.text in held_out]
    without = LeftOut(frozenset(left_out["sources"]), frozenset(left_out["codes"]))
    passed = passed_by_words(asked.data, without, rows) if asked.words else [False] * len(rows)
    said = asyncio.run(judged(folder, rows))
    return [Judged(*each) for each in zip(rows, said, passed, strict=True)]


def main() -> None:
    """Judge the rows and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cascade", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--guard", type=Path, nargs="+", default=[DEFAULT_GUARD], help="folders of first guards")
    parser.add_argument("--more", nargs="*", default=(), help="sources that were never taught, beside those left out")
    parser.add_argument("--taught-safe", nargs="*", default=(), help="sources whose held-out safe rows are added")
    parser.add_argument("--rows", type=int, default=1500, help="at most so many of each source and label")
    parser.add_argument("--words", action="store_true", help="show the model of words (`ngrams`) before the guard too")
    parser.add_argument("--safe-below", type=float, help="show this bound by category, instead of fitting one")
    parser.add_argument("--unsafe", type=float, default=0.1)
    asked = parser.parse_args()
    pairs = [pair for folder in asked.guard for pair in rows_and_judgements(asked, folder)]
    for words in (False, True) if asked.words else (False,):
        report(pairs, asked.unsafe, asked.safe_below, words)


if __name__ == "__main__":
    main()
