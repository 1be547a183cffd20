"""Datasets on disk: our own rows (JSON Lines), verl's (Parquet) and TRL's (`datasets`), each with its datasheet.

A folder is written beside its place and then renamed: what stands there is whole.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from proguard_core.beside import folder_beside
from proguard_core.dataset.builder import Dataset
from proguard_core.dataset.datasheet import as_markdown, datasheet
from proguard_core.dataset.items import Item
from proguard_core.dataset.pictures import Fetch, local, training_bytes
from proguard_core.dataset.samples import Sample
from proguard_core.evaluation.rows import as_json

SIDES = ("train", "held_out")
DATASHEET, DATASHEET_TEXT = "datasheet.json", "datasheet.md"
IMAGE_MARK = "<image>"
ABILITY = "moderation"
_ROWS_A_GROUP = 500
_PICTURES_KEPT = 64


class WriteError(RuntimeError):
    """A dataset cannot be written: the place is taken, or a package is missing."""


def write_own(dataset: Dataset, folder: Path, fetch: Fetch = local) -> None:
    """train.jsonl, held_out.jsonl in the row form, pictures in `pictures/`, named by their digest."""

    def write(into: Path) -> None:
        (into / "pictures").mkdir()
        for side, samples in _sides(dataset):
            with (into / f"{side}.jsonl").open("wb") as file:
                for sample in samples:
                    file.write(orjson.dumps(_own_row(sample, into / "pictures", fetch)) + b"\n")

    _whole(dataset, folder, write)


def write_verl(dataset: Dataset, folder: Path, fetch: Fetch = local) -> None:
    """train.parquet and held_out.parquet as verl's RLHFDataset reads them, pictures as bytes. Needs pyarrow."""
    pa, parquet = _arrow()

    def write(into: Path) -> None:
        for side, samples in _sides(dataset):
            with parquet.ParquetWriter(into / f"{side}.parquet", _verl_schema(pa), compression="zstd") as writer:
                for rows in _grouped(_verl_rows(samples, fetch)):
                    writer.write_table(pa.Table.from_pylist(rows, _verl_schema(pa)))

    _whole(dataset, folder, write)


def write_trl(dataset: Dataset, folder: Path, fetch: Fetch = local) -> None:
    """train.parquet and held_out.parquet for `read_trl`: prompt as turns, images, ground_truth. Needs pyarrow."""
    pa, parquet = _arrow()

    def write(into: Path) -> None:
        for side, samples in _sides(dataset):
            with parquet.ParquetWriter(into / f"{side}.parquet", _trl_schema(pa), compression="zstd") as writer:
                for rows in _grouped(_trl_rows(samples, fetch)):
                    writer.write_table(pa.Table.from_pylist(rows, _trl_schema(pa)))

    _whole(dataset, folder, write)


def read_trl(folder: Path, side: str = "train") -> Any:
    """A `datasets.Dataset` for GRPOTrainer, images decoded when a row is asked for. Needs `datasets`."""
    try:
        from datasets import Dataset as Table
        from datasets import Image, List
    except ImportError:
        raise WriteError("TRL's datasets need the `train` extra") from None
    table = Table.from_parquet(str(folder / f"{side}.parquet"), cache_dir=str(folder / ".cache"))
    return table.cast_column("images", List(Image()))


def _own_row(sample: Sample, pictures: Path, fetch: Fetch) -> dict[str, object]:
    item = sample.item
    images = []
    for image in item.row.images:
        data = fetch(image)
        name = hashlib.sha256(data).hexdigest()
        (pictures / name).write_bytes(data)
        images.append(f"pictures/{name}")
    return {**item_record(item), "images": images, **({"origin": item.origin} if item.origin else {})}


def item_record(item: Item) -> dict[str, object]:
    """In the row form, with what `sources.read_items` reads beside it."""
    beside = {
        "licence": item.licence,
        "author": item.author,
        "post_id": item.post_id,
        "synonyms": list(item.synonyms),
        "observed_at": item.observed_at,
    }
    return {**as_json(item.row), **{key: value for key, value in beside.items() if value}}


def _verl_rows(samples: Sequence[Sample], fetch: Fetch) -> Iterator[dict[str, object]]:
    read = _reader(fetch)
    for index, sample in enumerate(samples):
        prompt = sample.prompt()
        item = sample.item
        turns = [{"role": "system", "content": prompt.system}] if prompt.system else []
        mark = IMAGE_MARK if sample.picture else ""
        yield {
            "data_source": f"proguard/{item.modality.value}",
            "prompt": [*turns, {"role": "user", "content": f"{mark}{prompt.user}"}],
            "images": [{"bytes": read(image)} for image in item.row.images],
            "ability": ABILITY,
            "reward_model": {"style": "rule", "ground_truth": sample.truth.to_json()},
            "extra_info": {"index": index, "id": item.row.id, "modality": item.modality.value, "origin": item.origin},
        }


def _trl_rows(samples: Sequence[Sample], fetch: Fetch) -> Iterator[dict[str, object]]:
    read = _reader(fetch)
    for sample in samples:
        prompt = sample.prompt()
        item = sample.item
        turns = [{"role": "system", "content": prompt.system}] if prompt.system else []
        yield {
            "prompt": [*turns, {"role": "user", "content": prompt.user}],
            "images": [{"bytes": read(image), "path": None} for image in item.row.images],
            "ground_truth": sample.truth.to_json(),
            "modality": item.modality.value,
            "id": item.row.id,
        }


def _reader(fetch: Fetch) -> Callable[[str], bytes]:
    """Pictures as trainers take them; the same one comes in several rows in a row."""
    return lru_cache(_PICTURES_KEPT)(lambda reference: training_bytes(fetch(reference)))


def _grouped(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    group: list[dict[str, object]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROWS_A_GROUP:
            yield group
            group = []
    if group:
        yield group


def _turns(pa: Any) -> Any:
    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def _verl_schema(pa: Any) -> Any:
    return pa.schema(
        [
            ("data_source", pa.string()),
            ("prompt", _turns(pa)),
            ("images", pa.list_(pa.struct([("bytes", pa.binary())]))),
            ("ability", pa.string()),
            ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
            (
                "extra_info",
                pa.struct([("index", pa.int64()), *((name, pa.string()) for name in ("id", "modality", "origin"))]),
            ),
        ]
    )


def _trl_schema(pa: Any) -> Any:
    return pa.schema(
        [
            ("prompt", _turns(pa)),
            ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
            *((name, pa.string()) for name in ("ground_truth", "modality", "id")),
        ]
    )


def _sides(dataset: Dataset) -> tuple[tuple[str, Sequence[Sample]], ...]:
    return tuple(zip(SIDES, (dataset.train, dataset.held_out), strict=True))


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise WriteError("Parquet needs pyarrow (it comes with the `train` extra)") from None
    return pyarrow, parquet


def _whole(dataset: Dataset, folder: Path, write: Callable[[Path], None]) -> None:
    if folder.exists():
        raise WriteError(f"{folder} is there already: datasets are never changed")
    with folder_beside(folder) as into:
        write(into)
        sheet = datasheet(dataset)
        (into / DATASHEET).write_text(json.dumps(sheet, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (into / DATASHEET_TEXT).write_text(as_markdown(sheet), encoding="utf-8")
        into.chmod(0o755)
        os.replace(into, folder)
