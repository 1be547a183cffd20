"""Rows from files: ProGuard-data as it is published, and labelled rows of one's own (docs/retraining.md)."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from proguard_core.dataset.items import UNKNOWN_LICENCE, Item, Origin
from proguard_core.evaluation.loaders.category_map import CategoryMap
from proguard_core.evaluation.loaders.files import read_records
from proguard_core.evaluation.loaders.picture_sets import labelled, proguard
from proguard_core.evaluation.rows import Problems, Row, RowError, parse

Record = Mapping[str, Any]


class Form(StrEnum):
    """How a file says it.

    proguard: the authors' fields. own: the row form of `proguard evaluate`, with `licence`, `author`, `post_id` and
    `synonyms` beside it; a row with `source_category` and no `category` is read as one of a public set, whose
    categories training/embedded/source_categories.yaml maps to codes, and one with the authors' labels as theirs.
    """

    PROGUARD = "proguard"
    OWN = "own"


def read_items(
    path: Path,
    form: Form,
    origin: Origin,
    problems: Problems,
    licence: str | None = None,
    codes: Collection[str] = (),
) -> Iterator[Item]:
    """Rows of a JSON Lines, JSON, CSV or Parquet file (.gz too), one at a time. Pictures lie relative to the file.

    licence: of rows that name none. codes: of a policy, which own rows may name beside the taxonomy's. Raises FormError
    and OSError for the file; what is wrong with a row is noted.
    """
    convert = _FORMS[form]
    for place, record in read_records(path, problems):
        try:
            for row in convert(record, place, codes):
                yield _item(row, record, origin, path, licence)
        except RowError as error:
            problems.add(str(error), place)


def _item(row: Row, record: Record, origin: Origin, path: Path, licence: str | None) -> Item:
    references = tuple(image if "://" in image else str(path.parent / image) for image in row.images)
    source = row.source or _text(record, "source") or _text(record, "data_source") or path.name.partition(".")[0]
    return Item(
        replace(row, images=references, source=source),
        origin,
        _text(record, "licence") or _text(record, "license") or licence or UNKNOWN_LICENCE,
        _text(record, "author"),
        _text(record, "post_id"),
        _texts(record, "synonyms"),
        _text(record, "observed_at"),
    )


def _own(record: Record, place: str, codes: Collection[str]) -> list[Row]:
    if "source_category" in record and "category" not in record:
        return labelled(record, place, _NO_MAP)
    if "request_label" not in record and _has_authors_labels(record):
        return proguard(record, place, _NO_MAP)
    return [parse({"id": place, **record}, codes)]


def _has_authors_labels(record: Record) -> bool:
    beside = record.get("extra_info")
    return any("query_label" in held for held in (record, beside) if isinstance(held, Mapping))


def _proguard(record: Record, place: str, _codes: Collection[str]) -> list[Row]:
    return proguard(record, place, _NO_MAP)


def _text(record: Record, key: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise RowError(f"{key} is no text")
    return value or None


def _texts(record: Record, key: str) -> tuple[str, ...]:
    values = record.get(key) or ()
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise RowError(f"{key} is no list of texts")
    return tuple(values)


_NO_MAP = CategoryMap({})
_FORMS: dict[Form, Callable[[Record, str, Collection[str]], list[Row]]] = {Form.PROGUARD: _proguard, Form.OWN: _own}
