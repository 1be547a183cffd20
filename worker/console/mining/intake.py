"""Records of the outcome topics to what one transaction of the store takes in. What is no record of ours is counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from proguard_core.policy.policy import concerns_minors
from schemas.common import Action, CategoryKind, Outcome, Source
from schemas.retraining_hit import RetrainingHit
from schemas.review import Review
from schemas.risk import Risk
from schemas.verdict import Verdict
from worker.console.settings import ConsoleSettings
from worker.console.store.arrivals import Arrivals, NewRisk, Place, VerdictKey, draw, order_key
from worker.console.store.erasing import Behind, Tombstone
from worker.console.store.models import (
    MOST_CLUSTER_CHARACTERS,
    MOST_CODE_CHARACTERS,
    MOST_ID_CHARACTERS,
    MOST_OFFSET,
    MOST_PARTITION,
    MOST_TOPIC_CHARACTERS,
    Stratum,
)
from worker.console.store.reading import hour_of
from worker.settings import TopicSettings

_STRATA = frozenset(stratum.value for stratum in Stratum)
_UNDRAWN = "undrawn"
NO_RECORD = "a record that is none of ours"


class Read(NamedTuple):
    """A committed record as it was read. time_ms: the broker's."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    time_ms: int


@dataclass(slots=True)
class Batch:
    """What was read since the last transaction. offsets: where each place was at the beginning, and is now."""

    arrivals: Arrivals = field(default_factory=Arrivals)
    reviews: list[Review] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    by_topic: Counter[str] = field(default_factory=Counter)

    @property
    def records(self) -> int:
        """How many were read."""
        return self.by_topic.total()


