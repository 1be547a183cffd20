"""A disk that fills up under `proguard retrain`: a clear error, nothing half-written counts, the next round is fine."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.records import Step
from tests.support.rounds import Rounds, confirmations, novel_hits
from tests.support.small_disk import FULL, full_at_first
from tests.support.streams import StreamUnderTest
from tests.unit.training.registry.builders import registry_of

POSTS = 45
# Bytes of room: it ends in another step each time.
SIZES = [200_000, *(pytest.param(size, marks=pytest.mark.nightly) for size in (60_000, 500_000))]


@pytest.fixture
def rounds(plain_stream: StreamUnderTest, tmp_path: Path) -> Rounds:
    rounds = Rounds(plain_stream, "none", "http://127.0.0.1:1")
    hits = novel_hits(POSTS)
    rounds.hits(hits)
    rounds.reviews(confirmations(hits, "ada", "grace"))
    return replace(rounds, settings={"registry": str(tmp_path / "registry")})


def check(said: str, registry: Path, run: str) -> str:
    """What the first attempt said."""
    first, marker, _ = said.partition("first: ")
    assert marker, said
    assert re.search(FULL, first), said
    assert "Traceback" not in first
    found = registry_of(FolderStore(registry))
    assert [name for name in found.run_ids() if not name.startswith("release-")] == [run]
    for step in (Step.SNAPSHOT, Step.DATASET, Step.TRAIN, Step.EVALUATE, Step.GATE):
        found.run(run).verify(step)
    return first


@pytest.mark.timeout(500)
@pytest.mark.parametrize("size", SIZES)
def test_where_it_works(size: int, rounds: Rounds, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    done = rounds.run(before=full_at_first(folder, size, tmp_path / "kept"), TMPDIR=str(folder))
    assert done["end"] == "waits for a signature"
    print(check(done["errors"], tmp_path / "registry", done["run"]))
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.timeout(500)
@pytest.mark.parametrize("size", SIZES)
def test_where_the_registry_is(size: int, rounds: Rounds, tmp_path: Path) -> None:
    done = rounds.run(before=full_at_first(tmp_path / "registry", size, tmp_path / "kept"))
    assert done["end"] == "waits for a signature"
    print(check(done["errors"], tmp_path / "kept", done["run"]))
