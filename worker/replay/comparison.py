"""Which verdicts a replay would change: the replay's against the live ones, joined by the record they speak of.

Holds four bytes for each offset of the range, whatever the number of verdicts.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proguard_core.policy.policy import concerns_minors
from schemas.common import CategoryKind
from worker.replay.ranges import Range

EXAMPLES = 5
ASPECTS = ("outcome", "action", "category")


@dataclass(frozen=True, slots=True)
class Said:
    """What of a verdict is compared. category: its code, or its kind where it has none; never a name."""

    outcome: str
    action: str
    category: str
    minors: bool = False


def said(verdict: Mapping[str, Any]) -> Said:
    """What a verdict's JSON says; KeyError and ValueError if it is none."""
    category = verdict["category"]
    kind = CategoryKind(category["kind"])
    known = category["code"] if kind is CategoryKind.KNOWN else kind.value
    minors = concerns_minors(kind, category["code"], category["nearest"])
    return Said(verdict["outcome"], verdict["action"], known, minors)


class Table:
    """One Said for each offset of ranges. Others are refused silently: they belong to another replay."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._starts = {each.partition: each.start for each in ranges}
        self._cells = {each.partition: array("I", bytes(4 * each.size)) for each in ranges}
        self._known: list[Said] = []
        self._numbers: dict[Said, int] = {}
        self.filled = 0

    def put(self, partition: int, offset: int, what: Said) -> None:
        """The last one put at a place counts."""
        index = self._index(partition, offset)
        if index is None:
            return
        number = self._numbers.get(what)
        if number is None:
            self._known.append(what)
            number = self._numbers[what] = len(self._known)
        self.filled += self._cells[partition][index] == 0
        self._cells[partition][index] = number

    def take(self, partition: int, offset: int) -> Said | None:
        """What was put there, once: a place taken is empty."""
        index = self._index(partition, offset)
        if index is None or (number := self._cells[partition][index]) == 0:
            return None
        self._cells[partition][index] = 0
        self.filled -= 1
        return self._known[number - 1]

    def _index(self, partition: int, offset: int) -> int | None:
        if partition not in self._cells:
            return None
        index = offset - self._starts[partition]
        return index if 0 <= index < len(self._cells[partition]) else None


@dataclass(slots=True)
class Comparison:
    """Counts of what was said before and what is said now, an aspect each, with examples of what changed.

    without_live: replayed posts whose live verdict is not there: not given yet, compacted by a later one, or expired.
    An example names the post; where minors are concerned only the record's place.
    """

    compared: int = 0
    changed: int = 0
    without_live: int = 0
    counts: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: {each: Counter() for each in ASPECTS})
    examples: dict[tuple[str, str, str], list[dict[str, object]]] = field(default_factory=dict)

    def add(self, old: Said, new: Said, post_id: str, place: str) -> None:
        """One post of which both verdicts are there. place: partition:offset of its record."""
        self.compared += 1
        example: dict[str, object] = {"source": place}
        if not (old.minors or new.minors):
            example["post_id"] = post_id
        differs = False
        for aspect in ASPECTS:
            pair = (getattr(old, aspect), getattr(new, aspect))
            self.counts[aspect][pair] += 1
            if pair[0] != pair[1]:
                differs = True
                shown = self.examples.setdefault((aspect, *pair), [])
                if len(shown) < EXAMPLES:
                    shown.append(example)
        self.changed += differs

    def rows(self, aspect: str) -> list[dict[str, object]]:
        """Old, new, count and examples of an aspect: changes first, the most frequent first."""
        found = sorted(self.counts[aspect].items(), key=lambda item: (item[0][0] == item[0][1], -item[1], item[0]))
        return [
            {"old": old, "new": new, "count": count, "examples": self.examples.get((aspect, old, new), [])}
            for (old, new), count in found
        ]

    def as_json(self) -> dict[str, object]:
        """All of it."""
        totals = {"compared": self.compared, "changed": self.changed, "without_live_verdict": self.without_live}
        return {**totals, **{aspect: self.rows(aspect) for aspect in ASPECTS}}
