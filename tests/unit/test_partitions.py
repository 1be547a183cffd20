"""Where partitions begin and end while their leader moves: a broker of librdkafka's that is told what to answer."""

import ctypes
import itertools
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from worker import partitions
from worker.errors import ConfigurationError
from worker.local.broker import MockCluster, new_cluster
from worker.partitions import partitions_of, watermarks

RECORDS = 7
_LIST_OFFSETS = 2
_NUMBERS = itertools.count()

Fail = Callable[..., None]


@pytest.fixture(scope="module")
def cluster() -> MockCluster:
    made = new_cluster({"posts": 1})
    producer = Producer({"bootstrap.servers": made.servers})
    for _ in range(RECORDS):
        producer.produce("posts", b"{}", partition=0)
    assert producer.flush(20) == 0
    return made


@pytest.fixture
def consumer(cluster: MockCluster) -> Iterator[Consumer]:
    made = Consumer({"bootstrap.servers": cluster.servers, "group.id": f"reader-{next(_NUMBERS)}"})
    yield made
    made.close()


@pytest.fixture
def fail(cluster: MockCluster) -> Iterator[Fail]:
    """Answer the next questions for offsets with these errors; 0 is none."""
    library, pointer = cluster.library, ctypes.c_void_p(cluster.pointer)

    def push(*codes: int) -> None:
        errors = (ctypes.c_int * len(codes))(*codes)
        library.rd_kafka_mock_push_request_errors_array(pointer, _LIST_OFFSETS, ctypes.c_size_t(len(codes)), errors)

    yield push
    library.rd_kafka_mock_clear_request_errors(pointer, _LIST_OFFSETS)


def test_all_of_it(consumer: Consumer) -> None:
    assert partitions_of(consumer, "posts") == [0]
    assert watermarks(consumer, "posts", 0) == (0, RECORDS)
    with pytest.raises(ConfigurationError, match="topic others does not exist"):
        partitions_of(consumer, "others")


@pytest.mark.parametrize("at", [0, 1], ids=["beginning", "end"])
@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    ],
)
def test_what_passes_is_asked_again_and_changes_no_answer(code: int, at: int, consumer: Consumer, fail: Fail) -> None:
    fail(*[0] * at, code, code)
    assert watermarks(consumer, "posts", 0) == (0, RECORDS)


def test_what_does_not_pass_is_said_at_once(consumer: Consumer, fail: Fail) -> None:
    fail(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException) as said:
        watermarks(consumer, "posts", 0)
    assert said.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_what_does_not_pass_in_time_is_said(consumer: Consumer, fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_MOVES_WITHIN_S", 0.5)
    fail(*[KafkaError.NOT_LEADER_FOR_PARTITION] * 1000)
    with pytest.raises(KafkaException) as said:
        watermarks(consumer, "posts", 0)
    assert said.value.args[0].code() == KafkaError.NOT_LEADER_FOR_PARTITION
