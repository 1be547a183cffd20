"""Files of a run folder that are there whole or not at all, and the digests that say what was trained from what."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 20


class RunError(RuntimeError):
    """A run cannot go on, and the same command would end like this again."""


class RunRefused(RunError):
    """What was asked for does not fit together: another base, another run's folder, no rows."""


def write_text(path: Path, text: str) -> None:
    """Replace the file in one step. Raises OSError, and then the old one stays."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """As write_text."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """An object. Raises OSError, and RunError where it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no object")
    return value


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents, in the order of the names. Blocks; raises OSError."""
    hashed = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        one = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                one.update(block)
        hashed.update(path.name.encode() + b"\0" + one.digest())
    return hashed.hexdigest()


def base_digest(base: Path) -> str:
    """Of a checkpoint's weights and configuration, wherever it lies. Raises RunRefused where it has no weights."""
    return digest(checkpoint_files(base))


def checkpoint_files(base: Path) -> list[Path]:
    """A checkpoint's weights and configuration. Raises RunRefused where it has no weights."""
    weights = [*base.glob("*.safetensors"), *base.glob("*.bin")]
    if not weights or not (base / "config.json").is_file():
        raise RunRefused(f"{base} is no checkpoint: it has no weights or no config.json")
    return [*weights, base / "config.json"]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One process a run folder. Raises RunError where another one is at work there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another process trains in {folder}") from None
        yield
