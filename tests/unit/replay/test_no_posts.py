"""A replay counts what is no post, and its breaker does not."""

from typing import cast

from confluent_kafka import Message

from proguard_core.policy.loader import load_policy
from tests.unit.moderation.test_intake import Endless, Guard, Record
from worker.moderation.partitions import NOTHING, Slot
from worker.moderation.progress import Progress
from worker.moderation.publisher import Publisher
from worker.moderation.stream import Stream
from worker.replay.stream import ReplayWriter
from worker.settings import TopicSettings, load

MAX_RUN = 5


class Broken(Record):
    def value(self) -> bytes:
        return b"no json"


class OfBroken(Endless):
    def poll(self, count: int, timeout_s: float) -> list[Message]:
        offset = len(self.asked)
        self.asked.append(count)
        return [cast(Message, Broken(0, offset))]


class Published:
    unconfirmed = 0

    def __init__(self) -> None:
        self.slots: list[Slot] = []

    def add(self, slot: Slot) -> None:
        self.slots.append(slot)

    def step(self, *, commit_now: bool = False) -> None: ...


def test_records_that_are_no_posts_do_not_trip_the_breaker_of_a_replay() -> None:
    source, published, progress = OfBroken(1), Published(), Progress(3600)
    settings = load(None, {"breaker": {"max_run": MAX_RUN}})
    writer = ReplayWriter(TopicSettings(), load_policy(), "group", 100_000)
    made = Stream(settings, cast(Publisher, published), Guard(set()), writer, progress)
    made.assigned(source.partitions)
    for _ in range(4 * MAX_RUN):
        made.turn(source)
    assert made.tripped is None
    assert len(published.slots) == 4 * MAX_RUN
    assert progress.dead_letters == {"not_json": 4 * MAX_RUN}
    assert not NOTHING.failure  # all partitions share it
