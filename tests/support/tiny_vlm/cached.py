"""What was made is kept under .cache/tiny-vlm, in a folder named by a hash of everything that it was made from."""

import hashlib
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.support.tiny_vlm.corpus import corpus

_HERE = Path(__file__).parent
CACHE = _HERE.parents[2] / ".cache" / "tiny-vlm"
ADAPTER = "suspicious-1"
_RANDOM_SOURCES = ("tokenizer.py", "builder.py")
_TAUGHT_SOURCES = ("rows.py", "samples.py", "batches.py", "teaching.py", "lessons.py")


def random_model() -> Path:
    """Folder of the tiny random checkpoint, made if it is not there yet (seconds)."""
    from tests.support.tiny_vlm.builder import build_random_model

    return kept("random", random_fingerprint(), build_random_model)


def taught_model() -> Path:
    """Folder of the tiny checkpoint that answers in the form of the contract, made if it is not there yet (minutes)."""
    from tests.support.tiny_vlm.lessons import teach_contract

    return kept("taught", taught_fingerprint(), teach_contract)


def adapter() -> Path:
    """Folder of a LoRA adapter on the taught model; its parent holds nothing else. Made if it is not there yet."""
    from tests.support.tiny_vlm.lessons import teach_suspicion

    base = taught_model()
    return kept("adapters", taught_fingerprint(), lambda folder: teach_suspicion(base, folder / ADAPTER)) / ADAPTER


def random_fingerprint() -> str:
    """Hash of the code and the texts that the random checkpoint comes from."""
    return fingerprint(_RANDOM_SOURCES, corpus())


def taught_fingerprint() -> str:
    """Hash of what the taught checkpoint and its adapter come from: the random one and the lessons."""
    return fingerprint(_TAUGHT_SOURCES, [random_fingerprint()])


def fingerprint(sources: Iterable[str], parts: Iterable[str]) -> str:
    """Hash of source files of this package, of the libraries that write checkpoints, and of further parts."""
    hashed = hashlib.sha256()
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers", "tokenizers"))
    for text in (*((_HERE / name).read_text() for name in sources), *versions, *parts):
        hashed.update(hashlib.sha256(text.encode()).digest())
    return hashed.hexdigest()[:16]


def kept(kind: str, of: str, make: Callable[[Path], None]) -> Path:
    """The folder of a kind and a fingerprint. make fills a new one, which appears only when it is whole."""
    folder = CACHE / f"{kind}-{of}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    partial = CACHE / f".{folder.name}.{os.getpid()}"
    try:
        make(partial)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another session was faster, and it made the same
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
