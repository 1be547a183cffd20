"""Files of the registry that are not what was written: a round refuses them, and the champion stays."""

from pathlib import Path

import pytest

from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.records import DamagedError, Step
from tests.unit.retraining.test_rounds import SNAPSHOT_KEPT, Killed, Memory, Place
from tests.unit.training.registry.builders import trained
from worker.errors import ConfigurationError
from worker.retraining.run import End

DATASET_KEPT, TRAINED = SNAPSHOT_KEPT + 1, SNAPSHOT_KEPT + 2


@pytest.fixture
def place(tmp_path: Path) -> Place:
    topics = Memory()
    topics.review("ada", "grace")
    return Place(tmp_path / "one", topics)


def cut(place: Place, run: str, pattern: str) -> Path:
    """Half of a file of a step, as a machine that lost its power may leave it."""
    (path,) = (place.folder / "registry" / "runs" / run).glob(pattern)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize(
    ("reached", "pattern"),
    [
        (SNAPSHOT_KEPT, "snapshot.*/hits.jsonl"),
        (DATASET_KEPT, "dataset.*/train.jsonl"),
        (TRAINED, "train.*/heads.npy"),
    ],
)
def test_half_of_what_a_step_left_stops_the_next_one(place: Place, reached: int, pattern: str) -> None:
    with pytest.raises(Killed):
        place.round(reached, written=True)
    (run,) = place.begun
    cut(place, run.record.run, pattern)
    with pytest.raises(DamagedError, match="not what its manifest says"):
        place.round()
    assert [each.cause for each in Champions(place.registry).history()] == ["release"]


def test_half_of_a_challenger_is_not_promoted_whoever_signs(place: Place) -> None:
    waits = place.round()
    assert waits.end is End.WAITS
    place.sign(waits)
    assert waits.run is not None
    path = cut(place, waits.run, "train.*/heads.npy")
    with pytest.raises(DamagedError, match="not what its manifest says"):
        place.round()
    assert [each.cause for each in Champions(place.registry).history()] == ["release"]
    assert place.begun[0].step(Step.PROMOTE) is None
    path.unlink()
    with pytest.raises(DamagedError, match="missing"):
        place.round()


def test_a_champion_of_another_base_is_refused_before_anything_is_begun(place: Place, tmp_path: Path) -> None:
    champions = Champions(place.registry)
    champions.release(trained(place.registry, tmp_path, "foreign"), "ops", "shipped")
    with pytest.raises(ConfigurationError, match=r"stands on tiny .*give another base a retraining\.registry"):
        place.round()
    assert place.registry.run_ids() == ["foreign"]


def test_half_of_the_champion_teaches_nobody(place: Place) -> None:
    with pytest.raises(Killed):
        place.round(DATASET_KEPT, written=True)
    (release,) = Champions(place.registry).history()
    cut(place, release.run, "train.*/heads.npy")
    with pytest.raises(DamagedError, match="not what its manifest says"):
        place.round()
