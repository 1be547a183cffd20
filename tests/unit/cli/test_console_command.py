"""`proguard console` and `proguard retrain` refuse what they would otherwise pass over, and say what to change."""

import socket
from pathlib import Path

import pytest

from tests.support.command_line import proguard


def test_a_taken_port_is_78_and_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = proguard({"console": {"port": port, "store_path": str(tmp_path / "risks.db")}}, "console")
    assert done.returncode == 78
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"proguard: the console cannot be served at 127.0.0.1:{port}: ")
    assert "Set console.port" in last


def test_a_severe_code_of_no_policy_is_78(tmp_path: Path) -> None:
    done = proguard({"console": {"severe": ["C77"], "store_path": str(tmp_path / "risks.db")}}, "console")
    assert done.returncode == 78
    assert "console.severe: C77" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("console", "--demo-data", "mine"), "--demo-data and mine exclude each other"),
        (("console", "--demo-data", "migrate"), "--demo-data and migrate exclude each other"),
        (("retrain", "--once", "history"), "--once and history exclude each other"),
        (("retrain", "--schedule", "17 3 * * *", "history"), "--schedule and history exclude each other"),
    ],
)
def test_an_option_that_a_subcommand_would_ignore_is_wrong_usage(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    given = {"console": {"store_path": str(tmp_path / "risks.db")}}
    done = proguard(given, *arguments, environment={"COLUMNS": "120"})
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_registry_without_a_champion_is_not_silent(tmp_path: Path) -> None:
    registry = tmp_path / "mistyped"
    done = proguard({"retraining": {"registry": str(registry)}}, "retrain", "history")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"the registry {registry} has no champion" in done.stderr
    assert not registry.exists()
