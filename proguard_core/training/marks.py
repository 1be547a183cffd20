"""Marks of what was learned from: enough to know a row again, or one near to it, without any content.

A run's dataset step leaves them as `marks.npz`. A gate joins those of a run and of all its ancestors, and judges by no
row that is near to one of them. Signatures are of the same kind as in `proguard_core.dataset.duplicates`, but the
numbers here belong to a file format: they stay as they are when those change.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proguard_core.dataset.duplicates import normal
from proguard_core.dataset.items import Item
from proguard_core.dataset.pictures import NEAR_BITS, Fingerprint
from proguard_core.policy.taxonomy import CATEGORY_CODE, SUBCATEGORY_CODE, name_key

FORMAT = 1
FILE = "marks.npz"
SIMILARITY = 0.8
_RUN, _PERMUTATIONS, _BANDS, _SEED = 5, 128, 32, 7
_PICTURE_BYTES, _AUTHOR_BYTES = 32, 8
_CHUNK = 2000
# A text that long says by itself what it is about, whatever picture goes with it.
_TELLING = 64
_MIXING = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64)

Words = NDArray[np.uint32]
Bytes = NDArray[np.uint8]


class MarksError(ValueError):
    """No file of marks, or one of another format."""


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """texts: (n, 128) MinHash of each text. pictures: (m, 32) bits of each difference hash.

    authors: first 8 bytes of SHA-256 of each author, as hexadecimal digits: pseudonyms, no names. latest: the time
    (RFC 3339 UTC) of the latest row, by `category_key`.
    """

    texts: Words
    pictures: Bytes
    authors: frozenset[str] = frozenset()
    latest: Mapping[str, str] | None = None

    def plus(self, other: "Marks") -> "Marks":
        """Of both."""
        latest = dict(self.latest or {})
        for key, time in (other.latest or {}).items():
            latest[key] = max(time, latest.get(key, time))
        return Marks(
            np.unique(np.concatenate([self.texts, other.texts]), axis=0),
            np.unique(np.concatenate([self.pictures, other.pictures]), axis=0),
            self.authors | other.authors,
            latest,
        )

    def write(self, path: Path) -> None:
        """A file of a few hundred bytes a row."""
        said = {"format": FORMAT, "authors": sorted(self.authors), "latest": dict(sorted((self.latest or {}).items()))}
        with path.open("wb") as file:
            np.savez_compressed(
                file, texts=self.texts, pictures=self.pictures, said=np.frombuffer(json.dumps(said).encode(), np.uint8)
            )


NOTHING = Marks(np.zeros((0, _PERMUTATIONS), np.uint32), np.zeros((0, _PICTURE_BYTES), np.uint8))


def read(path: Path) -> Marks:
    """Raises MarksError."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            said = json.loads(held["said"].tobytes())
            texts, pictures = held["texts"], held["pictures"]
        if said["format"] != FORMAT:
            raise MarksError(f"{path.name}: marks of format {said['format']}, not {FORMAT}")
        if texts.shape[1:] != (_PERMUTATIONS,) or pictures.shape[1:] != (_PICTURE_BYTES,):
            raise MarksError(f"{path.name}: marks of another shape")
        return Marks(
            texts.astype(np.uint32), pictures.astype(np.uint8), frozenset(said["authors"]), dict(said["latest"])
        )
    except MarksError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise MarksError(f"{path.name}: no marks ({type(error).__name__})") from error


def of(items: Sequence[Item], prints: Mapping[str, Fingerprint]) -> Marks:
    """Marks of rows. prints: of every picture that a row names; those that are not there are left out."""
    texts = [text for item in items if (text := _text(item))]
    shown = [prints[image].bits for item in items for image in item.row.images if image in prints]
    latest: dict[str, str] = {}
    for item in items:
        if item.observed_at is not None:
            for key in category_keys(item):
                latest[key] = max(item.observed_at, latest.get(key, item.observed_at))
    made = Marks(
        signatures(texts),
        np.frombuffer(b"".join(shown), np.uint8).reshape(-1, _PICTURE_BYTES),
        frozenset(author_mark(item.author) for item in items if item.author is not None),
        latest,
    )
    return NOTHING.plus(made)


