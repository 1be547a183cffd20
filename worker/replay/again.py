"""The judging of a replay: what is left of its ranges, without erased posts, through the worker's own stream."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from worker.errors import ConfigurationError, WorkerError
from worker.moderation.at_least_once import AtLeastOncePublisher
from worker.moderation.client_config import loader_config, producer_config
from worker.moderation.outcome import OutcomeWriter
from worker.moderation.publisher import SLICE_S
from worker.moderation.run import Stop
from worker.moderation.stream import Judging
from worker.replay.erasures import Erasures, WithoutErased, tombstones
from worker.replay.ranges import Range, since
from worker.replay.reader import config_of
from worker.replay.stream import FiniteStream, RangeSource, ReplayProgress
from worker.settings import Settings

log = logging.getLogger(__name__)

STOPPED = "stopped by a signal"

_ANSWER_S = 20.0
_FLUSH_S = 60.0


@dataclass(slots=True)
class Judged:
    """What was done. done_before: offsets that an earlier run had finished; unfinished: why not all is done."""

    done_before: int = 0
    judged: int = 0
    erased: int = 0
    expired: int = 0
    no_posts: Counter[str] = field(default_factory=Counter)
    unfinished: str | None = None


class Again:
    """Judges ranges of the posts topic with the settings of a replay (destination.beside). One use."""

    def __init__(self, settings: Settings, group: str, writer: OutcomeWriter, posts_max_bytes: int, stop: Stop) -> None:
        """group notes how far the replay is."""
        self._settings = settings
        self._group = group
        self._writer = writer
        self._posts_max_bytes = posts_max_bytes
        self._stop = stop
        self._topic = settings.topics.posts
        self._publisher = AtLeastOncePublisher(self._make_producer, settings.kafka)
        config = config_of(settings, group) | {"on_commit": self._publisher.on_commit}
        self._consumer = Consumer(config)
        self._publisher.attach(self._consumer)

    def judge(
        self, judging: Judging, looking: Consumer, ranges: Sequence[Range], since_ms: int | None, *, restart: bool
    ) -> Judged:
        """Judge what an earlier run has not done, all if restart. looking: a consumer that is free.

        since_ms: erasures are looked for from there on, None from the beginning. Raises WorkerError, KafkaException.
        """
        done = Judged()
        try:
            left = list(ranges) if restart else self._left(ranges)
            done.done_before = sum(each.size for each in ranges) - sum(each.size for each in left)
            if done.done_before:
                log.info("an earlier run had finished %d of the range", done.done_before)
            if left:
                self._judge(judging, looking, left, since_ms, done)
            return done
        finally:
            self._consumer.close()

    def _left(self, ranges: Sequence[Range]) -> list[Range]:
        asked = [TopicPartition(self._topic, each.partition) for each in ranges]
        committed: dict[int, int] = {}
        for answer in self._consumer.committed(asked, timeout=_ANSWER_S) if asked else []:
            if answer.error is not None:
                self._refused(answer.error)
            committed[answer.partition] = answer.offset
        left = [Range(each.partition, max(each.start, committed[each.partition]), each.end) for each in ranges]
        return [each for each in left if each.size > 0]

    def _refused(self, error: KafkaError) -> None:
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise ConfigurationError(
                f"group {self._group}: the principal lacks READ; grant it on groups that begin with "
                f"{self._settings.kafka.group_id}"
            )
        raise KafkaException(error)

    def _judge(
        self, judging: Judging, looking: Consumer, left: Sequence[Range], since_ms: int | None, done: Judged
    ) -> None:
        scanned = since(looking, self._topic, since_ms)
        erasures = Erasures()
        for place in tombstones(looking, self._topic, scanned, self._stop):
            erasures.note(*place)
        log.info("%d erasures found; erased posts are left out", len(erasures))
        if self._stop():
            done.unfinished = STOPPED
            return
        self._stream(WithoutErased(judging, erasures, self._writer.erased), left, done)
        ends = {each.partition: each.end for each in scanned}
        now = [
            Range(each.partition, ends.get(each.partition, each.start), each.end)
            for each in since(looking, self._topic, None)
        ]
        came = [key for key, *_place in tombstones(looking, self._topic, now)]
        # What an earlier run said of a post that was erased after it goes as well.
        self._forget([*(erasures if done.done_before else ()), *came])

    def _stream(self, judging: WithoutErased, left: Sequence[Range], done: Judged) -> None:
        progress = ReplayProgress(self._settings.telemetry.status_interval_s, sum(each.size for each in left))
        stream = FiniteStream(self._settings, self._publisher, judging, self._writer, progress)
        source = RangeSource(self._consumer, self._topic, left)
        stream.assigned(source.partitions)
        self._stop.forward(stream.stop)
        stream.run(source)
        done.erased = judging.left_out
        done.judged = progress.judged - judging.left_out
        done.no_posts = progress.dead_letters
        done.expired = source.expired
        if stream.tripped is not None:
            done.unfinished = stream.tripped
        elif not source.complete or self._stop():
            done.unfinished = STOPPED

    def _forget(self, keys: Iterable[bytes]) -> None:
        """Null values for posts erased while the replay ran, or since an earlier part of it."""
        producer = Producer(loader_config(self._settings, self._posts_max_bytes))
        failures: list[KafkaError] = []

        def note(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failures.append(error)

        for key in keys:
            for topic, its_key, value, _headers in self._writer.erased(key).records:
                _produce(producer, topic, its_key, value, note)
        if producer.flush(_FLUSH_S) or failures:
            why = failures[0].str() if failures else "the broker does not answer"
            raise WorkerError(f"erasures could not be written to the topics of the replay: {why}; run it again")

    def _make_producer(self, on_delivery: Callable[[KafkaError | None, object], None]) -> Producer:
        return Producer({**producer_config(self._settings, self._posts_max_bytes), "on_delivery": on_delivery})


def _produce(
    producer: Producer,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    note: Callable[[KafkaError | None, object], None],
) -> None:
    while True:
        try:
            producer.produce(topic, value=value, key=key, on_delivery=note)
            return
        except BufferError:
            producer.poll(SLICE_S)
