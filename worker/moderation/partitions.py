"""What is owed to each assigned partition: records in the order delivered, finished in any order, left in the first.

Contiguous means contiguous among the records delivered: transaction markers and compaction leave gaps in the offsets.
All of this is touched by the stream's thread alone.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.telemetry.telemetry import Tally

if TYPE_CHECKING:
    from worker.telemetry.spans import PostTrace

# topic, key, value, headers
OutcomeRecord = tuple[str, bytes | None, bytes | None, list[tuple[str, str | bytes | None]]]


def record_bytes(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, str | bytes | None]]) -> int:
    """What a record weighs in memory, Python's own share aside."""
    size = len(key or b"") + len(value or b"")
    for name, said in headers:
        size += len(name) + len(said or b"")
    return size


@dataclass(slots=True)
class Outcome:
    """The records to publish for one source record, not changed once handed over. failure: the breaker counts it.

    tally: how a verdict is counted once it is committed; trace: of a post whose traceparent is sampled; weight: what
    the records weigh, where whoever made them knows.
    """

    records: tuple[OutcomeRecord, ...]
    failure: bool = False
    tally: Tally | None = None
    trace: "PostTrace | None" = None
    weight: int | None = None

    @property
    def size(self) -> int:
        """Bytes of keys, values and headers: a stranger chooses how much of each."""
        if self.weight is not None:
            return self.weight
        size = 0
        for _topic, key, value, headers in self.records:
            size += record_bytes(key, value, headers)
        return size


NOTHING = Outcome(())
# Below -1, the offset of the place before a partition's first record: that one has to be committed too.
_NONE_YET = -2


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one delivered record.

    held: bytes it takes now, released or replaced stage by stage; produced: how many of its outcome's records were
    handed to the producer.
    """

    track: "PartitionTrack"
    offset: int
    held: int
    outcome: Outcome | None = None
    produced: int = 0

    @property
    def coordinates(self) -> tuple[str, int, int]:
        """Topic, partition, offset."""
        return self.track.topic, self.track.partition, self.offset


@dataclass(slots=True, eq=False)
class PartitionTrack:
    """One assignment of one partition. A later assignment of the same partition is another track (incarnation).

    unanswered: records delivered that have no outcome yet, wherever they stand.
    """

    topic: str
    partition: int
    incarnation: int
    closed: bool = False
    paused: bool = False
    held_posts: int = 0
    held_bytes: int = 0
    unanswered: int = 0
    last_delivered: int = _NONE_YET
    _slots: deque[Slot] = field(default_factory=deque)
    is_closed: Callable[[], bool] = field(init=False)

    def __post_init__(self) -> None:
        # One for all posts of the partition, who ask it many times from the other thread.
        self.is_closed = lambda: self.closed

    @property
    def key(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition

    @property
    def begun(self) -> bool:
        """Whether it is known where reading began: a record came, or the place of the first was decided."""
        return self.last_delivered > _NONE_YET

    def deliver(self, offset: int, size: int) -> Slot | None:
        """A place for a record just received; None for one received before (a fetch repeated after a pause)."""
        if offset <= self.last_delivered:
            return None
        self.last_delivered = offset
        slot = Slot(self, offset, size)
        self._slots.append(slot)
        self.held_posts += 1
        self.held_bytes += size
        self.unanswered += 1
        return slot

    def charge(self, slot: Slot, size: int) -> None:
        """The record takes so much more than its bytes until it has its answer."""
        slot.held += size
        self.held_bytes += size

    def finish(self, slot: Slot, outcome: Outcome) -> None:
        """The record has its answer; what is held from now on is the answer."""
        size = outcome.size
        slot.outcome = outcome
        self.unanswered -= 1
        self.held_bytes += size - slot.held
        slot.held = size

    def finished_prefix(self) -> Iterator[tuple[Slot, Outcome]]:
        """Take the finished slots off the front, in order, until one is unfinished.

        A slot is taken only when the consumer of this iterator comes back for the next one or ends normally.
        """
        while self._slots and (outcome := self._slots[0].outcome) is not None:
            yield self._slots[0], outcome
            self._slots.popleft()

    @property
    def unfinished(self) -> int:
        """Records delivered that have not left through finished_prefix."""
        return len(self._slots)

    def confirm(self, slot: Slot) -> None:
        """The slot's outcome and offset are committed: nothing is held for it any more."""
        self.held_posts -= 1
        self.held_bytes -= slot.held
        slot.held = 0

    def close(self) -> None:
        """The partition is no longer ours: whatever is still on its way belongs to the next owner."""
        self.closed = True
        self._slots.clear()
