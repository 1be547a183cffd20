"""Things that are made beside the place where they are to lie, and moved there whole: a reader never sees a half."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# File systems take names of up to 255 bytes, ours with what is put around them.
_LONGEST_NAME = 40


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """An empty folder on the target's file system, removed at the end unless it was moved. Makes the parents."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def file_beside(target: Path) -> Iterator[Path]:
    """The same for an empty file, which only its owner may read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_prefix(target), dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _prefix(target: Path) -> str:
    return f".{target.name[:_LONGEST_NAME]}."
