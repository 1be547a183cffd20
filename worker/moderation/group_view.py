"""What the consumer knows of its group and of the ends of its partitions: looked at once a second, read by anybody."""

import time
from collections.abc import Callable, Collection

from confluent_kafka import Consumer, KafkaException, TopicPartition

from worker.moderation.partitions import PartitionTrack
from worker.moderation.publisher import is_member
from worker.telemetry.health import Health

_LOOK_EVERY_S = 1.0


class GroupView:
    """tick is called by the stream's thread alone and asks librdkafka only for what it has at hand.

    lags: by topic and partition, the records not received yet, by the end that the last fetch heard of.
    """

    def __init__(self, consumer: Consumer, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._consumer = consumer
        self._health = health
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
        lags = ((track.key, self._lag(track)) for track in tracks)
        self.lags = {key: lag for key, lag in lags if lag is not None}

    def _lag(self, track: PartitionTrack) -> int | None:
        """None before the first record and the first word of the partition's end."""
        try:
            answer = self._consumer.get_watermark_offsets(TopicPartition(*track.key), cached=True)
        except KafkaException:  # not assigned any more
            return None
        if answer is None or answer[1] < 0 or track.last_delivered < -1:
            return None
        return max(0, answer[1] - track.last_delivered - 1)
