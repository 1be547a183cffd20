"""Topics and records in tests: unique names, creation, writing, and reading as an honest consumer does."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.kafka_cluster import ClientConfig
from worker.partitions import partitions_of
from worker.retraining import offsets


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The six topics of one test; fields as in the settings' section `topics`."""

    posts: str
    verdicts: str
    risks: str
    retraining: str
    reviews: str
    dead_letters: str

    @classmethod
    def of(cls, prefix: str) -> "TopicNames":
        """posts is PREFIX.posts, and so on."""
        names = ("posts", "verdicts", "risks", "retraining", "reviews", "dead-letters")
        return cls(*(f"{prefix}.{name}" for name in names))

    def all(self) -> list[str]:
        """All six, in the order of the fields."""
        return [self.posts, self.verdicts, self.risks, self.retraining, self.reviews, self.dead_letters]


def create_topics(
    config: ClientConfig, names: Sequence[str], partitions: int = 4, replicas: int = -1, **settings: str
) -> None:
    """Create topics and wait until all brokers know their leaders. settings: topic settings, `_` for `.`."""
    admin = AdminClient(config)
    topic_settings = {name.replace("_", "."): value for name, value in settings.items()}
    wanted = [NewTopic(name, partitions, replicas, config=topic_settings) for name in names]
    for future in admin.create_topics(wanted).values():
        future.result(30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        known = admin.list_topics(timeout=10).topics
        if all(name in known and _led(known[name].partitions, partitions) for name in names):
            return
        time.sleep(0.05)
    raise RuntimeError(f"topics without leaders: {names}")


def _led(partitions: Mapping[int, object], count: int) -> bool:
    return len(partitions) == count and all(getattr(each, "leader", -1) >= 0 for each in partitions.values())


def produce(
    config: ClientConfig, topic: str, records: Iterable[tuple[bytes | None, bytes | None]], partition: int = -1
) -> int:
    """Write (key, value) records and wait for all acknowledgements; returns how many. Raises RuntimeError on a loss."""
    producer = Producer({**config, "enable.idempotence": True, "linger.ms": 5, "message.max.bytes": 20_000_000})
    count, failures = 0, []

    def note(error: object, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    for key, value in records:
        while True:
            try:
                producer.produce(topic, value=value, key=key, partition=partition, on_delivery=note)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    if producer.flush(60) or failures:
        raise RuntimeError(f"not all of {count} records were written: {failures[:3]}")
    return count


def committed(config: ClientConfig, group: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """By topic and partition, where the group goes on; below zero where it has no place."""
    consumer = Consumer({**config, "group.id": group})
    try:
        places = [TopicPartition(topic, each) for topic in topics for each in partitions_of(consumer, topic)]
        found = offsets.committed(consumer, group, places)
    finally:
        consumer.close()
    return {(each.topic, each.partition): each.offset for each in found}


def read_topic(
    config: ClientConfig, topic: str, isolation: str = "read_committed", timeout_s: float = 60
) -> list[Message]:
    """All records from the first to the end as it is now, partition by partition in offset order.

    With read_committed the end is the last stable offset. Raises TimeoutError.
    """
    consumer = Consumer(
        {
            **config,
            "group.id": "tests-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        return _read_to_end(consumer, topic, time.monotonic() + timeout_s)
    finally:
        consumer.close()


def _read_to_end(consumer: Consumer, topic: str, deadline: float) -> list[Message]:
    waiting = set(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in waiting])
    found: list[Message] = []
    while waiting:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}: partitions {sorted(waiting)} were not read to their end")
        for message in consumer.consume(500, 0.1):
            error = message.error()
            if error is None:
                found.append(message)
            elif error.name() == "_PARTITION_EOF":
                waiting.discard(message.partition())
            else:
                raise RuntimeError(f"{topic}[{message.partition()}]: {error}")
    return sorted(found, key=lambda message: (message.partition() or 0, message.offset() or 0))
