"""What the demo advises next works as it is printed, and Ctrl-C ends it."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from tests.support.strikes import STRIKES, handlers_kept
from worker.interruption import Interruption
from worker.local import demo
from worker.local.outcomes import OutcomeReader
from worker.local.table import Screen
from worker.settings import load


def advised(keep: bool) -> str:
    written = io.StringIO()
    demo._say_next(Screen(Console(file=written, soft_wrap=True)), keep)
    return written.getvalue()


def without_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)


def test_the_program_runs_where_its_environment_is_not_active(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_the_environment(monkeypatch)
    done = subprocess.run(["sh", "-c", f"{demo._program()} --help"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_where_it_is_active_the_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert demo._program() == "proguard"


def test_another_program_of_that_name_is_not_advised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "proguard"  # the shrinker of Java programs, say
    other.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo._program() == str(Path(sys.executable).with_name("proguard"))


def test_what_already_goes_on_is_not_advised_to_go_on() -> None:
    assert "demo --keep" in advised(keep=False)
    assert "demo --keep" not in advised(keep=True)


@pytest.fixture
def handlers() -> Iterator[None]:
    with handlers_kept(signal.SIGINT, signal.SIGTERM):
        yield


def stage(*given: object) -> demo.Stage:
    *_, interruption = given
    assert isinstance(interruption, Interruption)
    return demo.Stage(Path(), {}, None, "bucket", True, 0.0, interruption)


@pytest.mark.usefixtures("handlers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize(("kept", "code"), [(False, 130), (True, 0)])
def test_ctrl_c_ends_it_wherever_it_strikes(
    strike: Callable[[signal.Signals], None], kept: bool, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where it goes on until Ctrl-C, that is no failure."""
    settings = load(None, {"kafka": {"bootstrap_servers": "127.0.0.1:1"}})

    def show(*_: object) -> None:
        strike(signal.SIGINT)

    def play(stage: demo.Stage, _stack: object, screen: Screen, *_: object) -> int:
        stage.folder = tmp_path
        if kept:
            demo._keep(stage, settings, cast(OutcomeReader, None), screen)
        else:
            show()
            demo._check(stage)
        return 0

    monkeypatch.setattr(demo, "_set_up", stage)
    monkeypatch.setattr(demo, "_play", play)
    monkeypatch.setattr(demo, "_show", show)
    written = io.StringIO()
    assert demo.run(screen=Screen(Console(file=written))) == code
    assert written.getvalue().count("Stopped.") == 1
