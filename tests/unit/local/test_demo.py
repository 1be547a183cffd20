"""What the demo advises next works as it is printed."""

import io
import os
import subprocess
import sys
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
