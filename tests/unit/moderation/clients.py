"""A producer and a consumer with a model broker behind them, and a clock: what the publishers' tests run on."""

import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from worker.moderation.partitions import Outcome, PartitionTrack, Slot

Header = list[tuple[str, str | bytes | None]]


def failure(
    code: int = KafkaError._TIMED_OUT, *, fatal: bool = False, retriable: bool = False, abort: bool = False
) -> KafkaException:
    """An error with librdkafka's flags."""
    return KafkaException(KafkaError(code, "scripted", fatal, retriable, abort))


RETRIABLE = failure(retriable=True)
ABORTABLE = failure(KafkaError._STATE, abort=True)
FATAL = failure(KafkaError._FATAL, fatal=True)
FENCED = failure(KafkaError._FENCED, fatal=True)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Broker:
    """What readers with isolation.level=read_committed see, and the group's offsets; one transaction after another."""

    def __init__(self) -> None:
        self.visible: list[bytes] = []
        self.offsets: dict[tuple[str, int], int] = {}
        self.transactions: list[list[bytes]] = []

    def commit(self, values: list[bytes], offsets: dict[tuple[str, int], int]) -> None:
        self.visible += values
        self.transactions.append(values)
        self.offsets |= offsets


class FakeProducer:
    """Answers as scripted: script[call] is a queue of None (works) and exceptions. Calls beyond it work.

    An exception listed in `landed` is raised after the commit has taken place, as when the answer is lost.
    While `hangs` is there, sending offsets does not return until it is set.
    """

    def __init__(self, broker: Broker, clock: Clock, script: dict[str, deque[BaseException | None]]) -> None:
        self.broker = broker
        self.clock = clock
        self.script = script
        self.room: int | None = None
        self.values: list[bytes] = []
        self.offsets: dict[tuple[str, int], int] = {}
        self.calls: list[str] = []
        self.deliveries: deque[Callable[[], None]] = deque()
        self.landed: set[int] = set()
        self.hangs: threading.Event | None = None
        self.open = False

    def _answer(self, call: str, timeout: float = 0.0) -> None:
        self.calls.append(call)
        queue = self.script.get(call)
        error = queue.popleft() if queue else None
        if error is not None:
            self.clock.sleep(min(timeout, 0.05))  # what is scripted is said long before a generous time-out
            raise error

    def __len__(self) -> int:
        return len(self.deliveries) + (self.room == 0)  # what is full holds something

    def init_transactions(self, timeout: float) -> None:
        self._answer("init", timeout)

    def begin_transaction(self) -> None:
        self._answer("begin")
        self.values, self.offsets, self.open = [], {}, True

    def produce(self, topic: str, value: bytes | None, key: bytes | None, headers: Header) -> None:
        self._answer("produce")
        if self.room == 0:
            raise BufferError("queue full")
        self.room = None if self.room is None else self.room - 1
        self.values.append(value or b"")

    def poll(self, timeout: float) -> int:
        self.clock.sleep(timeout)
        self.room = None
        while self.deliveries:
            self.deliveries.popleft()()
        return 0

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], metadata: object, timeout: float) -> None:
        if self.hangs is not None:
            self.calls.append("send")
            self.hangs.wait(10)
            return
        self._answer("send", timeout)
        self.offsets |= {(found.topic, found.partition): found.offset for found in offsets}

    def commit_transaction(self, timeout: float) -> None:
        queue = self.script.get("commit")
        lost_answer = bool(queue) and id(queue[0]) in self.landed if queue else False
        if lost_answer or not queue or queue[0] is None:
            self.open = False
            self.broker.commit(self.values, self.offsets)
            self.values, self.offsets = [], {}
        self._answer("commit", timeout)

    def abort_transaction(self, timeout: float) -> None:
        self._answer("abort", timeout)
        self.values, self.offsets, self.open = [], {}, False

    def purge(self) -> None:
        self.calls.append("purge")

    def flush(self, timeout: float) -> int:
        self.calls.append("flush")
        return 0


def metadata(group: str = "group", member: str = "member-1", generation: int = 3) -> bytes:
    """Group metadata as librdkafka encodes it."""
    return b"CGMDv2:" + struct.pack("=i", generation) + f"{group}\0{member}\0\0".encode()


class FakeConsumer:
    """The consumer's side of a commit."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.metadata: object = metadata()
        self.script: deque[KafkaException | None] = deque()
        self.committing: list[tuple[list[TopicPartition], bool]] = []

    def consumer_group_metadata(self) -> object:
        return self.metadata

    def _answer(self) -> None:
        error = self.script.popleft() if self.script else None
        if error is not None:
            raise error

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._answer()
        found = self.broker.offsets
        return [TopicPartition(p.topic, p.partition, found.get((p.topic, p.partition), -1001)) for p in partitions]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> Any:
        self._answer()
        self.committing.append((offsets, asynchronous))


def finished(track: PartitionTrack, offset: int, *values: bytes) -> Slot:
    """A slot of the track with its outcome, taken off the front as the stream does."""
    slot = track.deliver(offset, 10)
    assert slot is not None
    said = values or (f"{track.topic}-{track.partition}-{offset}".encode(),)
    track.finish(slot, Outcome(tuple(("verdicts", b"key", value, []) for value in said)))
    (taken,) = [taken for taken, _outcome in track.finished_prefix()]
    return taken
