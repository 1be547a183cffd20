"""What the retraining and review topics hold up to a fixed end: hits that were not erased, and all reviews.

Beside them the posts that people reviewed though they are no hits, as far as the posts topic still has them. Both
topics are read from their beginning each time: a hit may wait for its review for weeks, and stays where it is.
The group's committed offsets only say up to where a run has learned already.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import orjson
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from pydantic import BaseModel, ValidationError

from proguard_core.dataset.stream import JudgedPost
from proguard_core.evaluation.rows import Problems
from schemas.retraining_hit import RetrainingHit
from schemas.review import Review
from worker.errors import WorkerError
from worker.replay.erasures import Erasures, tombstones
from worker.replay.ranges import Range, since
from worker.replay.reader import config_of, read
from worker.retraining import judged_posts, offsets
from worker.settings import Settings

HITS, REVIEWS, JUDGED, CROWDS = "hits.jsonl", "reviews.jsonl", "judged.jsonl", "crowds.json"
NO_HIT, NO_REVIEW = "a record that is no hit (left out)", "a record that is no review (left out)"

Ends = Mapping[str, Mapping[int, int]]
"""By topic and partition: the offset behind the last one that was read."""
Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """hits, one a post; reviews; of both the numbers of those that lie before what a run has learned from already.

    crowds: post ids of clusters that consensus may label. judged: reviewed posts that are no hits.
    """

    hits: Sequence[RetrainingHit]
    reviews: Sequence[Review]
    ends: Ends = field(default_factory=dict)
    old_hits: frozenset[str] = frozenset()
    old_reviews: frozenset[str] = frozenset()
    problems: Problems = field(default_factory=Problems)
    crowds: Mapping[str, Sequence[str]] = field(default_factory=dict)
    judged: Sequence[JudgedPost] = ()

    def write(self, folder: Path) -> None:
        """hits.jsonl, reviews.jsonl and judged.jsonl; crowds.json where there are any."""
        for name, records in ((HITS, self.hits), (REVIEWS, self.reviews), (JUDGED, self.judged)):
            with (folder / name).open("wb") as file:
                for record in records:
                    file.write(orjson.dumps(record.model_dump(mode="json")) + b"\n")
        if self.crowds:
            (folder / CROWDS).write_bytes(orjson.dumps({**self.crowds}))


def load(folder: Path) -> Snapshot:
    """What `write` wrote: hits, reviews, judged posts and crowds."""
    crowds, judged = folder / CROWDS, folder / JUDGED
    return Snapshot(
        [RetrainingHit.model_validate_json(line) for line in _lines(folder / HITS)],
        [Review.model_validate_json(line) for line in _lines(folder / REVIEWS)],
        crowds=orjson.loads(crowds.read_bytes()) if crowds.exists() else {},
        judged=[JudgedPost.model_validate_json(line) for line in _lines(judged)] if judged.exists() else (),
    )


class Topics:
    """The topics of a broker. clock: seconds since the epoch, as the broker's clock has them."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings, self._clock = settings, clock
        self._group = settings.retraining.group_id
        self._config = config_of(settings, self._group)
        self._hits, self._reviews = settings.topics.retraining, settings.topics.reviews

    def snapshot(self) -> Snapshot:
        """Everything that is there now. Raises ConfigurationError, WorkerError."""
        problems = Problems()
        with self._consumer() as consumer:
            ranges = {topic: since(consumer, topic, None) for topic in (self._hits, self._reviews)}
            learned = {topic: self._committed(consumer, topic, each) for topic, each in ranges.items()}
            erasures, found, old = Erasures(), dict[str, tuple[int, int, RetrainingHit]](), set[str]()
            for message in read(consumer, self._hits, ranges[self._hits]):
                partition, offset = _place(message)
                value = message.value()
                if value is None:
                    erasures.note(message.key() or b"", partition, offset)
                elif (hit := _parsed(RetrainingHit, value, NO_HIT, problems)) is not None:
                    found[hit.post_id] = (partition, offset, hit)
                    (old.add if offset < learned[self._hits][partition] else old.discard)(hit.post_id)
            reviews, old_reviews = dict[str, Review](), set[str]()
            for message in read(consumer, self._reviews, ranges[self._reviews]):
                partition, offset = _place(message)
                review = _parsed(Review, message.value() or b"", NO_REVIEW, problems)
                if review is not None:
                    reviews[review.review_id] = review
                    (old_reviews.add if offset < learned[self._reviews][partition] else old_reviews.discard)(
                        review.review_id
                    )
            judged = judged_posts.overturnable(
                consumer, self._settings, reviews.values(), found.keys(), problems, self._clock()
            )
        hits = [hit for at, offset, hit in found.values() if not erasures.covers(hit.post_id, at, offset)]
        ends = {topic: {each.partition: each.end for each in some} for topic, some in ranges.items()}
        old_ids = frozenset(old), frozenset(old_reviews)
        return Snapshot(hits, list(reviews.values()), ends, *old_ids, problems, judged=judged)

    def erased_since(self, ends: Ends) -> frozenset[str]:
        """Posts that were erased behind a snapshot."""
        with self._consumer() as consumer:
            ranges = [
                Range(each.partition, max(each.start, ends.get(self._hits, {}).get(each.partition, 0)), each.end)
                for each in since(consumer, self._hits, None)
            ]
            return frozenset(key.decode("utf-8", "replace") for key, _, _ in tombstones(consumer, self._hits, ranges))

    def commit(self, ends: Ends) -> None:
        """Note that everything before was learned from."""
        places = [
            TopicPartition(topic, partition, end) for topic, some in ends.items() for partition, end in some.items()
        ]
        with self._consumer() as consumer:
            offsets.commit(consumer, self._group, places)

    def _committed(self, consumer: Consumer, topic: str, ranges: Sequence[Range]) -> dict[int, int]:
        asked = [TopicPartition(topic, each.partition) for each in ranges]
        found = offsets.committed(consumer, self._group, asked)
        return {each.partition: max(0, each.offset) for each in found}

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(self._config)
        try:
            yield consumer
        except KafkaException as error:
            raise WorkerError(f"the broker does not answer: {error.args[0]}") from None
        finally:
            consumer.close()


def _place(message: Message) -> tuple[int, int]:
    return message.partition() or 0, message.offset() or 0


def _parsed(kind: type[Record], value: bytes, problem: str, problems: Problems) -> Record | None:
    try:
        return kind.model_validate_json(value)
    except ValidationError:
        problems.count(problem)
        return None


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file
