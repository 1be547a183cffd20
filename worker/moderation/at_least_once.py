"""At least once: publish, wait for the broker's answer, then commit. A reader drops repeats by verdict_id.

For brokers without transactions, as the embedded one.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from worker.moderation.abandonable import AbandonableCall
from worker.moderation.partitions import PartitionTrack, Slot
from worker.moderation.publisher import SLICE_S, confirm, next_offsets, produce, take_back
from worker.settings import KafkaSettings
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

_RETRY_S = 0.5


class AtLeastOncePublisher:
    """Alternates between publishing and committing. on_delivery and on_commit are given to the clients by the maker."""

    def __init__(
        self,
        make_producer: Callable[[Callable[[KafkaError | None, object], None]], Producer],
        settings: KafkaSettings,
        clock: Callable[[], float] = time.monotonic,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._make_producer = make_producer
        self._producer = make_producer(self._on_delivery)
        self._clock = clock
        self._telemetry = telemetry or Telemetry()
        self._interval_s = settings.commit_interval_ms / 1000
        self._consumer: Consumer | None = None
        self._queue: deque[Slot] = deque()
        self._sent: list[Slot] = []
        self._failures = 0
        self._last_commit = 0.0
        self._not_before = 0.0
        self._committing = False
        self._leaving = AbandonableCall("last commit")

    def attach(self, consumer: Consumer) -> None:
        """The consumer that commits."""
        self._consumer = consumer

    @property
    def ready(self) -> bool:
        """Nothing to initialise."""
        return True

    @property
    def unconfirmed(self) -> int:
        """Outcomes whose commit is not confirmed."""
        return len(self._queue) + len(self._sent)

    def add(self, slot: Slot) -> None:
        """See Publisher."""
        self._queue.append(slot)

    def step(self, *, commit_now: bool = False) -> None:
        """See Publisher."""
        now = self._clock()
        if now < self._not_before:
            return
        if not self._committing:
            try:
                produce(self._producer, self._queue, self._sent, self._telemetry)
            except KafkaException as error:
                self._renew(error.args[0])
                return
        self._producer.poll(0)
        due = commit_now or now >= self._last_commit + self._interval_s
        if self._sent and due and not self._committing and not len(self._producer):
            self._commit()

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """The answer to a commit; runs inside the consumer's poll."""
        self._committing = False
        error = error or next((partition.error for partition in partitions if partition.error), None)
        if error is not None:
            # Published but not committed: the same offsets are committed again with what follows, or the next owner
            # publishes the same verdict_ids again.
            log.warning("offsets not committed yet: %s", error.str())
            self._not_before = self._clock() + _RETRY_S
            self._sent = [slot for slot in self._sent if not slot.track.closed]
            return
        committed = {(partition.topic, partition.partition): partition.offset for partition in partitions}
        confirm((slot for slot in self._sent if slot.offset < committed.get(slot.track.key, -1)), self._telemetry)
        self._committed()
        self._sent = [slot for slot in self._sent if slot.offset >= committed.get(slot.track.key, -1)]

    def finish(self, tracks: Sequence[PartitionTrack], deadline: float) -> None:
        """See Publisher. Inside a rebalance no asynchronous answer can arrive, so it commits synchronously."""
        wanted = set(map(id, tracks))
        while any(id(slot.track) in wanted for slot in self._queue) or len(self._producer):
            if self._clock() >= deadline:
                return
            try:
                self.step_producer()
            except KafkaException as error:
                self._renew(error.args[0])
                return
        mine = [slot for slot in self._sent if id(slot.track) in wanted]
        if mine and not self._failures and self._consumer is not None:
            if not self._committed_by(deadline, partial(self._consumer.commit, offsets=next_offsets(mine))):
                return
            confirm(mine, self._telemetry)
            self._committed()
            self._sent = [slot for slot in self._sent if id(slot.track) not in wanted]

    def _committed_by(self, deadline: float, commit: Callable[..., object]) -> bool:
        """Whether a synchronous commit came through in time. The client would wait a minute for a dead coordinator, and
        the group would take all partitions away; what is not committed the next owner publishes with the same ids."""
        began = self._last_commit = self._clock()
        self._leaving.start(partial(commit, asynchronous=False))
        try:
            if self._leaving.finished(max(0.0, deadline - began)):
                return True
            self._leaving.abandon()
            log.warning("not committed before the partition left: no answer in time")
        except KafkaException as error:
            log.warning("not committed before the partition left: %s", error.args[0].str())
        return False

    def step_producer(self) -> None:
        """Publish and serve deliveries only."""
        produce(self._producer, self._queue, self._sent, self._telemetry)
        self._producer.poll(SLICE_S / 10)

    def drop(self, tracks: Sequence[PartitionTrack]) -> None:
        """See Publisher."""
        self._queue = deque(slot for slot in self._queue if not slot.track.closed)
        self._sent = [slot for slot in self._sent if not slot.track.closed]

    def close(self) -> None:
        """See Publisher."""
        self._producer.flush(1.0)

    def _committed(self) -> None:
        self._telemetry.commits += 1
        self._telemetry.commit_duration(self._clock() - self._last_commit)

    def _commit(self) -> None:
        if self._failures:
            log.warning("%d outcomes were not delivered and are published again", self._failures)
            self._failures = 0
            self._not_before = self._clock() + _RETRY_S
            take_back(self._queue, self._sent)
            return
        offsets = next_offsets(self._sent)
        if offsets and self._consumer is not None:
            self._last_commit = self._clock()
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
                self._committing = True
            except KafkaException as error:
                log.warning("offsets not committed yet: %s", error.args[0].str())

    def _on_delivery(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failures += 1

    def _renew(self, error: KafkaError) -> None:
        log.warning("the producer is lost and made anew: %s", error.str())
        self._telemetry.recoveries += 1
        self._producer.purge()
        self._producer = self._make_producer(self._on_delivery)
        self._failures = 0
        self._not_before = self._clock() + _RETRY_S
        take_back(self._queue, self._sent)
