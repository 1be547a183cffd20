"""Benchmark rows: the one form that every set is brought into, and what is wrong with single rows."""

import codecs
import gzip
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from proguard_core.policy.taxonomy import CATEGORY_NAMES, SUBCATEGORY_NAMES
from schemas.common import Modality, Outcome

MAX_EXAMPLES = 20
# So many of them stand in a sentence.
NAMED = 3
_LABELS: dict[object, Outcome | None] = {"safe": Outcome.SAFE, "unsafe": Outcome.UNSAFE, None: None}
TAXONOMY_CODES = frozenset(CATEGORY_NAMES) | frozenset(SUBCATEGORY_NAMES)
_KEYS = frozenset(
    {"id", "modality", "request", "response", "images", "request_label", "response_label", "category", "ood_name"}
)


class RowError(ValueError):
    """A row that cannot be used; the text says why and never quotes content."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question with the answers that are right.

    Labels are safe, unsafe or None (the set does not say). categories: taxonomy codes that all count as right, the
    first is the one shown; ood_name: name of a risk outside the taxonomy. images: paths relative to the set's file.
    source: part of the set that the row comes from, where figures a part are wanted.
    """

    id: str
    request: str = ""
    response: str | None = None
    images: tuple[str, ...] = ()
    request_label: Outcome | None = None
    response_label: Outcome | None = None
    categories: tuple[str, ...] = ()
    ood_name: str | None = None
    source: str | None = None

    @property
    def modality(self) -> Modality:
        """By the parts that the row has."""
        if not self.images:
            return Modality.TEXT
        return Modality.TEXT_IMAGE if self.request or self.response else Modality.IMAGE

    @property
    def unsafe(self) -> bool:
        """Whether either turn is labelled unsafe."""
        return Outcome.UNSAFE in (self.request_label, self.response_label)

    @property
    def safe(self) -> bool:
        """Whether a turn is labelled safe and none unsafe."""
        return not self.unsafe and Outcome.SAFE in (self.request_label, self.response_label)


@dataclass(slots=True)
class Problems:
    """What is wrong with rows, counted a kind; the first rows of each kind are named by id or line."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    _once: set[tuple[str, str]] = field(default_factory=set, repr=False)

    def add_once(self, kind: str, where: str) -> None:
        """As add, for what every guard and every policy comes upon again."""
        if (kind, where) not in self._once:
            self._once.add((kind, where))
            self.add(kind, where)

    def add(self, kind: str, where: str) -> None:
        """One more row of a kind."""
        self.counts[kind] += 1
        named = self.examples.setdefault(kind, [])
        if len(named) < MAX_EXAMPLES:
            named.append(where)

    def count(self, kind: str, rows: int = 1) -> None:
        """So many rows of a kind, of which none is named."""
        self.counts[kind] += rows
        self.examples.setdefault(kind, [])

    def in_words(self) -> str:
        """One line: each kind, how many rows, and the first of them."""
        said = [f"{kind}: {count}{self._named(kind)}" for kind, count in self.counts.most_common()]
        return "; ".join(said) or "it is empty"

    def _named(self, kind: str) -> str:
        first = self.examples[kind][:NAMED]
        more = ", ..." if self.counts[kind] > len(first) else ""
        return f" ({', '.join(first)}{more})" if first else ""

    def as_json(self) -> list[dict[str, object]]:
        """Kinds by how often they occur."""
        return [
            {"problem": kind, "rows": count, "for_example": self.examples[kind]}
            for kind, count in self.counts.most_common()
        ]


def parse(record: Mapping[str, Any], codes: Collection[str] = ()) -> Row:
    """A row from an object of the row form. codes: that a policy lists beside the taxonomy's. Raises RowError."""
    identity = record.get("id")
    if not isinstance(identity, str | int) or isinstance(identity, bool) or str(identity) == "":
        raise RowError("no id")
    images = record.get("images") or []
    if not isinstance(images, list) or not all(isinstance(image, str) and image for image in images):
        raise RowError("images is no list of paths")
    row = Row(
        id=str(identity),
        request=_text(record, "request") or "",
        response=_text(record, "response"),
        images=tuple(images),
        request_label=label(record, "request_label"),
        response_label=label(record, "response_label"),
        categories=_categories(record.get("category"), codes),
        ood_name=_text(record, "ood_name") or None,
        source=_text(record, "source") or None,
    )
    stated = record.get("modality")
    if not (row.request or row.response or row.images):
        raise RowError("neither request, response nor images")
    if stated is not None and stated != row.modality:
        raise RowError(f"modality {str(stated)[:20]!r}, but its parts make it {row.modality.value}")
    return row


