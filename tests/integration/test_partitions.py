"""Where a partition begins and ends on a real broker: behind what was deleted, before a transaction that is open."""

import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.support.kafka_cluster import KafkaCluster
from tests.support.topics import TopicNames, create_topics, produce
from worker.partitions import offsets_at, watermarks


def test_what_is_there_for_readers_of_committed_records(kafka: KafkaCluster, topic_names: TopicNames) -> None:
    config, topic = kafka.client_config(), topic_names.posts
    create_topics(config, [topic], partitions=1)
    produce(config, topic, [(b"key", b"value")] * 5)
    admin = AdminClient(config)
    (future,) = admin.delete_records([TopicPartition(topic, 0, 2)]).values()
    future.result(20)
    producer = Producer({**config, "transactional.id": topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    assert producer.flush(20) == 0
    readers = [
        Consumer({**config, "group.id": "reader", "isolation.level": level})
        for level in ("read_committed", "read_uncommitted")
    ]
    try:
        assert [watermarks(reader, topic, 0) for reader in readers] == [(2, 5), (2, 6)]
        assert offsets_at(readers[0], topic, [0], 0) == {0: 2}
        producer.commit_transaction(20)
        deadline = time.monotonic() + 20  # the marker is written after the commit is answered
        while (found := watermarks(readers[0], topic, 0)) != (2, 7):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
    finally:
        for reader in readers:
            reader.close()
