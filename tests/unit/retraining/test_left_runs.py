"""Runs that another one overtakes, or that other settings leave behind: what they learned from is not lost."""

from contextlib import suppress
from pathlib import Path

import pytest

from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.records import Step
from tests.unit.retraining.test_rounds import SNAPSHOT_KEPT, Killed, Memory, Place
from worker.retraining.run import SNAPSHOT_LASTS, End

TRAINED = SNAPSHOT_KEPT + 2


@pytest.fixture
def place(tmp_path: Path) -> Place:
    topics = Memory()
    topics.review("ada", "grace")
    return Place(tmp_path / "one", topics)


def test_what_a_left_run_had_noted_as_learned_is_learned_by_the_next(place: Place) -> None:
    """Offsets were committed when its dataset was there; no heads came of it."""
    with pytest.raises(Killed):
        place.round(TRAINED)
    assert place.topics.committed
    with suppress(Killed):
        assert place.round(3, written=True, seed=1).end is not End.NOTHING
    assert [run.step(Step.DATASET) is None for run in place.begun] == [False, False]
    assert place.begun[0].step(Step.TRAIN) is None


def test_an_old_snapshot_makes_no_dataset(place: Place) -> None:
    """The broker may have forgotten by then what was erased meanwhile."""
    with pytest.raises(Killed):
        place.round(SNAPSHOT_KEPT, written=True)
    place.clock.move(SNAPSHOT_LASTS.total_seconds())
    with pytest.raises(Killed):
        place.round(3, written=True)
    assert [run.step(Step.DATASET) is None for run in place.begun] == [True, False]


def test_a_run_that_is_signed_after_another_one_began_to_wait_is_promoted(tmp_path: Path) -> None:
    place = Place(tmp_path / "two", Memory())
    waits = []
    for posts in (25, 45):
        place.topics.review("ada", "grace", posts=posts)
        waits.append(place.round())
    first, second = waits
    assert (first.end, second.end) == (End.WAITS, End.WAITS)
    assert first.run != second.run
    place.sign(first)
    promoted = place.round()
    assert (promoted.end, promoted.run) == (End.PROMOTED, first.run)
    # The other one goes on from what is champion no more: what it learned from is learned anew, from the new champion.
    anew = place.round()
    assert anew.run not in {None, first.run, second.run}
    assert place.begun[-1].record.parent == first.run
    # Rolled back, nothing begins by itself: the second one may be signed again.
    Champions(place.registry).roll_back("Ada", "a test")
    back = place.round()
    assert (back.end, back.run) == (End.WAITS, second.run)
    assert len(place.begun) == 3
