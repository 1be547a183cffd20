"""The synonym bank: phrases beyond the policy's own, by the code they mean or by a name that a review confirmed.

format: 1
phrases:
  C11S1: [Under-age sex, ...]
  Ghost gun kits: [Printed firearm receivers, ...]
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from proguard_core.policy.taxonomy import CATEGORY_CODE, SUBCATEGORY_CODE, name_key
from schemas.verdict import MAX_NAME_CHARACTERS

FORMAT = 1
SHIPPED = Path(__file__).parent / "bank.yaml"


class BankError(ValueError):
    """A bank cannot be read, or a phrase cannot be added; the message says which and why."""


@dataclass(frozen=True)
class Bank:
    """Phrases by key: a code (C3S1) or a confirmed name. No phrase stands under two keys, by `name_key`."""

    phrases: Mapping[str, tuple[str, ...]]

    @cached_property
    def version(self) -> str:
        """Hash of what it holds, 16 hexadecimal digits; the order does not matter."""
        held = sorted((key, sorted(map(name_key, phrases))) for key, phrases in self.phrases.items())
        return hashlib.sha256(json.dumps(held).encode()).hexdigest()[:16]

    def of(self, code: str) -> tuple[str, ...]:
        """The phrases of a code or a confirmed name; none where it has none."""
        return self.phrases.get(code, ())

    def plus(self, additions: Mapping[str, Sequence[str]]) -> "Bank":
        """With more phrases; those that are there already are left out. BankError where one means something else."""
        merged = {key: list(phrases) for key, phrases in self.phrases.items()}
        owners = {name_key(phrase): key for key, phrases in merged.items() for phrase in phrases}
        names = {name_key(key): key for key in merged}
        for written, phrases in additions.items():
            key = names.setdefault(name_key(_checked(written)), _checked(written))
            for phrase in map(_checked, phrases):
                owner = owners.setdefault(name_key(phrase), key)
                if owner != key:
                    raise BankError(f"{phrase!r} means {owner} already, not {key}")
                if name_key(phrase) not in map(name_key, merged.setdefault(key, [])):
                    merged[key].append(phrase)
        return Bank({key: tuple(phrases) for key, phrases in merged.items()})


def load(path: Path = SHIPPED) -> Bank:
    """The bank of a file. BankError where it is missing or not of this form."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BankError(f"the bank {path} cannot be read: {error}") from error
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT or not isinstance(loaded.get("phrases"), dict):
        raise BankError(f"the bank {path} must have format: {FORMAT} and a table of phrases")
    for key, phrases in loaded["phrases"].items():
        if not isinstance(key, str) or not isinstance(phrases, list):
            raise BankError(f"the bank {path}: {key!r} must be a code or a name with a list of phrases")
    try:
        return Bank({}).plus(loaded["phrases"])
    except BankError as error:
        raise BankError(f"the bank {path}: {error}") from error


def extend(path: Path, additions: Mapping[str, Sequence[str]]) -> Bank:
    """Add phrases to a bank's file, which is made where it is missing; the bank as it is then.

    A review that confirms or renames adds under its name, one that merges under the code. The file is replaced in one
    step, and writers wait for each other. BankError, and then the file is as before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        bank = (load(path) if path.exists() else Bank({})).plus(additions)
        content = {"format": FORMAT, "phrases": {key: list(phrases) for key, phrases in sorted(bank.phrases.items())}}
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        _replace(path, text.encode("utf-8"))
    return bank


def is_code(key: str) -> bool:
    """Whether a key is a code rather than a confirmed name."""
    return bool(CATEGORY_CODE.fullmatch(key) or SUBCATEGORY_CODE.fullmatch(key))


def _checked(phrase: object) -> str:
    text = " ".join(phrase.split()) if isinstance(phrase, str) else ""
    if not text or len(text) > MAX_NAME_CHARACTERS or not text.isprintable():
        raise BankError(f"{phrase!r} must be a text of 1 to {MAX_NAME_CHARACTERS} printable characters")
    return text


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
