"""A registry in a folder of one machine, the default where there is no S3: the same promises by links and renames."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proguard_core.beside import file_beside
from proguard_core.training.registry.store import Conflict, Missing, Refused, Stored, Unavailable, checked

_LOCK = ".replacing"
# A worker may be another user than the round.
_MODE = 0o644


class FolderStore:
    """Keeps the Store protocol. The folder must be on one machine: flock is not to be trusted over a network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:
        """The folder."""
        return str(self._folder)

    def read(self, key: str) -> Stored:
        """A small object. Raises Missing."""
        with _explained(key):
            body = self._path(key).read_bytes()
        return Stored(body, _tag(body))

    def read_unless(self, key: str, tag: str) -> Stored | None:
        """The same, or None while it still has this tag. Raises Missing."""
        stored = self.read(key)
        return None if stored.tag == tag else stored

    def create(self, key: str, body: bytes) -> str:
        """Write what was not there before; its tag. Raises Conflict."""
        path = self._path(key)
        with _explained(key), self._written(path, body) as made:
            try:
                os.link(made, path)  # fails where something is there, whoever made it
            except FileExistsError:
                raise Conflict(f"{key} is there already") from None
            _settle(path.parent)
        return _tag(body)

    def replace(self, key: str, body: bytes, tag: str) -> str:
        """Write over what has this tag; the new tag. Raises Conflict, also where nothing is there."""
        path = self._path(key)
        with _explained(key), self._alone():
            if not path.is_file() or _tag(path.read_bytes()) != tag:
                raise Conflict(f"{key} was changed by somebody else")
            with self._written(path, body) as made:
                os.replace(made, path)
                _settle(path.parent)
        return _tag(body)

    def upload(self, key: str, path: Path) -> None:
        """A file of any size, under a key that nobody else uses."""
        target = self._path(key)
        with _explained(key), file_beside(target) as made:
            shutil.copyfile(path, made)
            with made.open("rb+") as file:
                os.fsync(file.fileno())
            made.chmod(_MODE)
            os.replace(made, target)
            _settle(target.parent)

    def download(self, key: str, path: Path) -> None:
        """Into a file, which is written over. Raises Missing."""
        with _explained(key):
            shutil.copyfile(self._path(key), path)

    def names(self, prefix: str) -> list[str]:
        """What lies directly under a prefix, sorted."""
        folder = self._path(prefix)
        with _explained(prefix):
            if not folder.is_dir():
                return []
            return sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in _objects(folder))

    def _path(self, key: str) -> Path:
        return self._folder / checked(key)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / _LOCK).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel gives it back when the process ends, however it ends
            yield

    @contextmanager
    def _written(self, target: Path, body: bytes) -> Iterator[Path]:
        with file_beside(target) as made:
            with made.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            made.chmod(_MODE)
            yield made


def _objects(folder: Path | str) -> list[os.DirEntry[str]]:
    """Files, and folders that hold one at some depth: a write that was killed leaves a folder with none."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return [entry for entry in shown if not entry.is_dir() or _objects(entry.path)]


def _settle(folder: Path) -> None:
    """A power cut after this keeps the name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@contextmanager
def _explained(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Missing(f"{key} is not there") from None
    except OSError as error:
        said = f"{key}: {errno.errorcode.get(error.errno or 0, 'error')} {error.strerror}"
        lasting = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
        raise (Refused if error.errno in lasting else Unavailable)(said) from error
