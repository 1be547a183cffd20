"""One process a journal: a second worker of the same name in the same folder is refused before it writes a byte.

A record lock of the kernel, not flock(2): it ends with its process even where a child of ours lives on, and the kernel
tells who holds it. The lock lies in a file of its own, because the journal is replaced while it is in use.
"""

import fcntl
import os
import struct
from pathlib import Path

from worker.errors import FencedError

# struct flock: type, whence, start, length, process.
_FLOCK = "hhqqi"
# States in which a process does nothing more until somebody wakes it: stopped by a signal or by a debugger.
_STOPPED = frozenset("Tt")


class JournalLock:
    """Held from the start until close() or the end of the process, however it ends.

    A holder that stands still (SIGSTOP) cannot be waited for: the lock is taken from it, and it finds that out by
    `check` when it wakes. Within one process several objects of one path do not exclude each other.
    """

    def __init__(self, path: Path, worker: str) -> None:
        """Raises FencedError if another process holds it, OSError if there can be no such file or lock."""
        self._path = path
        self._worker = worker
        self._descriptor = self._take()

    @property
    def held(self) -> bool:
        """Whether it is still ours: False once another process took it while we stood still."""
        return _is_at(self._descriptor, self._path)

    def check(self) -> None:
        """FencedError if it is not ours any more."""
        if not self.held:
            raise FencedError(f"{self._path}: another process runs as {self._worker} since this one stood still")

    def close(self) -> None:
        """Give it up; the file goes with it."""
        if self.held:
            self._path.unlink()
        os.close(self._descriptor)

    def _take(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if self._lock(descriptor):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _lock(self, descriptor: int) -> bool:
        """False: try again, this file is not the one that counts any more."""
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = _holder(descriptor)
            if holder is not None and not _stands_still(holder):
                raise FencedError(self._taken(holder)) from None
            if holder is not None and _is_at(descriptor, self._path):
                self._path.unlink()
            return False
        return _is_at(descriptor, self._path)  # else the one before us removed it when it left

    def _taken(self, holder: int) -> str:
        who = f"process {holder}" if holder > 0 else "another process"
        return f"{self._path}: {who} runs as {self._worker} already; give each a kafka.slot of its own"


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> int | None:
    """Process that holds the lock; 0 if it is not of our container, None if nobody holds it any more."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _whence, _start, _length, process = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else max(0, process)


def _stands_still(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    # The name before it may hold anything, parentheses too.
    return status.rpartition(")")[2].split()[0] in _STOPPED
