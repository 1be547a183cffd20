"""Law 2 as a state machine: whatever fails and whenever, readers see each outcome once, in order, with its offset."""

from collections import deque
from random import Random
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.moderation.clients import ABORTABLE, FATAL, RETRIABLE, Broker, Clock, FakeConsumer, FakeProducer
from tests.unit.moderation.clients import failure as kafka_failure
from worker.moderation.partitions import Outcome, PartitionTrack, Slot
from worker.moderation.transactions import TransactionalPublisher
from worker.settings import KafkaSettings

PARTITIONS = st.integers(0, 1)
CALLS = st.sampled_from(["init", "begin", "produce", "send", "commit", "abort"])
ERRORS = st.sampled_from([RETRIABLE, ABORTABLE, FATAL, kafka_failure(KafkaError.UNKNOWN)])


def value(partition: int, offset: int, part: int) -> bytes:
    return f"{partition}:{offset}:{part}".encode()


class ExactlyOnce(RuleBasedStateMachine):
    """Records come with gaps, are finished in any order, partitions go and come back, calls fail as they like."""

    @initialize()
    def begin(self) -> None:
        self.clock, self.broker = Clock(), Broker()
        self.script: dict[str, deque[BaseException | None]] = {}
        self.consumer = FakeConsumer(self.broker)
        self.producers: list[FakeProducer] = []
        self.publisher = TransactionalPublisher(self._make, KafkaSettings(hostname="host"), self.clock)
        self.publisher.attach(cast(Consumer, self.consumer))
        self.log: dict[int, list[int]] = {0: [], 1: []}
        self.parts: dict[tuple[int, int], int] = {}
        self.tracks: dict[int, PartitionTrack] = {}
        self.delivered: dict[int, int] = {}
        self.slots: list[Slot] = []
        for partition in (0, 1):
            self._assign(partition)

    def _make(self) -> Producer:
        self.producers.append(FakeProducer(self.broker, self.clock, self.script))
        return cast(Producer, self.producers[-1])

    def _assign(self, partition: int) -> None:
        """The owner, old or new, reads on from the committed offset."""
        self.tracks[partition] = PartitionTrack("posts", partition, len(self.tracks))
        self.delivered[partition] = self.broker.offsets.get(("posts", partition), 0)

    @rule(partition=PARTITIONS, gaps=st.lists(st.integers(1, 3), min_size=1, max_size=4), parts=st.integers(1, 3))
    def write(self, partition: int, gaps: list[int], parts: int) -> None:
        log = self.log[partition]
        for gap in gaps:
            log.append((log[-1] if log else -1) + gap)
            self.parts[partition, log[-1]] = parts
        self._deliver(partition)

    def _deliver(self, partition: int) -> None:
        for offset in self.log[partition]:
            if offset >= self.delivered[partition]:
                slot = self.tracks[partition].deliver(offset, 1)
                assert slot is not None
                self.slots.append(slot)
                self.delivered[partition] = offset + 1

    @precondition(lambda self: self.slots)
    @rule(random=st.randoms(), share=st.sampled_from([0.3, 1.0]))
    def answer(self, random: Random, share: float) -> None:
        random.shuffle(self.slots)
        for _ in range(max(1, int(len(self.slots) * share))):
            self._answer(self.slots.pop())

    def _answer(self, slot: Slot) -> None:
        _topic, partition, offset = slot.coordinates
        values = (value(partition, offset, part) for part in range(self.parts[partition, offset]))
        slot.track.finish(slot, Outcome(tuple(("verdicts", None, content, []) for content in values)))
        for taken, _outcome in slot.track.finished_prefix():
            self.publisher.add(taken)

    @rule(times=st.integers(1, 5))
    def step(self, times: int) -> None:
        for _ in range(times):
            self.publisher.step()
            self.clock.sleep(0.06)

    @rule(times=st.integers(1, 3))
    def call(self, times: int) -> None:
        for _ in range(times):
            self.publisher._advance()
            self.clock.sleep(0.06)

    @rule(call=CALLS, error=ERRORS, landed=st.booleans())
    def fail_next(self, call: str, error: KafkaException, landed: bool) -> None:
        self.producers[-1].landed.clear()
        if call == "commit" and landed:
            # The commit takes place and its answer is lost: the next producer reads that from the offsets.
            error = FATAL
            self.producers[-1].landed.add(id(error))
        elif call == "abort" and error is ABORTABLE:
            error = RETRIABLE
        self.script[call] = deque([error])

    @rule(room=st.integers(0, 2))
    def fill_the_buffer(self, room: int) -> None:
        self.producers[-1].room = room

    @rule(partition=PARTITIONS, polite=st.booleans())
    def revoke(self, partition: int, polite: bool) -> None:
        track = self.tracks[partition]
        if polite:
            self.publisher.finish([track], self.clock() + 0.5)
        track.close()
        self.publisher.drop([track])
        # What is inside a transaction that is already committing is decided before the next owner reads its offset.
        self._settle()
        self._assign(partition)
        self._deliver(partition)

    def _settle(self) -> None:
        for _ in range(60):
            self.publisher.step(commit_now=True)
            self.clock.sleep(0.2)

    @invariant()
    def each_outcome_once_in_order_with_its_offset(self) -> None:
        for partition, log in self.log.items():
            end = self.broker.offsets.get(("posts", partition), 0)
            seen = [content for content in self.broker.visible if content.startswith(f"{partition}:".encode())]
            expected = [
                value(partition, offset, part)
                for offset in log
                if offset < end
                for part in range(self.parts[partition, offset])
            ]
            assert seen == expected

    def teardown(self) -> None:
        if not hasattr(self, "publisher"):
            return
        self.script.clear()
        while self.slots:
            self._answer(self.slots.pop())
        self._settle()
        self.each_outcome_once_in_order_with_its_offset()
        for partition, log in self.log.items():
            assert not log or self.broker.offsets[("posts", partition)] == log[-1] + 1
            assert (self.tracks[partition].held_posts, self.tracks[partition].held_bytes) == (0, 0)
        assert self.publisher.unconfirmed == 0


TestExactlyOnce = ExactlyOnce.TestCase
TestExactlyOnce.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
