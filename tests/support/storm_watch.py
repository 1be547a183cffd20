"""How far a consumer group is, looked at again and again from outside, and whether a partition stands still."""

import threading
import time
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.support.kafka_cluster import ClientConfig

_EVERY_S = 0.5
_CALL_S = 5.0


class Watch:
    """A thread; a context manager. group: by the worker's tests it has the name of the posts topic."""

    def __init__(self, config: ClientConfig, topic: str) -> None:
        # A read_committed client is told no offset at all while a transaction is about to commit one: nearly always.
        isolation = {"isolation.level": "read_uncommitted"}
        self._consumer = Consumer({**config, **isolation, "group.id": topic, "log_level": 0})
        self._topic = topic
        self._ends: dict[int, int] = {}
        self._positions: dict[int, int] = {}
        self._moved_at: dict[int, float] = {}
        self._looked_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def committed(self) -> int:
        """Records of all partitions that the group is done with; of a topic that nobody cut, all of them at the end."""
        return sum(self._positions.values())

    @property
    def lag(self) -> int:
        """Records that wait."""
        return sum(self._ends.values()) - self.committed

    def stuck(self, limit_s: float) -> str:
        """Which partition has waiting posts and has not moved for limit_s; empty if none."""
        now = time.monotonic()
        if now - self._looked_at > limit_s:
            return f"the group's offsets could not be read for {limit_s:.0f} s"
        for partition, moved_at in list(self._moved_at.items()):
            if now - moved_at > limit_s:
                return (
                    f"partition {partition} stands at offset {self._positions[partition]} of {self._ends[partition]} "
                    f"for {limit_s:.0f} s"
                )
        return ""

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            try:
                self._look()
            except KafkaException:  # a broker is down; what lasts is seen by stuck()
                continue

    def _look(self) -> None:
        known = self._consumer.list_topics(self._topic, timeout=_CALL_S).topics[self._topic].partitions
        places = [TopicPartition(self._topic, number) for number in known]
        committed = self._consumer.committed(places, _CALL_S)
        ends = {place.partition: self._consumer.get_watermark_offsets(place, _CALL_S)[1] for place in places}
        now = self._looked_at = time.monotonic()
        for place in committed:
            if place.error is not None:
                continue
            position = max(0, place.offset)
            if position != self._positions.get(place.partition) or position >= ends[place.partition]:
                self._moved_at[place.partition] = now
            self._positions[place.partition] = position
        self._ends = ends

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._consumer.close()
