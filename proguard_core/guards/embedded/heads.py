"""Heads that were taught after the artefact: a folder of two small files, for one encoder and no other.

heads.npy: float32, one row a head, one column a feature and the bias last. Rows are request, response, the codes of the
artefact in its order, then the categories that were learned since. A row is added to what the artefact says itself:

    request, response and code:  z = logit / temperature + row . (features, 1)
    learned category:            z = logit of `other` / temperature + row . (features, 1)

so rows of zeros are the artefact itself. manifest.json says what they were made for and of (docs/retraining.md).
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proguard_core.guards.adapters import digest_of
from proguard_core.guards.embedded.text_model import CALIBRATION, FIRST_CATEGORY, MODEL, OTHER, TOKENIZER, Calibration
from proguard_core.policy.policy import Policy
from proguard_core.policy.taxonomy import name_key
from schemas.verdict import MAX_NAME_CHARACTERS

FORMAT, KIND = 1, "embedded heads"
WEIGHTS, MANIFEST = "heads.npy", "manifest.json"
FILES = (MANIFEST, WEIGHTS)
BASE_FILES = (MODEL, TOKENIZER, CALIBRATION)
MOST_LEARNED = 200

Weights = NDArray[np.float32]


class HeadsError(ValueError):
    """Heads that must not be served; the message says why."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A category that the taxonomy has no code for. name as people confirmed it; synonyms: other words for it."""

    name: str
    synonyms: tuple[str, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """Its name and synonyms, by `name_key`."""
        return frozenset(map(name_key, (self.name, *self.synonyms)))

    def code(self, policy: Policy) -> str | None:
        """The code that the policy lists it under, by its name before any synonym; None where it does not."""
        found = (policy.codes_by_name.get(name_key(phrase)) for phrase in (self.name, *self.synonyms))
        return next((code for code in found if code is not None), None)


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """weights: (FIRST_CATEGORY + codes + learned) x (features + 1). threshold: as Calibration.category_threshold."""

    weights: Weights
    learned: tuple[Learned, ...]
    threshold: float

    def add(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """What each row adds for one window's features."""
        return np.asarray(self.weights[:, :-1] @ features + self.weights[:, -1], dtype=np.float64)


def base_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the artefact's files that heads stand on, by file name. Raises OSError."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in BASE_FILES}


def none_yet(calibration: Calibration, features: int) -> Heads:
    """The artefact's own heads: rows of zeros."""
    rows = FIRST_CATEGORY + len(calibration.codes)
    return Heads(np.zeros((rows, features + 1), np.float32), (), calibration.category_threshold)


def load(
    folder: Path, base: Mapping[str, str], calibration: Calibration, features: int, digest: str | None = None
) -> Heads:
    """Heads for this artefact, all checked before anything is used.

    base: base_hashes of the artefact; features: width of its encoder's; digest: adapters.digest_of both files when they
    were admitted. Raises HeadsError.
    """
    try:
        files = [(folder / name).read_bytes() for name in FILES]
        manifest = json.loads(files[0])
    except OSError as error:
        raise HeadsError(f"the heads in {folder.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise HeadsError(f"{folder.name}/{MANIFEST} is not JSON") from error
    if digest is not None and digest_of(files) != digest:
        raise HeadsError(f"the heads in {folder.name} changed while they were read")
    if not isinstance(manifest, dict) or (manifest.get("kind"), manifest.get("format")) != (KIND, FORMAT):
        raise HeadsError(f"{folder.name} is no folder of heads of format {FORMAT}")
    _check_base(folder, manifest, base)
    if manifest.get("heads_sha256") != hashlib.sha256(files[1]).hexdigest():
        raise HeadsError(f"{folder.name}/{WEIGHTS} is not the file of its manifest: half-written, or changed")
    learned, threshold = _learned(folder, manifest), _threshold(folder, manifest)
    weights = _weights(folder, files[1], FIRST_CATEGORY + len(calibration.codes) + len(learned), features + 1)
    return Heads(weights, learned, threshold)


def key_of(learned: Learned, policy: Policy) -> str:
    """Under which key the probability of a learned category is placed: its code, or its name behind a mark."""
    return learned.code(policy) or f"{UNLISTED}{learned.name}"


UNLISTED = "unlisted:"


def unlisted_name(key: str) -> str | None:
    """The name of a learned category that the policy does not list; None for codes."""
    return key.removeprefix(UNLISTED) if key.startswith(UNLISTED) else None


def _check_base(folder: Path, manifest: Mapping[str, Any], base: Mapping[str, str]) -> None:
    made_for = manifest.get("base")
    if not isinstance(made_for, dict):
        raise HeadsError(f"{folder.name}/{MANIFEST} does not say which artefact the heads are for")
    for name, expected in base.items():
        if made_for.get(name) != expected:
            raise HeadsError(
                f"the heads in {folder.name} are for another artefact: their {name} is "
                f"{str(made_for.get(name))[:12]}, the guard's is {expected[:12]}"
            )


def _learned(folder: Path, manifest: Mapping[str, Any]) -> tuple[Learned, ...]:
    listed = manifest.get("learned")
    if not isinstance(listed, list) or len(listed) > MOST_LEARNED:
        raise HeadsError(f"{folder.name}/{MANIFEST}: learned is no list of at most {MOST_LEARNED} categories")
    found = []
    for each in listed:
        phrases = (each.get("name"), *_texts(each.get("synonyms"))) if isinstance(each, dict) else (None,)
        if not all(isinstance(text, str) and 0 < len(text) <= MAX_NAME_CHARACTERS for text in phrases):
            raise HeadsError(f"{folder.name}/{MANIFEST}: a learned category has no usable name")
        found.append(Learned(str(phrases[0]), tuple(map(str, phrases[1:]))))
    if len({name_key(each.name) for each in found}) < len(found) or OTHER in {name_key(each.name) for each in found}:
        raise HeadsError(f"{folder.name}/{MANIFEST}: two learned categories have one name")
    return tuple(found)


def _texts(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _threshold(folder: Path, manifest: Mapping[str, Any]) -> float:
    value = manifest.get("category_threshold")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise HeadsError(f"{folder.name}/{MANIFEST}: category_threshold is no probability")
    return float(value)


def _weights(folder: Path, content: bytes, rows: int, columns: int) -> Weights:
    try:
        weights = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise HeadsError(f"{folder.name}/{WEIGHTS} is no array") from error
    if weights.dtype != np.float32 or weights.shape != (rows, columns):
        found = " x ".join(map(str, weights.shape))
        raise HeadsError(f"{folder.name}/{WEIGHTS} is {weights.dtype} of {found}, not float32 of {rows} x {columns}")
    if not np.isfinite(weights).all():
        raise HeadsError(f"{folder.name}/{WEIGHTS} holds what is no number")
    return np.ascontiguousarray(weights)
