"""What the frozen encoder says of rows: one array of all windows, computed once a dataset."""

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.embedded.reader import Readers
from proguard_core.guards.embedded.text_model import Reading
from proguard_core.guards.embedded.windows import normalise
from proguard_core.training.embedded.heads.taught import Taught

REQUEST, RESPONSE = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """One entry a window: the row that it belongs to, its turn (REQUEST or RESPONSE), logits and features."""

    rows: NDArray[np.int64]
    turns: NDArray[np.int64]
    logits: NDArray[np.float64]
    features: NDArray[np.float64]


def windows_of(rows: Sequence[Taught], readers: Readers, threads: int, keep: Path | None, encoder: str) -> Windows:
    """Every window of every row, in order. keep: a file in which they stay, for a run that begins again.

    encoder: hashes of the encoder's files and code; what was kept for another encoder or other rows is not used.
    """
    key = _key(rows, encoder)
    if keep is not None and (kept := _kept(keep, key)) is not None:
        return kept
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda each: _readings(each, readers), rows))
    placed = [(row, turn, reading) for row, made in enumerate(found) for turn, reading in made]
    width = placed[0][2].features.shape[0] if placed else 0
    outputs = placed[0][2].logits.shape[0] if placed else 0
    made = Windows(
        np.array([row for row, _, _ in placed], np.int64),
        np.array([turn for _, turn, _ in placed], np.int64),
        np.array([reading.logits for _, _, reading in placed]).reshape(len(placed), outputs),
        np.array([reading.features for _, _, reading in placed], np.float64).reshape(len(placed), width),
    )
    if keep is not None:
        _keep(keep, key, made)
    return made


def _readings(each: Taught, readers: Readers) -> list[tuple[int, Reading]]:
    """As the guard at run time reads a post."""
    text = normalise(each.row.request)
    made = [(REQUEST, reading) for reading in readers.readings(text)] if text.strip() else []
    if each.row.response is not None:
        made += [(RESPONSE, reading) for reading in readers.readings(text, normalise(each.row.response))]
    return made


def _key(rows: Sequence[Taught], encoder: str) -> str:
    texts = json.dumps([(each.row.request, each.row.response) for each in rows])
    return hashlib.sha256(f"{encoder} {texts}".encode("utf-8", "surrogatepass")).hexdigest()


def _kept(path: Path, key: str) -> Windows | None:
    try:
        with np.load(path, allow_pickle=False) as held:
            if str(held["key"]) != key:
                return None
            return Windows(held["rows"], held["turns"], held["logits"], held["features"].astype(np.float64))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(path: Path, key: str, made: Windows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            np.savez(
                file,
                key=np.array(key),
                rows=made.rows,
                turns=made.turns,
                logits=made.logits,
                features=made.features.astype(np.float32),
            )
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
