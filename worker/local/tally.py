"""What came out of the stream so far: every record sent, every answer seen, and whether one is still missing."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import quantiles
from typing import TypeAlias

from schemas.dead_letter import DeadLetterHeaders
from schemas.retraining_hit import RetrainingHit
from schemas.risk import Risk
from schemas.verdict import Verdict

Coordinates: TypeAlias = tuple[int, int]


@dataclass
class Tally:
    """Answers by source record. Coordinates are (partition, offset) in the posts topic.

    A post is answered by a verdict, what is no post by a dead letter, a tombstone by an erasure of its key.
    Repeats (at-least-once) are dropped by their ids.
    """

    expected: dict[Coordinates, str] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    verdicts: dict[Coordinates, Verdict] = field(default_factory=dict)
    dead_letters: dict[Coordinates, DeadLetterHeaders] = field(default_factory=dict)
    risks: dict[str, Risk] = field(default_factory=dict)
    hits: dict[str, RetrainingHit] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    def sent(self, partition: int, offset: int, key: str, tombstone: bool = False) -> None:
        """A record is on the stream."""
        if tombstone:
            self.tombstones.add(key)
        else:
            self.expected[partition, offset] = key

    def verdict(self, verdict: Verdict) -> bool:
        """Note a verdict; False if it is a repeat."""
        place = (verdict.source.partition, verdict.source.offset)
        if place in self.verdicts:
            return False
        self.verdicts[place] = verdict
        return True

    def dead_letter(self, headers: DeadLetterHeaders) -> bool:
        """Note a dead letter; False if it is a repeat."""
        place = (headers.partition, headers.offset)
        if place in self.dead_letters:
            return False
        self.dead_letters[place] = headers
        return True

    @property
    def missing(self) -> list[str]:
        """Keys of records that were sent and have no answer yet."""
        answered = self.verdicts.keys() | self.dead_letters.keys()
        unanswered = [key for place, key in self.expected.items() if place not in answered]
        return unanswered + sorted(f"{key} (erasure)" for key in self.tombstones - self.erased)

    @property
    def answered(self) -> int:
        """How many of the sent records have their answer."""
        return len(self.expected) + len(self.tombstones) - len(self.missing)

    def by_outcome(self) -> Counter[str]:
        """Verdicts by outcome."""
        return Counter(verdict.outcome.value for verdict in self.verdicts.values())

    def by_action(self) -> Counter[str]:
        """Verdicts by the policy's action."""
        return Counter(verdict.action.value for verdict in self.verdicts.values())

    def by_reason(self) -> Counter[str]:
        """Undetermined verdicts by their reason."""
        return Counter(verdict.reason.value for verdict in self.verdicts.values() if verdict.reason is not None)

    def latency_ms(self) -> tuple[float, float]:
        """Median and 95th percentile of the time from receipt to outcome, in milliseconds; zeros without verdicts."""
        totals = [verdict.timings_ms.total for verdict in self.verdicts.values()]
        if len(totals) < 2:
            return (totals[0], totals[0]) if totals else (0.0, 0.0)
        cuts = quantiles(totals, n=20, method="inclusive")
        return cuts[9], cuts[18]
