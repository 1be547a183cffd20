"""A dataset's folder as the heads need it: which rows teach what, and which categories are new."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proguard_core.evaluation.rows import Problems, Row, RowError, parse, read_lines
from proguard_core.guards.embedded.heads import Learned
from proguard_core.policy.policy import Policy, PolicyCategory
from proguard_core.policy.taxonomy import CATEGORY_NAMES, CODES_BY_NAME, SUBCATEGORY_NAMES, name_key

TRAIN, HELD_OUT = "train.jsonl", "held_out.jsonl"
PICTURES = "a row with a picture (heads read text; left out)"
LEFT_OUT = "a row of a category that is left out on purpose"


class DatasetError(ValueError):
    """A folder that heads cannot be learned from; the message says why."""


@dataclass(frozen=True, slots=True)
class Taught:
    """One text row. group: rows of one group are never on both sides of a fold; synonyms: of row.ood_name."""

    row: Row
    group: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Both sides of a dataset. version: hash of both files, hexadecimal."""

    train: Sequence[Taught]
    held_out: Sequence[Taught]
    version: str
    problems: Problems


def read(folder: Path, policy: Policy, left_out: Collection[str] = ()) -> Rows:
    """The rows of a folder of write_own. left_out: names or codes of categories none of whose rows is used.

    A category of the policy's own (C12) is the name that the policy gives it: heads learn names. Raises DatasetError.
    """
    problems = Problems()
    dropped = frozenset(map(name_key, left_out))
    sides = []
    hashed = hashlib.sha256()
    for name in (TRAIN, HELD_OUT):
        path = folder / name
        try:
            hashed.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise DatasetError(f"{folder} is no dataset of own rows: {name}: {error.strerror}") from error
        sides.append(_side(path, policy, dropped, problems))
    return Rows(sides[0], sides[1], hashed.hexdigest(), problems)


def _side(path: Path, policy: Policy, dropped: frozenset[str], problems: Problems) -> list[Taught]:
    found = []
    for place, record in read_lines(path, problems):
        try:
            row = named(record, policy)
        except RowError as error:
            problems.add(str(error), place)
            continue
        synonyms = tuple(word for word in record.get("synonyms") or () if isinstance(word, str))
        if dropped & set(map(name_key, (*row.categories, row.ood_name or "", *synonyms))):
            problems.count(LEFT_OUT)
        elif row.images:
            problems.count(PICTURES)
        else:
            found.append(Taught(row, str(record.get("author") or row.id), synonyms))
    return found


def named(record: Mapping[str, Any], policy: Policy) -> Row:
    """A row of the row form, in which a code that only the policy has stands as its name. Raises RowError.

    Of a row with codes of both kinds the taxonomy's stay: heads have these already.
    """
    row = parse(record, policy.codes)
    own = [code for code in row.categories if not _in_taxonomy(code)]
    if not own:
        return row
    shared = tuple(code for code in row.categories if _in_taxonomy(code))
    listed = policy.find(own[0])
    name = None if shared or listed is None else listed.name
    return replace(row, categories=shared, ood_name=row.ood_name if shared else name)


def in_policy(row: Row, policy: Policy) -> Row:
    """The row as a policy asks for it: a name that it lists, as name or synonym, is its code."""
    code = policy.codes_by_name.get(name_key(row.ood_name)) if row.ood_name and not row.categories else None
    return row if code is None else replace(row, ood_name=None, categories=(code,))


def new_categories(
    rows: Sequence[Taught], known: Sequence[Learned], policy: Policy, least: int
) -> tuple[tuple[Learned, ...], dict[str, int]]:
    """All learned categories, `known` first and at their places, and how many rows each name has (new names too).

    A name becomes a category with `least` rows of it; one that is a synonym of another becomes that one.
    """
    counts: Counter[str] = Counter()
    spelt: dict[str, str] = {}
    words: dict[str, dict[str, None]] = {}
    for each in rows:
        name = each.row.ood_name
        if not each.row.unsafe or each.row.categories or not name:
            continue
        key = name_key(name)
        counts[key] += 1
        spelt.setdefault(key, name)
        words.setdefault(key, {}).update(dict.fromkeys((*_listed(name, policy), *each.synonyms)))
    learned = list(known)
    for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if key in CODES_BY_NAME or any(key in each.keys for each in learned):
            continue
        if count >= least:
            taken = {other for each in learned for other in each.keys} | CODES_BY_NAME.keys() | counts.keys()
            fresh = tuple(word for word in words[key] if name_key(word) not in taken)
            learned.append(Learned(spelt[key], tuple({name_key(word): word for word in fresh}.values())))
    return tuple(learned), {spelt[key]: count for key, count in counts.items()}


def _listed(name: str, policy: Policy) -> tuple[str, ...]:
    code = policy.codes_by_name.get(name_key(name))
    listed: PolicyCategory | None = policy.find(code) if code is not None else None
    return () if listed is None or _in_taxonomy(listed.code) else (listed.name, *listed.synonyms)


def _in_taxonomy(code: str) -> bool:
    return code in CATEGORY_NAMES or code in SUBCATEGORY_NAMES
