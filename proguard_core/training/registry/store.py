"""Where a registry lies: objects under keys, small ones replaced by conditional writes. A folder, or a prefix in S3."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+=-]*)*")
MAX_KEY = 512


class StoreError(Exception):
    """Something about the store; the text is fit for a log."""


class Missing(StoreError):
    """Nothing lies under that key."""


class Conflict(StoreError):
    """Somebody else wrote there first: the condition of a write was not met, and nothing was written."""


class Unavailable(StoreError):
    """No answer now. What was being written may have been written, or not."""


class Refused(StoreError):
    """Somebody must change something first: rights, keys, a bucket, a full disk. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Stored:
    """body: whole. tag: of this content (an ETag); another content never has the same."""

    body: bytes
    tag: str


class Store(Protocol):
    """Blocking calls, safe from several threads and processes. All raise Unavailable and Refused.

    Keys are paths of letters, digits and `._+=-`, at most 512 characters. A reader sees the whole of an object or
    none of it.
    """

    @property
    def address(self) -> str:
        """Where it is, for people."""

    def read(self, key: str) -> Stored:
        """A small object. Raises Missing."""

    def read_unless(self, key: str, tag: str) -> Stored | None:
        """The same, or None while it still has this tag. Raises Missing."""

    def create(self, key: str, body: bytes) -> str:
        """Write what was not there before; its tag. Raises Conflict."""

    def replace(self, key: str, body: bytes, tag: str) -> str:
        """Write over what has this tag; the new tag. Raises Conflict, also where nothing is there."""

    def upload(self, key: str, path: Path) -> None:
        """A file of any size, under a key that nobody else uses."""

    def download(self, key: str, path: Path) -> None:
        """Into a file, which is written over. Raises Missing."""

    def names(self, prefix: str) -> list[str]:
        """What lies directly under a prefix, sorted: names of objects, and of folders with a slash at the end."""


def checked(key: str) -> str:
    """The key, if it is one. Raises ValueError: keys come from our own code and from manifests, which may be foul."""
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"{key[:60]!r} is no key of a registry")
    return key
