"""Records of a file as it is published: CSV, JSON, JSON Lines (each may be gzipped) and Parquet."""

import csv
import errno
import gzip
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import orjson

from proguard_core.evaluation.rows import Problems, read_lines

Record = Mapping[str, Any]
FORMS = (".csv", ".json", ".jsonl", ".parquet")


class FormError(ValueError):
    """A file that is not what its set is published as; the text names the file."""


class HubError(FormError):
    """A hub cannot be reached, or does not have the set; trying again may help."""


def read_records(path: Path, problems: Problems) -> Iterator[tuple[str, Record]]:
    """The records of a file, each with its place. Raises FormError, OSError."""
    form = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if form == ".csv":
        yield from _csv(path)
    elif form == ".jsonl":
        yield from read_lines(path, problems)
    elif form == ".json":
        yield from _json(path)
    elif form == ".parquet":
        yield from _parquet(path)
    else:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        raise FormError(f"{path.name}: the name must end with one of {', '.join(FORMS)}, or with .gz behind it")


def _csv(path: Path) -> Iterator[tuple[str, Record]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _binary(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for record in reader:
                yield f"line {reader.line_num}", record
        except (csv.Error, UnicodeDecodeError) as error:
            raise FormError(f"{path.name}: no CSV from line {reader.line_num} on: {error}") from None


def _binary(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _json(path: Path) -> Iterator[tuple[str, Record]]:
    with _binary(path) as file:
        data = file.read()
    try:
        loaded = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FormError(f"{path.name}: no JSON: {error}") from None
    if not isinstance(loaded, list):
        raise FormError(f"{path.name}: no list of records")
    for number, record in enumerate(loaded, 1):
        if not isinstance(record, dict):
            raise FormError(f"{path.name}: record {number} is no object")
        yield f"record {number}", record


def _parquet(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise FormError(
            f"{path.name}: Parquet needs pyarrow (it comes with the `train` extra), or convert the file to JSON Lines"
        ) from None
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield f"row {number}", record
    except ArrowException as error:
        raise FormError(f"{path.name}: no Parquet from row {number + 1} on: {error}") from None
