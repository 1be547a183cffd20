"""`proguard console` and `proguard console mine` as processes, with settings of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 60.0
_USER = "X-User"
# Everybody that the test's own proxy names; any free port.
PEOPLE: dict[str, Any] = {
    "port": 0,
    "user_header": _USER,
    "trusted_proxies": ["127.0.0.1"],
    "reviewers": ["ada", "grace"],
    "admins": ["root"],
}


class ConsoleProcess:
    """One process; a `with` starts it, and at the end what still runs is killed. tables: settings by section."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], log: Path, *arguments: str) -> None:
        self.tables = {section: dict(table) for section, table in tables.items()}
        self._log = log
        self._arguments = ("console", *arguments)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What all its runs have said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> Self:
        """Start (again)."""
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", *self._arguments],
                env=_environment(self.tables),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        return self

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self._running().kill()
        self._running().wait(10)

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self._running().send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Until it has ended; its exit code."""
        return self._running().wait(PATIENCE_S)

    def logged(self, pattern: str, timeout_s: float = PATIENCE_S) -> str:
        """The first group of the first match of a pattern in its log, once it is there."""
        self.until(lambda: re.search(pattern, self.log), timeout_s)
        found = re.search(pattern, self.log)
        assert found is not None
        return found[1]

    def until(self, enough: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
        """While it runs, until something is so; AssertionError with its log otherwise."""
        deadline = time.monotonic() + timeout_s
        while not enough():
            assert self.ended is None, f"it ended with {self.ended}:\n{self.log[-5000:]}"
            assert time.monotonic() < deadline, f"waited in vain:\n{self.log[-5000:]}"
            time.sleep(0.1)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)


class Pages(ConsoleProcess):
    """The pages' process, with people whom a proxy names (PEOPLE)."""

    def address(self) -> str:
        """Where it is, once it says so."""
        return self.logged(r"The console is at (\S+)")

    def get(self, path: str, user: str = "vera") -> tuple[int, str]:
        """Status and text of a page."""
        asked = urllib.request.Request(f"{self.address()}{path}", headers={_USER: user})
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def _environment(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PROGUARD_", "AWS_"))}
    given = {
        f"PROGUARD_{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for section, table in tables.items()
        for key, value in table.items()
    }
    return {**inherited, "PROGUARD_TELEMETRY__PORT": "0", **given}
