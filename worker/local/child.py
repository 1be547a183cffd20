"""Child processes that never outlive us: the kernel ends them with their parent, however that dies."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_PR_SET_PDEATHSIG = 1
_GRPC_DISTANCE = 10_000
# Below the kernel's own range: a server that is down for a while must not find its port taken by somebody's connection.
_FIRST_EPHEMERAL_PORT = 32_768
_PORTS = range(10_000, _FIRST_EPHEMERAL_PORT - _GRPC_DISTANCE)


# Runs in the child before the wanted program takes its place. A preexec_fn would run Python after the fork of a
# process that may have threads; this does not. The check catches a parent that died before prctl.
_LAUNCH = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Child:
    """One child process in a session of its own: Ctrl-C reaches the parent alone, which ends its children in order.

    The kernel kills it when the thread that made it ends (Linux): make children in a thread that lives on.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path | None = None,
        environment: dict[str, str] | None = None,
        directory: Path | None = None,
        read_output: bool = False,
        share_errors: bool = False,
    ) -> None:
        """Start it. log takes standard error, and standard output unless read_output keeps that as a pipe.

        share_errors: standard error is ours, and takes standard output too unless that is read.
        """
        self._log: IO[bytes] | None = log.open("ab") if log else None
        sink = self._log or subprocess.DEVNULL
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if read_output else 2 if share_errors else sink,
            stderr=None if share_errors else sink,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, None while it runs."""
        return self.process.poll()

    def stop(self, grace_s: float = 5.0) -> int:
        """End it: SIGTERM, and SIGKILL after grace_s seconds (at once for 0). Returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate() if grace_s > 0 else self.process.kill()
        try:
            return self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            for stream in (self.process.stdin, self.process.stdout, self._log):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_ports(count: int, distance: int = _GRPC_DISTANCE) -> list[int]:
    """Ports of 127.0.0.1 that are free together with the port `distance` above each; no two are the same."""
    found: list[int] = []
    start = int.from_bytes(os.urandom(4), "big")
    for step in range(len(_PORTS)):
        port = _PORTS[(start + step * 7) % len(_PORTS)]
        if port not in found and all(_is_free(each) for each in (port, port + distance)):
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"127.0.0.1 has no {count} free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
