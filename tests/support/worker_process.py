"""A real worker (`proguard moderate`) as a process, with settings of its own and the scripted guard."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.topics import TopicNames

_COMMAND = [sys.executable, "-m", "worker.cli", "moderate"]


class WorkerProcess:
    """One worker. settings: sections and keys over the defaults for tests; slot keeps several apart."""

    def __init__(
        self,
        directory: Path,
        bootstrap_servers: str,
        topics: TopicNames,
        slot: int = 0,
        settings: dict[str, dict[str, Any]] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.log_file = directory / f"worker-{slot}.log"
        self._environment = environment or {}
        defaults: dict[str, dict[str, Any]] = {
            "kafka": {
                "bootstrap_servers": bootstrap_servers,
                "group_id": topics.posts,
                "slot": slot,
                "state_dir": str(directory / f"state-{slot}"),
            },
            "topics": vars_of(topics),
            "guard": {"engine": "tests.support.guards:scripted"},
            "telemetry": {"status_interval_s": 1.0, "port": 0},
        }
        for section, keys in (settings or {}).items():
            defaults.setdefault(section, {}).update(keys)
        self.settings = defaults
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process; RuntimeError before start()."""
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process

    @property
    def log(self) -> str:
        """What all runs have logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> "WorkerProcess":
        """Start (again), with the same settings unless they were changed; RuntimeError while it runs.

        A `with` starts it by itself: a second process under the same name would be left behind.
        """
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError("the worker runs already")
        environment = os.environ | self._environment | _environment(self.settings)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                _COMMAND, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        return self

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait(10)

    def suspend(self) -> None:
        """SIGSTOP: alive but frozen."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self, timeout_s: float = 60) -> int:
        """SIGTERM, and the exit code once drained."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def wait_for_log(self, text: str, timeout_s: float = 60) -> None:
        """Until text has been logged; AssertionError with the log otherwise."""
        deadline = time.monotonic() + timeout_s
        while text not in self.log:
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} was not logged (ended: {ended}):\n{self.log[-5000:]}")
            time.sleep(0.05)

    def __enter__(self) -> "WorkerProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)


def vars_of(topics: TopicNames) -> dict[str, str]:
    """The settings' section `topics`."""
    return {field: getattr(topics, field) for field in topics.__dataclass_fields__}


def _environment(settings: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {
        f"PROGUARD_{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for section, keys in settings.items()
        for key, value in keys.items()
    }
