"""What the demo advises next works as it is printed; Ctrl-C ends it wherever it strikes."""

import io
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from worker.local import demo
from worker.local.table import Screen


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
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def in_a_finalizer() -> None:
    class Pool: ...

    pool = Pool()
    weakref.finalize(pool, signal.raise_signal, signal.SIGINT)
    del pool  # Python prints what it raises, and goes on


def in_a_library() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise ValueError("as pydantic's SchemaError") from error


@pytest.mark.usefixtures("handlers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("strike", [in_a_finalizer, in_a_library])
def test_ctrl_c_is_not_lost_wherever_it_strikes(strike: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    def play(stage: demo.Stage, *_: object) -> int:
        strike()
        for _round in range(3):
            demo._check(stage)
        return 0

    def set_up(*given: object) -> demo.Stage:
        *_, interruption = given
        assert isinstance(interruption, demo.Interruption)
        return demo.Stage(Path(), {}, None, "bucket", True, 0.0, interruption)

    monkeypatch.setattr(demo, "_set_up", set_up)
    monkeypatch.setattr(demo, "_play", play)
    written = io.StringIO()
    assert demo.run(screen=Screen(Console(file=written))) == 130
    assert "Stopped." in written.getvalue()
