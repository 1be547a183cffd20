"""The schedule: when rounds are due, that none overlap or are made up for, and what it says of itself."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.local.child import free_ports
from worker.retraining.round_process import RoundProcess
from worker.retraining.schedule import FAILED, INTERRUPTED, MISSED, UNDER_WAY, Ended, Scheduler, Times
from worker.retraining.schedule_service import ScheduleService, observers
from worker.settings import load
from worker.telemetry.health import Heart
from worker.telemetry.schedule_table import SCHEDULE_METRICS

MIDNIGHT = datetime(2026, 11, 26, tzinfo=UTC)
NIGHTLY = "17 3 * * *"


class Clock:
    def __init__(self) -> None:
        self.now = MIDNIGHT

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class Scripted:
    """A round that ends when the test says so."""

    def __init__(self) -> None:
        self.end: Ended | None = None

    def ended(self) -> Ended | None:
        return self.end

    def stop(self) -> Ended:
        return Ended(INTERRUPTED)


class Under:
    """A scheduler whose rounds are in the test's hand."""

    def __init__(self, expression: str) -> None:
        self.clock = Clock()
        self.begun: list[Scripted] = []
        self.scheduler = Scheduler(Times(expression, MIDNIGHT), self._begin, self.clock)

    def _begin(self) -> Scripted:
        self.begun.append(Scripted())
        return self.begun[-1]

    def after(self, **by: float) -> None:
        self.clock.move(**by)
        self.scheduler.turn()


def test_times_are_utc_wherever_the_moment_is_told() -> None:
    times = Times("  17   3 * * * ")
    assert times.expression == NIGHTLY
    assert times.after(MIDNIGHT) == MIDNIGHT.replace(hour=3, minute=17)
    elsewhere = datetime.fromisoformat("2026-11-26T05:00:00+02:00")
    assert times.after(elsewhere) == MIDNIGHT.replace(hour=3, minute=17)
    assert times.after(MIDNIGHT.replace(hour=3, minute=17)) == MIDNIGHT.replace(day=27, hour=3, minute=17)


@pytest.mark.parametrize("wrong", ["", "61 * * * *", "* * * *", "every night", "* * * * * * *", "0 0 31 2 *"])
def test_what_is_no_expression_is_wrong_usage(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no cron expression"):
        Times(wrong)
    done = CliRunner().invoke(app, ["retrain", "--schedule", wrong])
    assert done.exit_code == 2
    assert "--schedule" in done.output


def test_what_never_comes_due_is_said() -> None:
    with pytest.raises(ValueError, match="does not come due"):
        Times("* * */20 * 1L")


def test_once_and_a_schedule_exclude_each_other() -> None:
    assert CliRunner().invoke(app, ["retrain", "--once", "--schedule", NIGHTLY]).exit_code == 2


def test_a_round_begins_at_its_time_and_the_next_a_day_later() -> None:
    under = Under(NIGHTLY)
    under.after(hours=3, minutes=16, seconds=59)
    assert not under.begun
    under.after(seconds=1)
    under.after(seconds=1)
    assert len(under.begun) == 1
    under.begun[0].end = Ended("promoted", "", "a-run")
    under.after(minutes=5)
    counts = under.scheduler.counts
    assert (counts.rounds, counts.last_took_s) == ({"promoted": 1}, 301.0)
    assert counts.due == MIDNIGHT.replace(day=27, hour=3, minute=17)
    under.after(days=1)
    assert len(under.begun) == 1, "a time that was slept through is not made up for"
    assert counts.skipped == {MISSED: 1}


def test_no_two_rounds_at_once() -> None:
    under = Under("*/10 * * * *")
    for _ in range(3):
        under.after(minutes=10)
    counts = under.scheduler.counts
    assert len(under.begun) == 1
    assert counts.skipped == {UNDER_WAY: 2}
    under.begun[0].end = Ended("nothing to learn")
    under.after(minutes=10)
    assert len(under.begun) == 2, "a round that has ended makes room at the same turn"


def test_a_signal_ends_it_between_rounds_and_within_one(caplog: pytest.LogCaptureFixture) -> None:
    under = Under("*/10 * * * *")
    under.scheduler.run(lambda: True, lambda _: None)
    assert not under.scheduler.counts.rounds
    under.after(minutes=10)
    turns = iter((False, True))
    under.scheduler.run(lambda: next(turns), lambda _: None)
    assert under.scheduler.counts.rounds == {INTERRUPTED: 1}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Under, str]]:
    (port,) = free_ports(1)
    monkeypatch.setenv("PROGUARD_TELEMETRY__PORT", str(port))
    under, heart = Under(NIGHTLY), Heart()
    heart.beat()
    with ScheduleService(load(), under.scheduler.counts, heart, NIGHTLY):
        yield under, f"http://127.0.0.1:{port}"


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_metrics_and_status_say_the_last_and_the_next_round(served: tuple[Under, str]) -> None:
    under, url = served
    assert "proguard_retraining_last_time_seconds 0.0" in read(f"{url}/metrics")
    under.after(hours=3, minutes=17)
    assert "proguard_retraining_running 1.0" in read(f"{url}/metrics")
    under.begun[0].end = Ended("refused by the gate", "because", "a-run")
    under.after(seconds=30)
    metrics = read(f"{url}/metrics")
    assert 'proguard_retraining_rounds_total{proguard_result="refused by the gate"} 1.0' in metrics
    due = MIDNIGHT.replace(day=27, hour=3, minute=17).timestamp()
    lines = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert float(lines["proguard_retraining_next_time_seconds"]) == due
    assert float(lines["proguard_retraining_last_time_seconds"]) == under.clock.now.timestamp()
    assert float(lines["proguard_retraining_last_duration_seconds"]) == 30
    status = json.loads(read(f"{url}/status"))
    assert status["last"] == {"end": "refused by the gate", "run": "a-run", "at": str(under.clock.now), "seconds": 30.0}
    assert read(f"{url}/livez") == "ok\n"


def test_every_metric_of_the_table_is_observed() -> None:
    assert set(observers(Under(NIGHTLY).scheduler.counts)) == set(SCHEDULE_METRICS)


def test_a_round_that_cannot_begin_is_a_failed_one(tmp_path: Path) -> None:
    """The real command in a process of its own: its settings do not say where the registry is."""
    config = tmp_path / "settings.toml"
    config.write_text("[retraining]\nmin_new = 3\n")
    process = RoundProcess(config)
    while (ended := process.ended()) is None:
        pass
    assert ended == Ended(FAILED, "it ended with 78")
