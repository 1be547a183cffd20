"""What the mining process says of itself: every metric of its table, and a probe that waits for a clustering."""

import numpy as np
import pytest

from tests.support.scrape import Telemetry
from worker.console.mining.counts import Counts, TimedEncoder
from worker.console.mining.miner import MINORS_PROBLEM
from worker.console.mining.service import CLUSTERING_S, DEFAULT_PORT, MiningService, observers
from worker.local.child import free_ports
from worker.settings import load
from worker.telemetry.health import Heart
from worker.telemetry.mining_table import MINING_METRICS
from worker.telemetry.table import Kind


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_every_metric_of_the_table_is_observed() -> None:
    assert set(observers(Counts())) == {each for each in MINING_METRICS if each.kind is not Kind.HISTOGRAM}
    assert len(MINING_METRICS) == len({each.prometheus_name for each in MINING_METRICS})
    assert DEFAULT_PORT == 9462


def test_it_answers_with_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("PROGUARD_TELEMETRY__PORT", str(port))
    counts, clock = Counts(), Clock()
    heart, pages = Heart(clock), Telemetry(port)
    counts.records.update({"v": 3})
    counts.leave_out({MINORS_PROBLEM: 2, "a record that is none of ours: v": 1})
    counts.batch_s(0.2)
    with MiningService(load(), counts, heart):
        assert pages.ok("/livez"), "before the loop turns it lives"
        heart.beat()
        clock.now = 100.0
        assert pages.get("/livez") == (503, "the loop has not turned for 100 s\n")
        counts.clustering = True
        assert pages.ok("/livez"), "a clustering takes its time"
        clock.now = CLUSTERING_S + 1
        assert not pages.ok("/livez")
        assert pages.value("proguard_mining_records_total", messaging_destination_name="v") == 3
        assert pages.value("proguard_mining_left_out_total", proguard_result="minors") == 2
        assert pages.value("proguard_mining_batch_duration_seconds_count") == 1
        assert pages.status()["records"] == {"v": 3}


def test_the_encoders_time_is_told() -> None:
    counts, clock = Counts(), Clock()

    class Slow:
        def encode(self, texts: object) -> object:
            clock.now += 0.3
            return np.zeros((1, 1), dtype=np.float32)

    TimedEncoder(Slow(), counts.encode_s, clock).encode(["a text"])  # type: ignore[arg-type]
    assert counts.encode_s.sum == pytest.approx(0.3)
