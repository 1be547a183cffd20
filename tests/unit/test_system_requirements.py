"""scripts/install-system-requirements.sh installs what its arguments name and nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install-system-requirements.sh"
NEEDED = ("bash", "cat", "dirname", "env", "grep", "head", "id", "mktemp", "rm", "sed", "tr")


def bare_machine(folder: Path) -> dict[str, str]:
    """Programs of a machine without any of the requirements, whose apt-get fails and says what it was asked for."""
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    apt = folder / "apt-get"
    apt.write_text('#!/bin/sh\necho "apt-get $*" >&2\nexit 1\n')
    apt.chmod(0o755)
    return {**os.environ, "PATH": str(folder)}


@pytest.mark.parametrize(
    ("wanted", "code", "spoken_of"),
    [(["kafka"], 1, {"Java"}), (["prometheus"], 0, {"Prometheus"}), ([], 1, {"Java", "Prometheus", "Chromium"})],
    ids=["kafka", "prometheus", "all"],
)
def test_only_what_is_wanted_is_looked_for(wanted: list[str], code: int, spoken_of: set[str], tmp_path: Path) -> None:
    script = tmp_path / "scripts" / SCRIPT.name  # it works in the folder above its own
    script.parent.mkdir()
    shutil.copyfile(SCRIPT, script)
    programs = tmp_path / "bin"
    programs.mkdir()
    environment = bare_machine(programs)
    done = subprocess.run(
        [str(programs / "bash"), str(script), *wanted], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert {name for name in ("Java", "Prometheus", "Chromium") if name in done.stderr} == spoken_of


def test_the_loop_demo_installs_no_browser_and_no_prometheus() -> None:
    recipe = (SCRIPT.parents[1] / "Makefile").read_text().partition("\nloop-demo:")[2].partition("\n\n")[0]
    assert f"{SCRIPT.name} kafka\n" in recipe
