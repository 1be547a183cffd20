"""Ends of partitions and the group's offsets as the broker has them, by futures of an admin client.

The consumer cannot say them: what it remembers of a partition's end is what the last fetch heard, and a paused
partition is not fetched; what a group committed it only tells after a wait.
"""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

Partition = tuple[str, int]
Answer = TypeVar("Answer")

_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
# Longer than a broker takes to answer; what comes later is asked anew.
_REQUEST_S = 10.0


class GroupOffsets:
    """look never waits: it takes what was answered since the last call and asks anew.

    ends: offset behind the last record that a read_committed reader gets; committed: where the group goes on, of
    partitions that were asked for as unread. Both hold what was last heard.
    """

    def __init__(self, make_admin: Callable[[], AdminClient], group_id: str) -> None:
        self._make_admin = make_admin
        self._admin: AdminClient | None = None
        self._group_id = group_id
        self._ends_asked: dict[Partition, Future[ListOffsetsResultInfo]] = {}
        self._committed_asked: Future[ConsumerGroupTopicPartitions] | None = None
        self.ends: dict[Partition, int] = {}
        self.committed: dict[Partition, int] = {}

    def look(self, partitions: Collection[Partition], unread: Collection[Partition]) -> None:
        """Call about once a second with the partitions that are ours, and those of them without a record so far."""
        self._take()
        self.ends = {key: end for key, end in self.ends.items() if key in partitions}
        self.committed = {key: offset for key, offset in self.committed.items() if key in unread}
        if partitions:
            self._ask(partitions, unread)

    def _take(self) -> None:
        if self._admin is not None:
            self._admin.poll(0)  # else what it has to say about lost connections would pile up
        for key in [key for key, future in self._ends_asked.items() if future.done()]:
            if (end := _of(self._ends_asked.pop(key))) is not None:
                self.ends[key] = end.offset
        if self._committed_asked is not None and self._committed_asked.done():
            answer, self._committed_asked = _of(self._committed_asked), None
            for found in (answer and answer.topic_partitions) or ():
                if found.error is None and found.offset >= 0:
                    self.committed[found.topic, found.partition] = found.offset

    def _ask(self, partitions: Collection[Partition], unread: Collection[Partition]) -> None:
        if self._admin is None:
            self._admin = self._make_admin()
        if not self._ends_asked:
            answers = self._admin.list_offsets(
                {TopicPartition(*key): _LATEST for key in partitions},
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_REQUEST_S,
            )
            self._ends_asked = {(asked.topic, asked.partition): future for asked, future in answers.items()}
        if unread and self._committed_asked is None:
            wanted = ConsumerGroupTopicPartitions(self._group_id, [TopicPartition(*key) for key in unread])
            answer = self._admin.list_consumer_group_offsets([wanted], request_timeout=_REQUEST_S)
            self._committed_asked = answer[self._group_id]


def _of(future: Future[Answer]) -> Answer | None:
    """None where the broker did not say: a leader that moves, a right that was taken, no connection."""
    try:
        return future.result(0)
    except KafkaException:
        return None
