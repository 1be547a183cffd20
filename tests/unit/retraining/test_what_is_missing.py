"""A round without its encoder, or without the artefact that it teaches: said at once, and 78."""

import shutil
from pathlib import Path

import pytest

from proguard_core.novelty.manifest import FOLDER as ENCODER
from proguard_core.policy.loader import load_policy
from worker.errors import ConfigurationError
from worker.retraining import run, trainers
from worker.settings import Settings, load


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A copy that may be broken; the weights are not read but hashed."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    for path in ENCODER.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    return folder


def settings_in(folder: Path, **guard: str) -> Settings:
    tables = {"guard": {"engine": "embedded", **guard}, "retraining": {"registry": str(folder / "registry")}}
    return load(None, tables)


def test_the_shipped_encoder_is_there(encoder: Path) -> None:
    trainers.check_encoder()
    trainers.check_encoder(encoder)


def test_a_missing_file_is_named(encoder: Path) -> None:
    next(path for path in encoder.iterdir() if path.suffix == ".onnx").unlink()
    with pytest.raises(ConfigurationError, match=r"sentence encoder in encoder cannot be read.*\.onnx"):
        trainers.check_encoder(encoder)
    with pytest.raises(ConfigurationError, match="sentence encoder in none cannot be read"):
        trainers.check_encoder(encoder / "none")


def test_another_encoder_is_refused(encoder: Path) -> None:
    with next(path for path in encoder.iterdir() if path.suffix == ".onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ConfigurationError, match="not the one that its thresholds were fitted to"):
        trainers.check_encoder(encoder)


def test_a_round_asks_for_it_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "check_encoder", lambda: trainers.check_encoder(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="sentence encoder in none"):
        run.once(settings_in(tmp_path), load_policy())
    assert not (tmp_path / "registry").exists()


def test_an_artefact_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"guard\.model: .*none/.*: No such file"):
        run.once(settings_in(tmp_path, model=str(tmp_path / "none")), load_policy())
