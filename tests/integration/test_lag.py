"""Lag on the real broker: true while nothing is fetched, and before the first record of a partition."""

import time

import pytest

from tests.support.scrape import Telemetry
from tests.support.streams import StreamUnderTest, text_post
from worker.local.child import free_ports


def lags(pages: Telemetry) -> dict[int, int | None]:
    """By partition, as /status says; None where the metric says something else."""
    if not pages.ok("/readyz"):
        return {}
    name, label = "proguard_consumer_lag", "messaging_destination_partition_id"
    found = {each["partition"]: each["lag"] for each in pages.status()["partitions"]}
    return {
        partition: lag if lag == pages.value(name, **{label: str(partition)}) else None
        for partition, lag in found.items()
    }


@pytest.mark.timeout(180)
def test_lag_of_paused_and_of_unread_partitions(stream: StreamUnderTest) -> None:
    pages, others = map(Telemetry, free_ports(2))
    port, other_port = (int(each.base.rpartition(":")[2]) for each in (pages, others))
    with stream.worker(breaker={"max_run": 5}, telemetry={"port": port}) as worker:
        pages.wait(lambda: lags(pages) == {0: 0, 1: 0, 2: 0, 3: 0})
        stream.send_raw([(b"bad", b"{")] * 10, partition=0)
        worker.wait_for_log("intake is paused")
        for partition in range(4):
            stream.send(*(text_post(number) for number in range(30)), partition=partition)
        pages.wait(lambda: lags(pages) == {0: 30, 1: 30, 2: 30, 3: 30})
        # What a second worker takes over and hands back was read by it, and by the first one not at all.
        with stream.worker(1, breaker={"enabled": False}, telemetry={"port": other_port}) as second:
            others.wait(lambda: set(lags(others).values()) == {0})
            moved = set(lags(others))
            assert second.terminate() == 0
        assert 1 <= len(moved) <= 2
        for partition in moved:
            stream.send(*(text_post(number) for number in range(7)), partition=partition)
        expected = {partition: 7 if partition in moved else 30 for partition in range(4)}
        pages.wait(lambda: lags(pages) == expected)
        time.sleep(2)
        assert lags(pages) == expected
        assert all(each["paused"] for each in pages.status()["partitions"])
        assert worker.terminate() == 0
