"""A read_committed reader beside the worker: when each verdict could be read, and which guard it names."""

import threading
import time

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.support.kafka_cluster import ClientConfig


class VerdictReader:
    """A thread. seen: by source partition and offset, when it could be read (monotonic seconds) and the revision.

    Only every `every`-th post is looked at, by the number in its key.
    """

    def __init__(self, config: ClientConfig, topic: str, every: int) -> None:
        self._consumer = Consumer(
            {**config, "group.id": "latency-reader", "isolation.level": "read_committed", "fetch.wait.max.ms": 10}
        )
        partitions = self._consumer.list_topics(topic, timeout=20).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: dict[tuple[int, int], tuple[float, str]] = {}
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._over.set()
        self._thread.join(10)
        self._consumer.close()

    def _run(self) -> None:
        while not self._over.is_set():
            messages = self._consumer.consume(1000, 0.01)
            now = time.monotonic()
            for message in messages:
                key = message.key()
                if message.error() is None and isinstance(key, bytes) and int(key[-8:]) % self._every == 0:
                    verdict = orjson.loads(message.value() or b"{}")
                    source = verdict["source"]
                    self.seen[source["partition"], source["offset"]] = (now, verdict["guard"]["revision"])
