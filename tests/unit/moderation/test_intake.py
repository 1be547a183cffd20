"""How much the stream takes in: a slow post holds up its own partition, not the worker."""

import time
from collections.abc import Mapping, Sequence
from typing import cast

from confluent_kafka import Message, TopicPartition

from worker.moderation.outcome import OutcomeWriter
from worker.moderation.partitions import NOTHING, Outcome
from worker.moderation.pipeline import Work
from worker.moderation.progress import Progress
from worker.moderation.publisher import Publisher
from worker.moderation.stream import Stream
from worker.settings import load

TOPIC = "moderation.posts"
_MANY = 4000


class Record:
    def __init__(self, partition: int, offset: int) -> None:
        self._place = partition, offset

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def key(self) -> bytes:
        return b"p"

    def value(self) -> bytes:
        return b'{"post_id": "p", "text": "hello"}'

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 0, 0


class Endless:
    """Records of as many partitions as there are, in turn."""

    stopped: Mapping[tuple[str, int], str] = {}

    def __init__(self, partitions: int) -> None:
        self.partitions = [TopicPartition(TOPIC, number) for number in range(partitions)]
        self.asked: list[int] = []
        self._next = [0] * partitions
        self._paused: set[int] = set()

    def poll(self, count: int, timeout_s: float) -> list[Message]:
        self.asked.append(count)
        records = []
        flowing = [partition for partition in range(len(self._next)) if partition not in self._paused]
        for number in range(count if flowing else 0):
            partition = flowing[number % len(flowing)]
            records.append(cast(Message, Record(partition, self._next[partition])))
            self._next[partition] += 1
        return records

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused |= {each.partition for each in partitions}

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused -= {each.partition for each in partitions}

    def close(self) -> None: ...


class Guard:
    """Answers at once, but for what waits."""

    def __init__(self, waits: set[tuple[str, int, int]] | None) -> None:
        """waits: None for everything."""
        self._waits = waits
        self._done: list[tuple[object, Outcome]] = []

    def submit(self, works: Sequence[Work]) -> None:
        if self._waits is not None:
            self._done += [(work.token, NOTHING) for work in works if work.source not in self._waits]

    def collect(self) -> list[tuple[object, Outcome]]:
        done, self._done = self._done, []
        return done

    @property
    def fetching(self) -> int:
        return 0


class WithoutS3(Guard):
    """The posts of one partition have pictures that do not come."""

    def __init__(self, partition: int) -> None:
        super().__init__(set())
        self._partition = partition
        self._fetching = 0

    def submit(self, works: Sequence[Work]) -> None:
        others = [work for work in works if work.source[1] != self._partition]
        self._fetching += len(works) - len(others)
        super().submit(others)

    @property
    def fetching(self) -> int:
        return self._fetching


def stream(guard: Guard, source: Endless, **kafka: int) -> Stream:
    class Forgetful:
        unconfirmed = 0

        def add(self, slot: object) -> None: ...

        def step(self, *, commit_now: bool = False) -> None: ...

    settings = load(None, {"kafka": kafka})
    made = Stream(settings, cast(Publisher, Forgetful()), guard, cast(OutcomeWriter, None), Progress(3600))
    made.assigned(source.partitions)
    return made


def test_records_trickle_while_the_judging_thread_is_full() -> None:
    source = Endless(2)
    made = stream(Guard(None), source)
    for _ in range(10):
        made.turn(source)
    assert source.asked[:3] == [500, 500, 500]
    assert source.asked[-5:] == [1] * 5  # still asked: rebalances are served by it


def test_a_post_that_waits_holds_up_what_is_behind_it_and_nothing_else() -> None:
    """Thousands of posts that are answered, behind a head that waits for its picture, are no work for anybody."""
    source = Endless(2)
    made = stream(Guard({(TOPIC, 0, 0)}), source)
    began = time.monotonic()
    while sum(track.unfinished for track in made.tracks) < _MANY:
        made.turn(source)
        assert time.monotonic() - began < 20
    assert set(source.asked) == {500}


def test_posts_that_wait_for_pictures_hold_up_their_partition_and_not_the_text_of_others() -> None:
    source = Endless(2)
    made = stream(WithoutS3(0), source)
    for _ in range(20):
        made.turn(source)
    assert [track.unanswered for track in made.tracks] == [5000, 0]
    assert set(source.asked) == {500}


def test_no_more_than_the_cap_is_held_from_the_first_poll_on() -> None:
    """A single poll may bring 500 records."""
    source = Endless(4)
    made = stream(Guard(None), source, max_posts=48)
    for _ in range(10):
        made.turn(source)
        assert sum(track.held_posts for track in made.tracks) <= 48
    assert source.asked[0] == 48
