"""What the command line ends with, and what it says: plain lines, no tracebacks, no content."""

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from worker import cli, logs
from worker.errors import ConfigurationError, FencedError, WorkerError
from worker.moderation.poison import Journal


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`proguard ARGUMENTS` as a process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PROGUARD_")}
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *arguments],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """`proguard ARGUMENTS` in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["proguard", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> "Failing":
    return Failing(monkeypatch)


class Failing:
    """Runs `config show` with a body that raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def run(self, error: BaseException) -> int:
        def body(_settings: object) -> int:
            raise error

        self._monkeypatch.setattr("worker.commands.config.show", body)
        return main(self._monkeypatch, "config", "show")


def test_help_is_0() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("demo", "moderate", "judge", "send", "topics", "dead-letters", "config"):
        assert command in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing-like-this"],
        ["judge"],
        ["judge", "there-is-no-such-file.jsonl"],
        ["dead-letters", "inspect", "--reason", "bad-weather"],
        ["dead-letters", "inspect", "--offsets", "a:b"],
        ["dead-letters", "replay", "--since", "yesterday"],
        ["topics", "create", "--partitions", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["moderate", "topics create"])
def test_config_after_the_command_is_told_where_it_belongs(command: str) -> None:
    done = run(*command.split(), "--config", "proguard.toml", COLUMNS="120")
    assert done.returncode == 2
    assert f"proguard --config FILE {command}" in done.stderr


@pytest.mark.parametrize(
    ("error", "code"), [(WorkerError("w"), 1), (FencedError("two workers"), 75), (ConfigurationError("mend it"), 78)]
)
def test_our_errors_are_one_plain_line(
    error: WorkerError, code: int, failing: Failing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing.run(error) == code
    assert capsys.readouterr().err == f"proguard: {error}\n"


def test_control_c_is_130(failing: Failing, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing.run(KeyboardInterrupt()) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_an_unexpected_error_is_1_and_tells_its_place_but_not_its_words(
    failing: Failing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing.run(KeyError("the text of somebody's post")) == 1
    said = capsys.readouterr().err
    assert "unexpected KeyError" in said
    assert "test_exit_codes.py" in said
    assert "somebody" not in said
    assert "Traceback" not in said


def test_debug_shows_the_traceback(
    failing: Failing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROGUARD_TELEMETRY__LOG_LEVEL", "DEBUG")
    try:
        assert failing.run(KeyError("details")) == 1
    finally:
        logs.set_up()
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_missing_settings_file_is_78(tmp_path: Path) -> None:
    done = run("--config", str(tmp_path / "none.toml"), "config", "show")
    assert (done.returncode, done.stdout) == (78, "")
    assert "no such settings file" in done.stderr


def test_wrong_settings_are_78_and_never_show_a_value() -> None:
    done = run("config", "check", PROGUARD_KAFKA__GROUP_PROTOCOL="hunter2")
    assert done.returncode == 78
    assert "kafka.group_protocol" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_key_that_promises_rest_on_is_78() -> None:
    done = run("config", "check", PROGUARD_KAFKA__CLIENT__ISOLATION_LEVEL="read_uncommitted")
    assert done.returncode == 78
    assert "isolation.level" in done.stderr


def test_a_wrong_policy_is_78_with_its_line(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("name: mine\ncategories:\n  - code: C1\n    colour: red\n")
    done = run("config", "check", PROGUARD_POLICY__PATH=str(policy))
    assert done.returncode == 78
    assert f"{policy}:4" in done.stderr


def test_a_guard_that_cannot_be_imported_is_78() -> None:
    done = run("config", "check", PROGUARD_GUARD__ENGINE="no.such.module:guard")
    assert done.returncode == 78
    assert "no.such.module" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_workers_of_one_name_and_folder_are_75_before_anything_is_asked_of_a_broker(tmp_path: Path) -> None:
    settings = {
        "PROGUARD_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PROGUARD_KAFKA__HOSTNAME": "host",
        "PROGUARD_KAFKA__GROUP_ID": "group",
        "PROGUARD_KAFKA__STATE_DIR": str(tmp_path),
        "PROGUARD_GUARD__ENGINE": "tests.support.guards:scripted",
        "PROGUARD_TELEMETRY__PORT": "0",
    }
    with closing(Journal(tmp_path, "group.host.0")):
        done = run("moderate", **settings)
    assert (done.returncode, done.stdout) == (75, "")
    assert "give each a kafka.slot of its own" in done.stderr


def test_no_broker_is_1_and_says_where() -> None:
    done = run("config", "check", "--online", "--wait", "1", PROGUARD_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert done.returncode == 1
    assert re.search(r"error: no broker answers at 127\.0\.0\.1:1 .*: .*refused", done.stderr)


@pytest.mark.parametrize(("key", "code"), [("key", 1), ("", 78)], ids=["S3 is away too", "no keys for S3"])
def test_s3_is_looked_at_although_no_broker_answers(key: str, code: int) -> None:
    done = run(
        *("config", "check", "--online", "--wait", "1"),
        PROGUARD_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1",
        PROGUARD_OBJECTS__BUCKETS='["pictures"]',
        PROGUARD_OBJECTS__ENDPOINT_URL="http://127.0.0.1:1",
        AWS_ACCESS_KEY_ID=key,
        AWS_SECRET_ACCESS_KEY=key,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_CONFIG_FILE=os.devnull,
    )
    assert done.returncode == code
    assert "no broker answers" in done.stderr
    assert f"{'error' if code == 78 else 'warning'}: bucket pictures: " in done.stderr
