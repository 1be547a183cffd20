"""Exactly once: outcomes and offsets in one transaction every commit interval.

A transaction opens when outcomes are ready and never waits for inference. Recovery never asks the guard again: outcomes
stay here until their commit is confirmed, and are published again after an abort or by a new producer.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from worker.errors import ConfigurationError, FencedError
from worker.moderation.abandonable import AbandonableCall
from worker.moderation.partitions import PartitionTrack, Slot
from worker.moderation.publisher import SLICE_S, confirm, is_member, next_offsets, produce, take_back
from worker.settings import KafkaSettings
from worker.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

_FENCES_WITHIN_S = 60.0
_ABORT_PAUSE_S = 0.1
# How long one look at a commit under way may take: posts are admitted and outcomes collected in between.
_WAIT_S = 0.005
_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_FORBIDDEN = frozenset(
    {
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
    }
)
# A right that was there at start-up and was taken since: a new start names the topic.
_REMEDIES = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Grant the principal WRITE on the outcome topics again",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "Grant the principal READ on the group (kafka.group_id) again",
}
_OTHER_REMEDY = 'Grant the principal WRITE and DESCRIBE on it, or set kafka.delivery = "at-least-once"'


class State(Enum):
    """Where the one transactional producer stands."""

    STARTING = auto()  # init_transactions: fences the process before us, waits for its transaction to end
    READING = auto()  # after a new producer: which outcomes were committed after all?
    IDLE = auto()
    OPEN = auto()
    SENDING = auto()  # offsets
    COMMITTING = auto()
    ABORTING = auto()


class TransactionalPublisher:
    """State machine over one producer; each call into librdkafka is bounded by a slice and may be repeated."""

    def __init__(
        self,
        make_producer: Callable[[], Producer],
        settings: KafkaSettings,
        clock: Callable[[], float] = time.monotonic,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._make_producer = make_producer
        self._producer = make_producer()
        self._settings = settings
        self._clock = clock
        self._telemetry = telemetry or Telemetry()
        self._consumer: Consumer | None = None
        self._interval_s = settings.commit_interval_ms / 1000
        self._queue: deque[Slot] = deque()
        self._sent: list[Slot] = []
        self._last_commit = 0.0
        self._not_before = 0.0
        self._begun_at: float | None = None
        self._fenced_at: deque[float] = deque(maxlen=2)
        self._recovering = False
        self._commit_now = False
        # Sends offsets and commits: the stream's thread would stand still with such a call.
        self._call = AbandonableCall("transaction")
        self._call_since = 0.0
        self._timeout_s = settings.transaction_timeout_ms / 1000
        self.state = State.STARTING
        self._steps = {
            State.STARTING: self._start,
            State.READING: self._read,
            State.IDLE: self._begin,
            State.OPEN: self._fill,
            State.SENDING: self._send_offsets,
            State.COMMITTING: self._commit,
            State.ABORTING: self._abort,
        }

    @property
    def aborts(self) -> int:
        """Transactions aborted so far."""
        return self._telemetry.aborts

    @property
    def recoveries(self) -> int:
        """Producers made anew so far."""
        return self._telemetry.recoveries

    def attach(self, consumer: Consumer) -> None:
        """The consumer whose group the offsets are committed for."""
        self._consumer = consumer

    @property
    def ready(self) -> bool:
        """Whether init_transactions has been answered."""
        return self.state is not State.STARTING

    @property
    def unconfirmed(self) -> int:
        """Outcomes whose commit is not confirmed."""
        return len(self._queue) + len(self._sent)

    def add(self, slot: Slot) -> None:
        """See Publisher."""
        self._queue.append(slot)

    def step(self, *, commit_now: bool = False) -> None:
        """See Publisher. Steps follow one another until one has to wait or the slice is used up."""
        self._commit_now = commit_now
        end = self._clock() + SLICE_S
        while self._advance() and self._clock() < end:
            pass

    def finish(self, tracks: Sequence[PartitionTrack], deadline: float) -> None:
        """See Publisher."""
        wanted = set(map(id, tracks))
        self._commit_now = True
        while any(id(slot.track) in wanted for slot in (*self._sent, *self._queue)) and self._clock() < deadline:
            if not self._advance():
                self._serve()

    def drop(self, tracks: Sequence[PartitionTrack]) -> None:
        """See Publisher. A transaction that holds outcomes of a lost partition without its offset must not commit."""
        half_sent = bool(self._queue) and self._queue[0].produced > 0 and self._queue[0].track.closed
        self._queue = deque(slot for slot in self._queue if not slot.track.closed)
        # While COMMITTING the offsets are inside: outcome and offset are seen together or not at all.
        if self.state in {State.OPEN, State.SENDING} and (half_sent or any(slot.track.closed for slot in self._sent)):
            self.state = State.ABORTING

    def close(self) -> None:
        """See Publisher."""
        try:
            under_way = self._call.running
            if under_way and not self._call.finished(1.0):
                log.info("the last transaction is left to the broker's timeout: its last call does not return")
                return
            if self.state in {State.OPEN, State.SENDING, State.ABORTING}:
                self._producer.abort_transaction(1.0)
            elif self.state is State.COMMITTING and not under_way:
                self._producer.commit_transaction(1.0)
        except KafkaException as error:
            log.info("the last transaction is left to the broker's timeout: %s", error.args[0].str())
        self._producer.purge()

    def _advance(self) -> bool:
        """One bounded call. True if the next may follow at once."""
        try:
            return self._steps[self.state]()
        except KafkaException as error:
            self._failed(error.args[0])
            return False

    def _serve(self) -> None:
        """Delivery reports; a fatal error is raised here too."""
        try:
            self._producer.poll(0.001)
        except KafkaException as error:
            self._failed(error.args[0])

    def _start(self) -> bool:
        self._producer.init_transactions(SLICE_S)
        self.state = State.READING if self._recovering else State.IDLE
        return True

    def _read(self) -> bool:
        """Drop what the old producer committed before it failed."""
        assert self._consumer is not None
        tracks = {slot.track.key for slot in self._queue}
        if tracks:
            asked = [TopicPartition(topic, partition) for topic, partition in tracks]
            answer = self._consumer.committed(asked, SLICE_S)
            if any(found.error for found in answer):
                return False
            committed = {(found.topic, found.partition): found.offset for found in answer}
            already_in = [slot for slot in self._queue if slot.offset < committed[slot.track.key]]
            confirm(already_in, self._telemetry)
            self._queue = deque(slot for slot in self._queue if slot.offset >= committed[slot.track.key])
        self._recovering = False
        self.state = State.IDLE
        return True

    def _begin(self) -> bool:
        if not self._queue or self._clock() < self._not_before:
            self._producer.poll(0)
            return False
        self._producer.begin_transaction()
        self._begun_at = self._clock()
        self.state = State.OPEN
        return True

    def _fill(self) -> bool:
        fits = produce(self._producer, self._queue, self._sent, self._telemetry)
        self._producer.poll(0)
        # A slot whose records did not all fit keeps the transaction open, so that none is split over two.
        if self._queue and self._queue[0].produced:
            return fits
        if not self._sent:
            if not self._queue:  # its only outcomes were of partitions that are gone
                self.state = State.ABORTING
            return fits
        if self._commit_now or self._clock() >= self._last_commit + self._interval_s:
            if fits and self._queue and not self._commit_now:
                return True
            self._last_commit = self._clock()
            self.state = State.SENDING
            return True
        return bool(self._queue) and fits

    def _send_offsets(self) -> bool:
        assert self._consumer is not None
        if not self._call.running:
            metadata = self._consumer.consumer_group_metadata()
            if not is_member(metadata):
                return False  # the loss will be heard of in a poll to come, and abort this transaction
            producer, offsets = self._producer, next_offsets(self._sent)
            self._begin_call(lambda: producer.send_offsets_to_transaction(offsets, metadata, SLICE_S))
        if self._returned("sending offsets"):
            self.state = State.COMMITTING
            return True
        return False

    def _commit(self) -> bool:
        """One long call: with many short ones in its place librdkafka ended the process by an assertion of its own."""
        if not self._call.running:
            producer, timeout_s = self._producer, self._timeout_s
            self._begin_call(lambda: producer.commit_transaction(timeout_s))
        if not self._returned("the commit"):
            return False
        confirm(self._sent, self._telemetry)
        self._sent.clear()
        self._telemetry.commits += 1
        self._telemetry.commit_duration(self._clock() - self._last_commit)
        self.state = State.IDLE
        return False

    def _abort(self) -> bool:
        if self._call.running:  # two calls at once are refused
            self._returned("sending offsets")
            return False
        self._producer.abort_transaction(SLICE_S)
        self._telemetry.aborts += 1
        take_back(self._queue, self._sent)
        self._not_before = self._clock() + _ABORT_PAUSE_S
        self.state = State.IDLE
        return False

    def _begin_call(self, task: Callable[[], object]) -> None:
        self._call_since = self._clock()
        self._call.start(task)

    def _returned(self, what: str) -> bool:
        """Whether the call under way is over; raises what it raised.

        librdkafka may wait for a coordinator that is gone without regard to the time-out (its issue 5511): then the
        call and its producer are left behind.
        """
        if self._call.finished(_WAIT_S):
            return True
        if self._clock() - self._call_since >= self._timeout_s:
            self._recover(KafkaError(KafkaError._TIMED_OUT, f"{what} does not return"))
        return False

    def _failed(self, error: KafkaError) -> None:
        if error.code() in _FORBIDDEN:
            raise ConfigurationError(
                f"the broker refuses transactions of {self._settings.transactional_id!r}: {error.str()}. "
                + _REMEDIES.get(error.code(), _OTHER_REMEDY)
            )
        if error.code() in _TOO_LARGE:
            raise ConfigurationError(f"an outcome does not fit its topic, raise its max.message.bytes: {error.str()}")
        if error.fatal() or error.code() in _FENCED:
            self._recover(error)
        elif error.txn_requires_abort() and self.state not in {State.STARTING, State.READING}:
            log.warning("transaction aborted, its outcomes are published again: %s", error.str())
            self.state = State.ABORTING
        elif error.retriable():
            log.debug("again: %s", error.str())
        elif self.state is State.READING:
            log.warning("committed offsets cannot be read yet: %s", error.str())
        else:
            self._recover(error)

    def _recover(self, error: KafkaError) -> None:
        """A new producer with the same id. The guard and everything it said stay."""
        now = self._clock()
        # A process that was frozen finds its transaction ended by the broker, and the broker says it in the same words.
        timed_out = self._begun_at is not None and now - self._begun_at >= self._timeout_s
        if error.code() in _FENCED and not timed_out:
            self._fenced_at.append(now)
            if len(self._fenced_at) == 2 and now - self._fenced_at[0] < _FENCES_WITHIN_S:
                raise FencedError(
                    f"fenced twice within a minute: two workers share transactional.id "
                    f"{self._settings.transactional_id!r}. Give each a kafka.hostname or kafka.slot of its own"
                )
        log.warning("the producer is lost and made anew: %s", error.str())
        self._telemetry.recoveries += 1
        self._producer.purge()
        self._call.abandon()
        self._producer = self._make_producer()
        take_back(self._queue, self._sent)
        self._recovering = True
        self.state = State.STARTING
