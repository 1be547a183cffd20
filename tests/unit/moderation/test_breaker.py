"""Law 5: a storm of failures stops the stream before it publishes past the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.moderation.breaker import Breaker
from worker.settings import BreakerSettings

FIRST, SECOND = ("posts", 0), ("posts", 1)


def breaker(*, max_run: int = 3, max_ratio: float = 1.0, window: int = 1000, enabled: bool = True) -> Breaker:
    return Breaker(BreakerSettings(enabled=enabled, max_run=max_run, max_ratio=max_ratio, window=window))


def test_exactly_max_run_failures_leave() -> None:
    storm = breaker(max_run=3)
    assert [storm.admits(FIRST, failure=True) for _ in range(5)] == [True, True, True, False, False]
    assert storm.tripped is not None
    assert "breaker.max_run" in storm.tripped
    assert "posts[0]" in storm.tripped


def test_once_tripped_nothing_leaves() -> None:
    storm = breaker(max_run=1)
    storm.admits(FIRST, failure=True)
    storm.admits(FIRST, failure=True)
    assert not storm.admits(SECOND, failure=False)


def test_a_run_is_one_partitions() -> None:
    storm = breaker(max_run=3)
    for _ in range(3):
        assert storm.admits(FIRST, failure=True)
        assert storm.admits(SECOND, failure=True)
    assert storm.tripped is None
    assert not storm.admits(SECOND, failure=True)


def test_a_success_ends_its_own_partitions_run_only() -> None:
    storm = breaker(max_run=2)
    for partition in (FIRST, SECOND, FIRST, SECOND):
        storm.admits(partition, failure=True)
    assert storm.admits(FIRST, failure=False)
    assert storm.admits(FIRST, failure=True)
    assert not storm.admits(SECOND, failure=True)


def test_the_ratio_waits_for_a_full_window() -> None:
    storm = breaker(max_run=1000, max_ratio=0.5, window=10)
    assert all(storm.admits(FIRST, failure=True) for _ in range(10))
    assert not storm.admits(FIRST, failure=True)
    assert storm.tripped is not None
    assert "breaker.max_ratio" in storm.tripped


@pytest.mark.parametrize("phase", [0, 1])
def test_a_share_of_failures_at_the_ratio_goes_on(phase: int) -> None:
    storm = breaker(max_run=1000, max_ratio=0.5, window=10)
    assert all(storm.admits(FIRST, failure=(number + phase) % 2 == 0) for number in range(100))
    storm.admits(FIRST, failure=phase == 0)
    assert not all(storm.admits(FIRST, failure=True) for _ in range(2))


def test_a_ratio_of_one_leaves_it_to_the_run() -> None:
    storm = breaker(max_run=50, max_ratio=1.0, window=10)
    assert all(storm.admits(FIRST, failure=True) for _ in range(50))


def test_disabled_it_lets_everything_leave() -> None:
    storm = breaker(max_run=1, enabled=False)
    assert all(storm.admits(FIRST, failure=True) for _ in range(100))
    assert storm.tripped is None


def test_a_restart_trips_again_within_one_run() -> None:
    for _restart in range(2):
        storm = breaker(max_run=3)
        assert sum(storm.admits(FIRST, failure=True) for _ in range(10)) == 3


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans())), st.integers(1, 5), st.floats(0.1, 1), st.integers(1, 10))
def test_no_window_and_no_run_beyond_the_limits_ever_leaves(
    records: list[tuple[int, bool]], max_run: int, max_ratio: float, window: int
) -> None:
    storm = breaker(max_run=max_run, max_ratio=max_ratio, window=window)
    left: list[tuple[int, bool]] = []
    for partition, failure in records:
        if storm.admits(("posts", partition), failure):
            left.append((partition, failure))
            last = [failed for _partition, failed in left[-window:]]
            assert len(left) <= window or not failure or sum(last) <= max_ratio * window
    for partition in range(3):
        outcomes = "".join("x" if failed else "." for found, failed in left if found == partition)
        assert "x" * (max_run + 1) not in outcomes
    assert (len(left) < len(records)) == (storm.tripped is not None)
