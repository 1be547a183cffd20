"""Membership of the group and lag of the partitions: looked at once a second, read by anybody."""

import time
from collections.abc import Callable, Collection

from confluent_kafka import Consumer, KafkaException, TopicPartition

from worker.moderation.group_offsets import GroupOffsets
from worker.moderation.partitions import PartitionTrack
from worker.moderation.publisher import is_member
from worker.telemetry.health import Health

_LOOK_EVERY_S = 1.0


class GroupView:
    """tick is called by the stream's thread alone and never waits for the broker.

    lags: by topic and partition, the records not received yet; of a partition without a record so far, those behind
    the group's offset. True while a partition is paused, a second or two late.
    """

    def __init__(
        self,
        consumer: Consumer,
        health: Health,
        offsets: GroupOffsets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._health = health
        self._offsets = offsets
        self._clock = clock
        self._look_at = 0.0
        self.lags: dict[tuple[str, int], int] = {}

    def tick(self, tracks: Collection[PartitionTrack]) -> None:
        """Call once a turn of the loop."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_S
        self._health.joined = is_member(self._consumer.consumer_group_metadata())
        self._offsets.look({track.key for track in tracks}, {track.key for track in tracks if not track.begun})
        lags = ((track.key, self._lag(track)) for track in tracks)
        self.lags = {key: lag for key, lag in lags if lag is not None}

    def _lag(self, track: PartitionTrack) -> int | None:
        """None before the first word of the partition's end, or of where the group stands in it."""
        received = track.last_delivered + 1 if track.begun else self._offsets.committed.get(track.key)
        end = max(self._fetched_end(track.key), self._offsets.ends.get(track.key, -1))
        return None if received is None or end < 0 else max(0, end - received)

    def _fetched_end(self, key: tuple[str, int]) -> int:
        """The end that the last fetch heard of, newer than the broker's answer where posts are being read; or < 0."""
        try:
            answer = self._consumer.get_watermark_offsets(TopicPartition(*key), cached=True)
        except KafkaException:  # not assigned any more
            return -1
        return -1 if answer is None else answer[1]
