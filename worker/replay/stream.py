"""The worker's own stream over a range that ends: read by assignment, published at least once, offsets noted apart."""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from worker.moderation.decode import NotAPost
from worker.moderation.outcome import Headers, OutcomeWriter
from worker.moderation.partitions import NOTHING, Outcome, PartitionTrack
from worker.moderation.progress import Progress
from worker.moderation.source import Records
from worker.moderation.stream import Stream
from worker.replay.ranges import Range
from worker.replay.reader import Reader

_SAY_EVERY_S = 0.5


class RangeSource:
    """See Records: the ranges, then nothing more."""

    def __init__(self, consumer: Consumer, topic: str, ranges: Iterable[Range]) -> None:
        self._reader = Reader(consumer, topic, ranges)
        self._topic = topic

    @property
    def stopped(self) -> Mapping[tuple[str, int], str]:
        """Nothing: what expired is counted and passed over."""
        return {}

    @property
    def complete(self) -> bool:
        """Whether all was read."""
        return self._reader.complete

    @property
    def expired(self) -> int:
        """Records that the broker deleted while they were waited for."""
        return self._reader.expired

    @property
    def partitions(self) -> list[TopicPartition]:
        """The partitions that are read."""
        return [TopicPartition(self._topic, partition) for partition in sorted(self._reader.open)]

    def poll(self, count: int, timeout_s: float) -> list[Message]:
        """See Records. Also serves the answers to commits, after the last record too."""
        return self._reader.consume(count, timeout_s)

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """See Records."""
        if still := self._still_read(partitions):
            self._reader.pause(still)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """See Records."""
        if still := self._still_read(partitions):
            self._reader.resume(still)

    def close(self) -> None:
        """See Records; the consumer belongs to the caller."""
        self._reader.finish_all()

    def _still_read(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        return [each for each in partitions if each.partition in self._reader.open]


class FiniteStream(Stream):
    """Ends by itself: when all is read and confirmed, or when the breaker trips."""

    @property
    def tripped(self) -> str | None:
        """Why the breaker stopped it."""
        return self._breaker.tripped

    def turn(self, source: Records) -> None:
        """See Stream."""
        super().turn(source)
        assert isinstance(source, RangeSource)
        unfinished = any(track.unfinished for track in self._tracks.values())
        ended = source.complete and not unfinished and self._publisher.unconfirmed == 0
        if (ended or self.tripped is not None) and self._drain_until is None:
            self.stop()


class ReplayWriter(OutcomeWriter):
    """Writes no dead letters: what is no post does not depend on policy or guard, and its content stays where it is."""

    def dead_letter(
        self, source: tuple[str, int, int], key: bytes | None, value: bytes | None, headers: Headers, why: NotAPost
    ) -> Outcome:
        """Nothing; the stream counts it."""
        return NOTHING


class ReplayProgress(Progress):
    """A line that changes where somebody watches, the worker's log lines otherwise."""

    def __init__(self, interval_s: float, records: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(interval_s, clock)
        self._records = records
        self._watched = sys.stderr.isatty()
        self._shown_at = clock()

    def say(self, tracks: Collection[PartitionTrack], unconfirmed: int, *, final: bool = False) -> None:
        """See Progress."""
        if self._watched:
            self._show(final=final)
        else:
            super().say(tracks, unconfirmed, final=final)

    def tick(
        self,
        tracks: Collection[PartitionTrack],
        unconfirmed: int,
        tripped: str | None,
        stopped: Mapping[tuple[str, int], str],
    ) -> None:
        """See Progress."""
        super().tick(tracks, unconfirmed, tripped, stopped)
        if self._watched and self._clock() - self._shown_at >= _SAY_EVERY_S:
            self._show(final=False)

    def _show(self, *, final: bool) -> None:
        self._shown_at = self._clock()
        end = "\n" if final else ""
        print(f"\r{self.judged} of {self._records} posts judged", end=end, file=sys.stderr, flush=True)
