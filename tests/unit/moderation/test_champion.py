"""A worker's files follow the registry's champion; what cannot be had changes nothing."""

from functools import partial
from pathlib import Path

import pytest

from proguard_core.training.registry.champions import Champions
from proguard_core.training.registry.folder import FolderStore
from proguard_core.training.registry.records import Base
from tests.unit.training.registry.builders import registry_in, registry_of, trained
from worker.errors import ConfigurationError
from worker.moderation.champion import Follower, follower
from worker.moderation.revision_watch import RETRY_S
from worker.settings import load
from worker.telemetry.telemetry import Telemetry


class Bench:
    """A registry whose champion the test changes, and a clock that it turns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = registry_in(folder / "registry")
        self.champions = Champions(self.registry)
        self.telemetry = Telemetry()
        self.now = 0.0
        self.wanted = self.follower()

    def follower(self) -> Follower:
        return Follower(
            self.champions,
            self.folder / "adapters",
            self.folder / "revision",
            self.telemetry,
            every_s=10,
            clock=lambda: self.now,
        )

    async def later(self, seconds: float = 10) -> str | None:
        self.now += seconds
        return await self.wanted()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def files(bench: Bench) -> list[str]:
    return sorted(path.name for path in (bench.folder / "adapters").glob("*"))


async def test_that_there_is_no_champion_yet_is_said_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for _ in range(3):
        assert await bench.later() is None
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the registry has no champion yet, the revision in force stays"]
    assert bench.telemetry.swap_failures == 0


async def test_release_promotion_and_rollback_are_followed(bench: Bench, tmp_path: Path) -> None:
    assert await bench.wanted() is None
    bench.champions.release(trained(bench.registry, tmp_path, "one"), "ops", "shipped")
    assert await bench.wanted() is None  # not asked again yet
    assert await bench.later() == "revision-one"
    assert (tmp_path / "adapters" / "revision-one" / "model.onnx").read_bytes() == b"weights of one"
    bench.champions.promote(trained(bench.registry, tmp_path, "two", "one"), "retrain", "passed")
    assert await bench.later() == "revision-two"
    bench.champions.roll_back("Ada", "worse")
    assert await bench.later() == "revision-one"
    assert files(bench) == ["revision-one", "revision-two"]
    assert bench.telemetry.swap_failures == 0


async def test_damaged_files_keep_the_old_one_and_alarm(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench.champions.release(trained(bench.registry, tmp_path, "one"), "ops", "shipped")
    assert await bench.wanted() == "revision-one"
    bench.champions.promote(trained(bench.registry, tmp_path, "two", "one"), "retrain", "passed")
    (stored,) = (tmp_path / "registry" / "runs" / "two").glob("train.*/model.onnx")
    whole = stored.read_bytes()
    stored.write_bytes(b"half")
    assert await bench.later() == "revision-one"
    assert files(bench) == ["revision-one"]
    assert bench.telemetry.swap_failures == 1
    assert "is not what its manifest says" in caplog.text
    stored.write_bytes(whole)
    assert await bench.later(RETRY_S - 1) == "revision-one"
    assert await bench.later(1) == "revision-two"


async def test_changed_local_files_are_not_named(bench: Bench, tmp_path: Path) -> None:
    bench.champions.release(trained(bench.registry, tmp_path, "one"), "ops", "shipped")
    (tmp_path / "adapters" / "revision-one" / "sub").mkdir(parents=True)
    (tmp_path / "adapters" / "revision-one" / "model.onnx").write_bytes(b"something else")
    assert await bench.wanted() is None
    assert bench.telemetry.swap_failures == 1


async def test_a_worker_that_starts_without_the_registry_serves_what_it_served_last(
    bench: Bench, tmp_path: Path
) -> None:
    bench.champions.release(trained(bench.registry, tmp_path, "one"), "ops", "shipped")
    assert await bench.wanted() == "revision-one"
    (tmp_path / "a-file").write_text("no folder")
    bench.champions = Champions(registry_of(FolderStore(tmp_path / "a-file")))
    assert await bench.follower()() == "revision-one"
    assert bench.telemetry.swap_failures == 1


def _given(base: Base | None) -> Base | None:
    return base


async def test_a_champion_of_another_base_is_refused(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    champion = bench.champions.release(trained(bench.registry, tmp_path, "one"), "ops", "shipped")
    other = champion.base.model_copy(update={"name": "another model", "sha256": "0" * 64})
    for base, name in ((other, None), (champion.base, "revision-one"), (None, "revision-one")):
        follower = Follower(
            bench.champions,
            tmp_path / "adapters",
            tmp_path / "revision",
            bench.telemetry,
            every_s=10,
            base=partial(_given, base),
        )
        assert await follower() == name
    assert bench.telemetry.swap_failures == 1
    assert "not on another model" in caplog.text
    assert "cannot be told here" in caplog.text


def test_following_needs_three_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"registry, guard\.revision_file, guard\.settings\.adapters"):
        follower(load(None, {"retraining": {"follow": True}}), Telemetry())
    assert follower(load(None, {}), Telemetry()) is None
