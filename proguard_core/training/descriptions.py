"""Similarities of guessed names to phrases: phrases are embedded once, names in one batch, compared in one product."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from proguard_core.novelty.description import DescriptionBounds
from proguard_core.novelty.manifest import FOLDER, read_manifest
from proguard_core.policy.policy import Policy
from proguard_core.training.truth import Truth

Matrix = NDArray[np.float32]
_UNIT_TOLERANCE = 0.02


class RewardError(RuntimeError):
    """The reward cannot be computed. Training must stop: any number in its place would be learned from."""


class Encoder(Protocol):
    """A sentence encoder. encode: (n, d) float32, each row of length 1."""

    def encode(self, texts: Sequence[str]) -> Matrix: ...


@dataclass(frozen=True, slots=True)
class Compared:
    """One entry a name: similarity to the nearest phrase of its own category, the mean over these, the highest mean
    over the phrases of any other main category (-1 where there is none), and the nearest phrase of a listed category.
    """

    nearest: Matrix
    mean: Matrix
    rival: Matrix
    listed: Matrix


class Descriptions:
    """The phrases of a policy as vectors, and those of truths as they come. May be shared by threads.

    bounds: fitted to the encoder; there is no default, since those of one encoder mislead another.
    """

    def __init__(self, encoder: Encoder, policy: Policy, bounds: DescriptionBounds) -> None:
        self.bounds = bounds
        self._encoder = encoder
        self._lock = threading.Lock()
        self._places: dict[str, int] = {}
        self._vectors: Matrix = np.zeros((0, 0), np.float32)
        items = {**policy.categories, **policy.subcategories}
        of_policy = {code: (item.name, *item.synonyms) for code, item in items.items()}
        self._embed((), (phrase for phrases in of_policy.values() for phrase in phrases))
        self._codes = {code: self._at(phrases) for code, phrases in of_policy.items()}
        self._mains = list(policy.categories)

    def compare(self, names: Sequence[str], truths: Sequence[Truth]) -> Compared:
        """Each name (non-empty) with the truth of its row, which has phrases. Raises RewardError."""
        distinct = list(dict.fromkeys(names))
        with self._lock:
            vectors = self._embed(distinct, (phrase for truth in truths for phrase in truth.phrases))
            similarities = vectors @ self._vectors.T
        places = {name: at for at, name in enumerate(distinct)}
        rows = np.array([places[name] for name in names])
        own = [self._at(truth.phrases) for truth in truths]
        starts = np.concatenate([[0], np.cumsum([len(each) for each in own])[:-1]]).astype(np.int64)
        sizes = np.array([len(each) for each in own])
        flat = similarities[np.repeat(rows, sizes), np.concatenate(own)]
        mean = np.add.reduceat(flat, starts) / sizes
        return Compared(
            nearest=np.maximum.reduceat(flat, starts),
            mean=mean.astype(np.float32),
            rival=self._rivals(similarities, rows, truths),
            listed=self._listed(similarities, rows, truths),
        )

    def _rivals(self, similarities: Matrix, rows: NDArray[np.int64], truths: Sequence[Truth]) -> Matrix:
        means = np.stack([similarities[:, self._codes[main]].mean(axis=1) for main in self._mains], axis=1)
        is_own = np.array([[main in truth.mains for main in self._mains] for truth in truths])
        return np.asarray(np.where(is_own, -1.0, means[rows]).max(axis=1), np.float32)

    def _listed(self, similarities: Matrix, rows: NDArray[np.int64], truths: Sequence[Truth]) -> Matrix:
        nearest = np.stack([similarities[:, at].max(axis=1) for at in self._codes.values()], axis=1)
        columns = {code: column for column, code in enumerate(self._codes)}
        is_listed = np.zeros((len(truths), len(columns)), bool)
        for row, truth in enumerate(truths):
            is_listed[row, [columns[code] for code in truth.meanings if code in columns]] = True
        return np.asarray(np.where(is_listed, nearest[rows], -1.0).max(axis=1), np.float32)

    def _at(self, phrases: Iterable[str]) -> NDArray[np.int64]:
        return np.array([self._places[phrase] for phrase in phrases], np.int64)

    def _embed(self, names: Sequence[str], phrases: Iterable[str]) -> Matrix:
        """Vectors of names; phrases that are new are embedded in the same batch and kept."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._places]
        texts = [*names, *new]
        if not texts:
            return np.zeros((0, 0), np.float32)
        # Texts of like length together are padded less.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        try:
            encoded = np.asarray(self._encoder.encode([texts[at] for at in order]), np.float32)
        except Exception as error:  # whatever an encoder raises
            raise RewardError(f"the sentence encoder failed: {type(error).__name__}: {error}") from error
        if encoded.ndim != 2 or len(encoded) != len(texts):
            raise RewardError(f"the sentence encoder gave {encoded.shape} for {len(texts)} texts")
        lengths = np.linalg.norm(encoded, axis=1)
        if not np.all(np.abs(lengths - 1) < _UNIT_TOLERANCE):
            raise RewardError("the sentence encoder gave a vector whose length is not 1")
        vectors = np.empty_like(encoded)
        vectors[order] = encoded
        if new:
            known = self._vectors if self._places else np.zeros((0, encoded.shape[1]), np.float32)
            self._vectors = np.concatenate([known, vectors[len(names) :]])
            self._places.update((phrase, len(self._places)) for phrase in new)
        return vectors[: len(names)]


def shipped(policy: Policy, folder: Path = FOLDER, threads: int = 1) -> Descriptions:
    """With the encoder of the package and the bounds that were fitted to it.

    RewardError where encoder or bounds are missing, or where a file of it was changed after the fit.
    """
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        raise RewardError(str(error)) from error
    if "description" not in manifest:
        raise RewardError(f"the sentence encoder in {folder.name} has no fitted thresholds: `make sentence-encoder`")
    from proguard_core.novelty.encoder import SentenceEncoder

    bounds = DescriptionBounds(**manifest["description"])
    return Descriptions(SentenceEncoder(folder, threads), policy, bounds)