def as_json(row: Row) -> dict[str, object]:
    """The row form; `source` is left out where there is none."""
    made: dict[str, object] = {
        "id": row.id,
        "modality": row.modality.value,
        "request": row.request,
        "response": row.response,
        "images": list(row.images),
        "request_label": row.request_label,
        "response_label": row.response_label,
        "category": list(row.categories) if len(row.categories) > 1 else next(iter(row.categories), None),
        "ood_name": row.ood_name,
    }
    return made | ({"source": row.source} if row.source else {})


def label(record: Mapping[str, Any], key: str) -> Outcome | None:
    """safe, unsafe or None. Raises RowError for anything else."""
    value = record.get(key)
    try:
        return _LABELS[value]
    except (KeyError, TypeError):
        raise RowError(f"{key} is neither safe, unsafe nor null") from None


def _text(record: Mapping[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise RowError(f"{key} is no text")
    return value


def _categories(value: object, listed: Collection[str]) -> tuple[str, ...]:
    codes = [value] if isinstance(value, str) else value or []
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise RowError("category is neither a code, a list of codes nor null")
    if unknown := [code for code in codes if code not in TAXONOMY_CODES and code not in listed]:
        also = ", and the policy does not list it" if listed else ""
        raise RowError(f"category {unknown[0][:12]!r} is not in the taxonomy{also}")
    return tuple(codes)


def read_lines(path: Path, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects of a JSON Lines file, plain or gzipped, each with its place (`line 7`). What is none is a problem."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"line {number}"
            try:
                record = orjson.loads(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)
            except orjson.JSONDecodeError:
                problems.add("not JSON", place)
                continue
            if isinstance(record, dict):
                yield place, record
            else:
                problems.add("not an object", place)


def read_rows(path: Path, problems: Problems, codes: Collection[str] = ()) -> list[Row]:
    """Rows of a file in the row form; what is wrong with the others is noted. codes: as in parse."""
    rows = []
    for place, record in read_lines(path, problems):
        try:
            rows.append(parse(record, codes))
        except RowError as error:
            problems.add(str(error), place)
            continue
        if unknown := sorted(set(record) - _KEYS - {"source"}):
            problems.add(f"unknown key {unknown[0][:30]!r} (ignored)", place)
    return rows


def examine(rows: Iterable[Row], problems: Problems) -> list[Row]:
    """The rows that can be scored; the others are noted.

    Left out: rows without any label, and rows whose content stands elsewhere in the set with the opposite label.
    Mended: a label for a response that is not there, and the category of a row that is labelled safe.
    """
    mended = [_mended(row, problems) for row in rows]
    seen: dict[tuple[object, ...], set[tuple[str, Outcome]]] = {}
    contents: set[tuple[object, ...]] = set()
    for row in mended:
        labels = (("request", row.request_label), ("response", row.response_label))
        seen.setdefault(_content(row), set()).update((turn, said) for turn, said in labels if said is not None)
    kept = []
    for row in mended:
        said = seen[_content(row)]
        if row.request_label is None and row.response_label is None:
            problems.add("no label (left out)", row.id)
        elif len({turn for turn, _ in said}) < len(said):
            problems.add("the same content has both labels (left out)", row.id)
        else:
            kept.append(row)
            if _content(row) in contents:
                problems.add("repeats another row (kept)", row.id)
            contents.add(_content(row))
    return _with_own_ids(kept, problems)


def _mended(row: Row, problems: Problems) -> Row:
    if row.response_label is not None and not row.response:
        problems.add("a response label without a response (label ignored)", row.id)
        row = replace(row, response_label=None)
    if row.safe and (row.categories or row.ood_name):
        problems.add("safe, yet with a category (category ignored)", row.id)
        row = replace(row, categories=(), ood_name=None)
    return row


def _content(row: Row) -> tuple[object, ...]:
    return row.request, row.response, row.images


def _with_own_ids(rows: list[Row], problems: Problems) -> list[Row]:
    """Ids name rows in answers and comparisons, so each is used once."""
    used: Counter[str] = Counter()
    taken = {row.id for row in rows}
    named = []
    for row in rows:
        used[row.id] += 1
        if used[row.id] == 1:
            named.append(row)
            continue
        problems.add("an id that was used before (numbered)", row.id)
        while (own := f"{row.id}#{used[row.id]}") in taken:
            used[row.id] += 1
        taken.add(own)
        named.append(replace(row, id=own))
    return named
