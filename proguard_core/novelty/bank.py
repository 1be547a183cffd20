"""The synonym bank: phrases beyond the policy's own, by the code they mean or by a name that a review confirmed.

format: 1
phrases:
  C11S1: [Under-age sex, ...]
  Ghost gun kits: [Printed firearm receivers, ...]
words:
  C11S1: [csam, ...]

Phrases are compared by their meaning. Words say it by themselves wherever they begin a word of a name: abbreviations,
slang and other languages, which the encoder does not know.
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import yaml

from proguard_core.policy.taxonomy import CATEGORY_CODE, SUBCATEGORY_CODE, name_key
from schemas.verdict import MAX_NAME_CHARACTERS

FORMAT = 1
# Two signs are a word in Chinese; of our letters that many begin too much.
LEAST_WORD = 2
SHIPPED = Path(__file__).parent / "bank.yaml"


class BankError(ValueError):
    """A bank cannot be read, or a phrase cannot be added; the message says which and why."""


@dataclass(frozen=True)
class Bank:
    """Phrases by key: a code (C3S1) or a confirmed name. No phrase stands under two keys, by `name_key`.

    words: by code, as `name_key` writes them.
    """

    phrases: Mapping[str, tuple[str, ...]]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """Hash of what it holds, 16 hexadecimal digits; the order does not matter."""
        held = [
            sorted((key, sorted(map(name_key, texts))) for key, texts in each.items())
            for each in (self.phrases, self.words)
        ]
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
        return replace(self, phrases={key: tuple(phrases) for key, phrases in merged.items()})

    def joined(self, other: "Bank") -> "Bank":
        """Both. BankError where a phrase means something else in the other."""
        words = {
            code: tuple(dict.fromkeys((*self.words.get(code, ()), *other.words.get(code, ()))))
            for code in (*self.words, *other.words)
        }
        return replace(self.plus(other.phrases), words=words)


class _Loader(yaml.SafeLoader):
    """A key that is there twice is no other key's end: what stood under the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [key.value for key, _value in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load(path: Path = SHIPPED) -> Bank:
    """The bank of a file. BankError where it is missing or not of this form."""
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BankError(f"the bank {path} cannot be read: {error}") from error
    tables = [loaded.get(key, {}) for key in ("phrases", "words")] if isinstance(loaded, dict) else []
    if not tables or loaded.get("format") != FORMAT or not all(isinstance(table, dict) for table in tables):
        raise BankError(f"the bank {path} must have format: {FORMAT} and a table of phrases")
    if unknown := sorted(set(map(str, loaded)) - {"format", "phrases", "words"}):
        raise BankError(f"the bank {path} has {', '.join(unknown)}, which is neither phrases nor words")
    for key, texts in (item for table in tables for item in table.items()):
        if not isinstance(key, str) or not isinstance(texts, list):
            raise BankError(f"the bank {path}: {key!r} must be a code or a name with a list of phrases")
    phrases, words = ({_code_or_name(key): texts for key, texts in table.items()} for table in tables)
    if names := sorted(key for key in words if not is_code(key)):
        raise BankError(f"the bank {path}: words belong to a code, not to {', '.join(names)}")
    try:
        return Bank({}, {code: tuple(map(_word, texts)) for code, texts in words.items()}).plus(phrases)
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
        _replace(path, written(bank).encode("utf-8"))
    return bank


def written(bank: Bank) -> str:
    """The text of a bank's file; read again it is the same bank, of the same version."""
    content: dict[str, object] = {"format": FORMAT}
    for table, held in (("phrases", bank.phrases), ("words", bank.words)):
        if held or table == "phrases":
            content[table] = {key: list(texts) for key, texts in sorted(held.items())}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def is_code(key: str) -> bool:
    """Whether a key is a code rather than a confirmed name."""
    return bool(CATEGORY_CODE.fullmatch(key) or SUBCATEGORY_CODE.fullmatch(key))


def _code_or_name(key: str) -> str:
    return key.upper() if is_code(key.upper()) else key


def _word(written: object) -> str:
    word = name_key(_checked(written))
    if len(word) < LEAST_WORD:
        raise BankError(f"the word {written!r} is too short: it would be found in names that say something else")
    return word


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
