"""What the source does where librdkafka refuses: a rebalance goes on, and the partition is nobody's here."""

from collections.abc import Sequence

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tests.unit.moderation.clients import failure
from worker.moderation.source import Source
from worker.moderation.starts import StartOffsets
from worker.settings import KafkaSettings


class Listener:
    """Notes what was taken away."""

    def __init__(self) -> None:
        self.gone: list[str] = []

    def assigned(self, partitions: Sequence[TopicPartition]) -> bool:
        return False

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.gone.append("revoked")

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.gone.append("lost")

    def starts_at(self, partition: TopicPartition) -> None:
        raise AssertionError("nothing starts")


class Refusing:
    """A consumer that does not let go."""

    def incremental_unassign(self, partitions: Sequence[TopicPartition]) -> None:
        raise failure()


def no_admin() -> AdminClient:
    raise AssertionError("nothing is looked up")


@pytest.mark.parametrize("how", ["revoked", "lost"])
def test_partitions_that_cannot_be_let_go_do_not_end_the_process(how: str, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener()
    config = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g"}
    source = Source(config, "posts", StartOffsets(no_admin, KafkaSettings()), listener)
    callback = source._on_revoke if how == "revoked" else source._on_lost
    callback(Refusing(), [TopicPartition("posts", 0)])  # type: ignore[arg-type]
    assert listener.gone == [how]
    assert "partitions were not let go" in caplog.text
