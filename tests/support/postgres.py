"""A real PostgreSQL for a test session: Debian's server in a folder of its own, on a free port of 127.0.0.1."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.support.kafka_jars import MissingSystemRequirement
from worker.local.child import free_ports

_START_S = 60.0
_USER = "proguard"


class PostgresServer:
    """Started and stopped as a context. `new_database` makes an empty one, for one test."""

    def __init__(self) -> None:
        # Not pytest's folders: the server's own user must reach its files.
        self._folder = Path(tempfile.mkdtemp(prefix="proguard-postgres-"))
        self._binaries = _find_binaries()
        self._process: subprocess.Popen[bytes] | None = None
        (self.port,) = free_ports(1)

    def __enter__(self) -> "PostgresServer":
        if os.getuid() == 0:  # the server refuses root
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        data = self._folder / "data"
        made = ["initdb", "-D", str(data), "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]
        subprocess.run(self._command(made), check=True, stdout=subprocess.DEVNULL)
        options = ["-p", str(self.port), "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1"]
        speed = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "shared_buffers=128MB"]
        command = self._command(["postgres", "-D", str(data), *options, *speed])
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", _USER]
        subprocess.run([str(self._binaries / "createdb"), *where, name], check=True)
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self.port}/{name}"

    def _command(self, command: Sequence[str]) -> list[str]:
        full = [str(self._binaries / command[0]), *command[1:]]
        return (
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *full] if os.getuid() == 0 else full
        )

    def _wait(self) -> None:
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + _START_S
        while subprocess.run(ready, check=False).returncode != 0:
            if (self._process is not None and self._process.poll() is not None) or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL did not start")
            time.sleep(0.05)


def _find_binaries() -> Path:
    """The newest of Debian's, or the one on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    with contextlib.suppress(TypeError):
        return Path(str(shutil.which("postgres"))).resolve(strict=True).parent
    raise MissingSystemRequirement(
        "PostgreSQL is missing: apt-get install postgresql (scripts/install-system-requirements.sh)"
    )