def near(marks: Marks, items: Sequence[Item], prints: Mapping[str, Fingerprint]) -> set[str]:
    """Ids of rows that are near to something marked: by picture, or by a text that tells what the row is about."""
    if not len(marks.texts) and not len(marks.pictures):
        return set()
    told = [(item, text) for item in items if (text := _text(item)) and (not item.row.images or len(text) >= _TELLING)]
    found: set[str] = set()
    hits = _near_texts(signatures([text for _, text in told]), marks.texts)
    found.update(item.row.id for (item, _), hit in zip(told, hits, strict=True) if hit)
    for item in items:
        shown = [prints[image] for image in item.row.images if image in prints]
        if any(_is_near_picture(each, marks.pictures) for each in shown):
            found.add(item.row.id)
    return found


def signatures(texts: Sequence[str]) -> Words:
    """(n, 128) MinHash of texts in normal form."""
    import rensa

    made = [NOTHING.texts]
    for begin in range(0, len(texts), _CHUNK):  # all runs of all texts at once take gigabytes
        chunk = texts[begin : begin + _CHUNK]
        runs = [{text[at : at + _RUN] for at in range(max(1, len(text) - _RUN + 1))} for text in chunk]
        hashed = rensa.RMinHash.from_token_sets(runs, _PERMUTATIONS, _SEED)
        made.append(np.array([each.digest() for each in hashed], np.uint32))
    return np.concatenate(made)


def author_mark(author: str) -> str:
    """A pseudonym."""
    return hashlib.sha256(f"author\0{author}".encode()).hexdigest()[: 2 * _AUTHOR_BYTES]


def category_keys(item: Item) -> tuple[str, ...]:
    """Under which its category stands in `latest`; none for a safe row."""
    if not item.row.unsafe:
        return ()
    named = (item.row.ood_name,) if item.row.ood_name else ()
    return tuple(category_key(each) for each in (*item.row.categories, *named))


def category_key(category: str) -> str:
    """A code as it is; a name in the form in which names are compared."""
    is_code = CATEGORY_CODE.fullmatch(category) or SUBCATEGORY_CODE.fullmatch(category)
    return category if is_code else name_key(category)


def joined(several: Iterable[Marks]) -> Marks:
    """Of all of them."""
    found = NOTHING
    for each in several:
        found = found.plus(each)
    return found


def _text(item: Item) -> str:
    return normal(f"{item.row.request}\n{item.row.response or ''}")


def _near_texts(asked: Words, marked: Words) -> NDArray[np.bool_]:
    """Which of the asked are near to one that is marked. Near ones share a band of the signature, almost surely."""
    found = np.zeros(len(asked), bool)
    if not len(asked) or not len(marked):
        return found
    rows = _PERMUTATIONS // _BANDS
    for band in range(_BANDS):
        columns = slice(band * rows, (band + 1) * rows)
        keys = _as_keys(marked[:, columns])
        order = np.argsort(keys)
        wanted = _as_keys(asked[:, columns])
        begins = np.searchsorted(keys[order], wanted, "left")
        ends = np.searchsorted(keys[order], wanted, "right")
        for at in np.flatnonzero((ends > begins) & ~found):
            alike = (marked[order[begins[at] : ends[at]]] == asked[at]).mean(axis=1)
            found[at] = bool(alike.max() >= SIMILARITY)
    return found


def _as_keys(columns: Words) -> NDArray[np.uint64]:
    """One number a row. Rows that share a number without being alike cost a look, no more."""
    return columns.astype(np.uint64) @ _MIXING


def _is_near_picture(asked: Fingerprint, marked: Bytes) -> bool:
    if not len(marked):
        return False
    differing = np.bitwise_count(marked ^ np.frombuffer(asked.bits, np.uint8)).sum(axis=1)
    return bool(differing.min() <= NEAR_BITS)
