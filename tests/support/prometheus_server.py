"""A real Prometheus on 127.0.0.1 that scrapes workers and knows our alerts."""

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.support.processes import start_server, tail
from worker.local.child import Child, free_ports

_PROJECT = Path(__file__).resolve().parents[2]
_UNPACKED = _PROJECT / ".cache" / "prometheus" / "usr" / "bin"
_READY_S = 30.0


def prometheus_program(name: str) -> str | None:
    """`prometheus` or `promtool`: on the PATH, or where scripts/install-system-requirements.sh unpacked it."""
    if found := shutil.which(name):
        return found
    unpacked = _UNPACKED / name
    return str(unpacked) if unpacked.is_file() else None


class PrometheusServer:
    """A context manager. Scrapes the ports as job `proguard` and evaluates rules, both every second."""

    def __init__(self, program: str, directory: Path, ports: list[int], rules: Path) -> None:
        self.directory = directory
        [self.port] = free_ports(1)
        self._program = program
        targets = [f"127.0.0.1:{port}" for port in ports]
        self._config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "proguard", "static_configs": [{"targets": targets}]}],
        }
        self._child: Child | None = None

    @property
    def _log(self) -> Path:
        return self.directory / "prometheus.log"

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config))
        command = [self._program, f"--config.file={config}", f"--storage.tsdb.path={self.directory / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        self._child = start_server(command, self._log)
        deadline = time.monotonic() + _READY_S
        while not self._ready():
            if self._child.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Prometheus did not get ready: {tail(self._log)}")
            time.sleep(0.1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query. AssertionError with what Prometheus says of a wrong one."""
        result: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return result

    def firing(self) -> dict[str, dict[str, str]]:
        """The labels of the alerts that fire now, by name; the last of several."""
        alerts = self._ask("alerts")["alerts"]
        return {each["labels"]["alertname"]: each["labels"] for each in alerts if each["state"] == "firing"}

    def _ask(self, page: str, **parameters: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{page}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                data: dict[str, Any] = json.loads(answer.read())["data"]
                return data
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def wait(self, enough: Callable[[], object], what: str, timeout_s: float = 40) -> None:
        """Until enough is true; AssertionError that names what."""
        deadline = time.monotonic() + timeout_s
        while not enough():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.2)
