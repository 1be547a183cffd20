"""Probes and the stuck detector, on a clock of their own."""

import logging
import threading

import pytest

from worker.telemetry.health import Health
from worker.telemetry.watchdog import Watchdog, stacks


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_loading_is_alive_but_neither_started_nor_ready(clock: Clock) -> None:
    health = Health(60, clock)
    health.judging.beat()
    clock.now += 3600
    assert health.liveness() is None
    assert health.startup() is not None
    assert health.readiness() is not None


def test_a_member_is_ready_and_whoever_was_thrown_out_is_not(clock: Clock) -> None:
    health = Health(60, clock)
    health.joined = True
    assert health.readiness() is not None
    health.started = True
    assert health.readiness() is None
    health.joined = False
    assert health.readiness() is not None
    assert health.startup() is None


def test_a_loop_that_stands_still_is_not_alive(clock: Clock) -> None:
    health = Health(60, clock)
    health.stream.beat()
    clock.now += 60
    assert health.liveness() is None
    clock.now += 1
    assert "61 s" in str(health.liveness())
    health.stream.beat()
    assert health.liveness() is None


def _look(watchdog: Watchdog, clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.now += 1
        watchdog.look()


def test_stacks_are_logged_once_a_standstill(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    health = Health(60, clock)
    health.started = True
    health.stream.beat()
    watchdog = Watchdog(health, 20, clock)
    with caplog.at_level(logging.ERROR):
        _look(watchdog, clock, 20)
        assert not caplog.records
        _look(watchdog, clock, 100)
        assert len(caplog.records) == 1
        assert "test_stacks_are_logged_once_a_standstill" in caplog.text
        health.stream.beat()
        _look(watchdog, clock, 50)
    assert len(caplog.records) == 2


def test_a_start_that_takes_long_and_a_frozen_process_are_not_stuck(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    health = Health(60, clock)
    health.judging.beat()
    watchdog = Watchdog(health, 20, clock)
    _look(watchdog, clock, 100)
    health.started = True
    for heart in health.hearts.values():
        heart.beat()
    clock.now += 500  # SIGSTOP: everything stood still, the watchdog too
    watchdog.look()
    assert not caplog.records


def test_stacks_name_code_only() -> None:
    secret = "content of a post"
    assert secret not in stacks()
    assert "test_health.py" in stacks()


def test_the_oldest_thread_is_never_left_out() -> None:
    """The stream's loop runs on the main thread; a host with many cores has as many threads that decode."""
    ended = threading.Event()
    others = [threading.Thread(target=ended.wait, name=f"decode_{number}") for number in range(150)]
    for other in others:
        other.start()
    said = stacks()
    ended.set()
    for other in others:
        other.join()
    assert said.startswith("Thread MainThread")
    assert "in test_the_oldest_thread_is_never_left_out" in said
    assert "Thread decode_149" in said
