"""The least that exactly-once takes: consume, parse, produce, offsets into the transaction, commit. No recovery."""

import signal
import sys
import time

from confluent_kafka import Consumer, Producer

sys.path.insert(0, __file__.rpartition("/")[0])
from stage import SETTINGS, answer

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
consumer = Consumer(
    {
        "bootstrap.servers": SETTINGS["bootstrap_servers"],
        "group.id": SETTINGS["group"],
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
    }
)
producer = Producer(
    {
        "bootstrap.servers": SETTINGS["bootstrap_servers"],
        "transactional.id": SETTINGS["group"],
        "linger.ms": 50,
        "compression.type": SETTINGS["compression"],
    }
)
producer.init_transactions()
consumer.subscribe([SETTINGS["posts"]])
last_commit, open_since = time.monotonic(), None
while True:
    for message in consumer.consume(500, 0.02):
        if message.error():
            continue
        if open_since is None:
            producer.begin_transaction()
            open_since = time.monotonic()
        key, value, headers = answer(message.value(), message.topic(), message.partition(), message.offset())
        while True:
            try:
                producer.produce(SETTINGS["verdicts"], value, key, headers=headers)
                break
            except BufferError:
                producer.poll(0.01)
    producer.poll(0)
    if open_since is not None and time.monotonic() - last_commit >= SETTINGS["commit_interval_s"]:
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
        )
        producer.commit_transaction()
        last_commit, open_since = time.monotonic(), None