class Intake:
    """Reads records into a Batch. Knows nothing of Kafka beyond their coordinates."""

    def __init__(self, topics: TopicSettings, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._passed = frozenset(settings.passed_guards)
        self._readers = {
            topics.verdicts: self._verdict,
            topics.risks: self._risk,
            topics.retraining: self._hit,
            topics.reviews: self._review,
        }
        self._behind = {topics.verdicts: Behind.VERDICTS, topics.risks: Behind.RISKS, topics.retraining: Behind.HITS}

    def add(self, batch: Batch, record: Read) -> None:
        """Take a record in. The caller notes its offset (`moved`)."""
        batch.by_topic[record.topic] += 1
        try:
            if record.value is None:
                self._null(batch, record)
            else:
                self._readers[record.topic](batch, record.value)
        except (ValidationError, ValueError, OverflowError):  # of a time that has no place in UTC
            batch.problems[f"{NO_RECORD}: {record.topic}"] += 1

    def _null(self, batch: Batch, record: Read) -> None:
        if record.topic not in self._behind or record.key is None:
            return
        post_id = record.key.decode("utf-8", "replace")
        _check((post_id, MOST_ID_CHARACTERS))
        try:
            at = datetime.fromtimestamp(record.time_ms / 1000, UTC)
        except (ValueError, OverflowError):  # no date: what lies before it goes all the same
            at = datetime.min.replace(tzinfo=UTC)
        self._erase(batch, Tombstone(post_id, at, self._behind[record.topic]))

    def _verdict(self, batch: Batch, value: bytes) -> None:
        verdict = Verdict.model_validate_json(value)
        category = verdict.category
        name = category.code if category.kind is CategoryKind.KNOWN and category.code else category.kind.value
        _check_source(verdict.source)
        _check((verdict.verdict_id, MOST_ID_CHARACTERS), (verdict.guard.revision, MOST_ID_CHARACTERS))
        _check((name, MOST_CODE_CHARACTERS))
        stratum = self._stratum(verdict)
        revision, time = verdict.guard.revision, verdict.judged_at.astimezone(UTC)
        key = VerdictKey(hour_of(time), revision, verdict.modality.value, verdict.outcome.value, name, stratum)
        batch.arrivals.verdicts[key] += 1
        if concerns_minors(category.kind, category.code, category.nearest):
            # Law 11: whatever an earlier judgement left here of the post goes.
            self._erase(batch, Tombstone(verdict.post_id, time, Behind.VERDICTS))
        seen = batch.arrivals.seen.get(revision)
        first, last = (time, time) if seen is None else (min(seen[1], time), max(seen[2], time))
        batch.arrivals.seen[revision] = (verdict.guard.name, first, last)
        if stratum in _STRATA and draw(verdict.verdict_id) < self._settings.audit_share:
            batch.arrivals.sample.append(_sample_row(verdict, Stratum(stratum)))

    def _stratum(self, verdict: Verdict) -> str:
        """Law 11: what is escalated, or near to minors, is looked at by nobody here, so no sample speaks for it."""
        category = verdict.category
        if verdict.action is Action.ESCALATE or concerns_minors(category.kind, category.code, category.nearest):
            return _UNDRAWN
        if verdict.outcome is Outcome.SAFE and verdict.guard.name in self._passed:
            return Stratum.PASSED.value
        return verdict.outcome.value

    def _risk(self, batch: Batch, value: bytes) -> None:
        risk = Risk.model_validate_json(value)
        _check_risk(risk)
        batch.arrivals.risks.setdefault(risk.risk_id, NewRisk(risk))

    def _hit(self, batch: Batch, value: bytes) -> None:
        hit = RetrainingHit.model_validate_json(value)
        _check_risk(hit)
        _check((hit.post.language, MOST_CLUSTER_CHARACTERS))
        batch.arrivals.risks[hit.risk_id] = NewRisk(hit)

    def _review(self, batch: Batch, value: bytes) -> None:
        review = Review.model_validate_json(value)
        review.reviewed_at.astimezone(UTC)
        _check((review.cluster, MOST_CLUSTER_CHARACTERS), (review.code, MOST_CODE_CHARACTERS))
        batch.reviews.append(review)

    @staticmethod
    def _erase(batch: Batch, said: Tombstone) -> None:
        """Of this batch too: its rows are written before its tombstones are followed, but were vectors made of them."""
        at = max([said.at, *_before(batch, said)])
        batch.arrivals.tombstones.append(Tombstone(said.post_id, at, said.behind))
        risks = batch.arrivals.risks
        for risk_id in [
            key for key, new in risks.items() if new.risk.post_id == said.post_id and new.risk.observed_at <= at
        ]:
            del risks[risk_id]


def _before(batch: Batch, said: Tombstone) -> list[datetime]:
    """Times of what the batch holds of the post and lies before its null value."""
    if said.behind is Behind.VERDICTS:
        return [row["judged_at"] for row in batch.arrivals.sample if row["post_id"] == said.post_id]
    wants_hits = said.behind is Behind.HITS
    of_it = (new.risk for new in batch.arrivals.risks.values() if new.risk.post_id == said.post_id)
    return [risk.observed_at for risk in of_it if isinstance(risk, RetrainingHit) is wants_hits]


def _check_risk(risk: Risk) -> None:
    risk.observed_at.astimezone(UTC)
    _check_source(risk.source)
    _check((risk.risk_id, MOST_ID_CHARACTERS), (risk.guard.revision, MOST_ID_CHARACTERS))
    _check((None if risk.nearest is None else risk.nearest.code, MOST_CODE_CHARACTERS))


def _check_source(source: Source) -> None:
    if source.partition > MOST_PARTITION or source.offset > MOST_OFFSET:
        raise ValueError("a place that Kafka does not have")
    _check((source.topic, MOST_TOPIC_CHARACTERS))


def _check(*texts: tuple[str | None, int]) -> None:
    """ValueError for what no column holds: PostgreSQL's have no NUL."""
    if any(text is not None and ("\0" in text or len(text) > most) for text, most in texts):
        raise ValueError("longer than any of ours")


def moved(offsets: dict[Place, tuple[int, int]], begins: Mapping[Place, int], record: Read) -> None:
    """Note that a record was read. begins: where each place stood before the batch."""
    place = Place(record.topic, record.partition)
    offsets[place] = (begins[place], record.offset + 1)


def _sample_row(verdict: Verdict, stratum: Stratum) -> dict[str, Any]:
    return {
        "verdict_id": verdict.verdict_id,
        "post_id": verdict.post_id,
        "author_id": verdict.author_id,
        "stratum": stratum,
        "judged_at": verdict.judged_at,
        "draw": draw(verdict.verdict_id),
        "order_key": order_key(verdict.verdict_id),
        "revision": verdict.guard.revision,
        "modality": verdict.modality.value,
        "source_topic": verdict.source.topic,
        "source_partition": verdict.source.partition,
        "source_offset": verdict.source.offset,
        "images": [],
    }
