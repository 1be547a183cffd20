"""The embedded broker really speaks Kafka, and never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer

from worker.local.broker import LocalBroker, default_partitions, main
from worker.settings import TopicSettings

POSTS = TopicSettings().posts


@pytest.fixture(scope="module")
def broker() -> Iterator[LocalBroker]:
    with LocalBroker() as running:
        yield running


def produce(servers: str, values: list[str]) -> None:
    producer = Producer({"bootstrap.servers": servers})
    for number, value in enumerate(values):
        producer.produce(POSTS, value, key=str(number))
    assert producer.flush(10) == 0


def read(servers: str, group: str, count: int) -> list[str]:
    """Values that a new member of a KIP-848 group gets; offsets are committed before it leaves."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([POSTS])
    values: list[str] = []
    deadline = time.monotonic() + 20
    while len(values) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            value = message.value()
            assert value is not None
            values.append(value.decode())
    consumer.commit(asynchronous=False)
    consumer.close()
    return values


def test_topics_exist_with_their_partitions(broker: LocalBroker) -> None:
    topics = Producer({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in topics.items()} == default_partitions()
    assert len(topics[POSTS].partitions) == 6


def test_a_group_reads_and_its_next_member_goes_on_where_it_stopped(broker: LocalBroker) -> None:
    produce(broker.bootstrap_servers, ["a", "b", "c"])
    assert sorted(read(broker.bootstrap_servers, "restart", 3)) == ["a", "b", "c"]
    produce(broker.bootstrap_servers, ["d", "e"])
    assert sorted(read(broker.bootstrap_servers, "restart", 2)) == ["d", "e"]


def test_stop_ends_the_process() -> None:
    with LocalBroker({"one": 1}) as broker:
        pid = broker.pid
        assert pid is not None
    assert not alive(pid)


def test_arguments_that_name_no_topic_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["posts"]) == 2
    assert "TOPIC=PARTITIONS" in capsys.readouterr().err


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


PARENT = """
import time
from worker.local.broker import LocalBroker
from worker.local.objects import LocalObjects
broker, objects = LocalBroker(), LocalObjects()
broker.start(); objects.start()
print(broker.pid, objects.pid, objects._folder, flush=True)
time.sleep(600)
"""


def test_children_die_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        broker, objects, folder = parent.stdout.readline().split()
        assert alive(int(broker))
        assert alive(int(objects))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 10
        while (alive(int(broker)) or alive(int(objects))) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(int(broker))
        assert not alive(int(objects))
    finally:
        parent.kill()
        parent.communicate()
    subprocess.run(["rm", "-rf", folder], check=True)
