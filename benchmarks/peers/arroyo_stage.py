"""sentry-arroyo, at-least-once: the framework has no transactions."""

import signal
import sys
from collections.abc import Mapping

from arroyo.backends.kafka import KafkaConsumer, KafkaPayload, KafkaProducer
from arroyo.backends.kafka.configuration import build_kafka_configuration, build_kafka_consumer_configuration
from arroyo.commit import CommitPolicy
from arroyo.processing.processor import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, ProcessingStrategy, Produce, RunTask
from arroyo.processing.strategies.abstract import ProcessingStrategyFactory
from arroyo.types import BrokerValue, Commit, Message, Partition, Topic

sys.path.insert(0, __file__.rpartition("/")[0])
from stage import SETTINGS, answer


def judge(message: Message[KafkaPayload]) -> KafkaPayload:
    """The verdict of one message."""
    place = message.value
    assert isinstance(place, BrokerValue)
    key, value, headers = answer(message.payload.value, place.partition.topic.name, place.partition.index, place.offset)
    return KafkaPayload(key, value, headers)


producer = KafkaProducer(
    build_kafka_configuration(
        {"linger.ms": 50, "compression.type": SETTINGS["compression"]},
        bootstrap_servers=[SETTINGS["bootstrap_servers"]],
    )
)


class Judging(ProcessingStrategyFactory[KafkaPayload]):
    """Judge, produce, commit."""

    def create_with_partitions(
        self, commit: Commit, partitions: Mapping[Partition, int]
    ) -> ProcessingStrategy[KafkaPayload]:
        """One chain for all partitions."""
        return RunTask(judge, Produce(producer, Topic(SETTINGS["verdicts"]), CommitOffsets(commit)))


consumer = KafkaConsumer(
    build_kafka_consumer_configuration(
        {},
        bootstrap_servers=[SETTINGS["bootstrap_servers"]],
        group_id=SETTINGS["group"],
        auto_offset_reset="earliest",
    )
)
processor = StreamProcessor(
    consumer, Topic(SETTINGS["posts"]), Judging(), CommitPolicy(SETTINGS["commit_interval_s"], None)
)
signal.signal(signal.SIGTERM, lambda *_: processor.signal_shutdown())
processor.run()
