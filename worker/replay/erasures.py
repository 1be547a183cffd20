"""Posts that were erased after they were written: a replay must not say anything about them again."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from confluent_kafka import Consumer

from worker.moderation.partitions import Outcome
from worker.moderation.pipeline import Work
from worker.moderation.stream import Judging
from worker.replay.ranges import Range
from worker.replay.reader import read

_EVERYWHERE = -1


class Erasures:
    """The last erasure of each post_id, by its place. Holds about 250 bytes for each."""

    def __init__(self) -> None:
        self._last: dict[bytes, tuple[int, int]] = {}

    def note(self, key: bytes, partition: int, offset: int) -> None:
        """A null value with this key lies there. Call in the order of each partition."""
        earlier = self._last.get(key)
        if earlier is not None and earlier[0] != partition:
            partition = _EVERYWHERE
        self._last[key] = (partition, offset)

    def covers(self, post_id: str, partition: int, offset: int) -> bool:
        """Whether the post at this place was erased. Where the order is not known, since partitions differ: yes."""
        last = self._last.get(post_id.encode())
        return last is not None and (last[0] != partition or last[1] > offset)

    def __iter__(self) -> Iterator[bytes]:
        """The keys."""
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)


def tombstones(
    consumer: Consumer,
    topic: str,
    ranges: Sequence[Range],
    stopped: Callable[[], bool] = lambda: False,
    seen: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[bytes, int, int]]:
    """Key, partition and offset of every null value in ranges of the posts topic; seen hears how many were read."""
    for count, message in enumerate(read(consumer, topic, ranges, stopped), 1):
        if count % 10_000 == 0:
            seen(count)
        key = message.key()
        if isinstance(key, bytes) and message.value() is None:
            yield key, message.partition() or 0, message.offset() or 0


def earliest_time_ms(consumer: Consumer, topic: str, ranges: Iterable[Range]) -> int | None:
    """Time of the earliest of the first records of ranges; None where records have none, or there is no record."""
    firsts = [next(read(consumer, topic, [each]), None) for each in ranges]
    times = [message.timestamp()[1] for message in firsts if message is not None]
    return min(times) if times and min(times) >= 0 else None


class WithoutErased:
    """Hands posts to the judging thread; the answer to one erased since is its erasure, and the guard never sees it.

    So what an earlier replay said of it under the same names goes as well.
    """

    def __init__(self, judging: Judging, erasures: Erasures, erased: Callable[[bytes], Outcome]) -> None:
        """erased: the outcome that erases what was said under a key."""
        self._judging = judging
        self._erasures = erasures
        self._erased = erased
        self._done: list[tuple[object, Outcome]] = []
        self.left_out = 0

    def submit(self, works: Sequence[Work]) -> None:
        """See Judging."""
        kept = []
        for work in works:
            _topic, partition, offset = work.source
            if self._erasures.covers(work.post.post_id, partition, offset):
                self._done.append((work.token, self._erased(work.post.post_id.encode())))
            else:
                kept.append(work)
        self.left_out += len(works) - len(kept)
        if kept:
            self._judging.submit(kept)

    def collect(self) -> list[tuple[object, Outcome]]:
        """See Judging."""
        done, self._done = self._done, []
        return self._judging.collect() + done

    @property
    def fetching(self) -> int:
        """See Judging."""
        return self._judging.fetching
