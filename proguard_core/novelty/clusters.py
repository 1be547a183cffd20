"""Crowds of like risks: which cluster a risk joins, and how all of them are clustered anew with ids that stay.

A risk's vector is its post's with the guard's name for it beside (`beside`), so that a guard that renames a risk does
not make another one of it. numpy for joining; `cluster` and `match` need scikit-learn (the extra `console`).
"""

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

NONE = -1
MOST_ALONE = 3000
# Many neighbours keep large crowds whole, few find small ones early.
_SAMPLES, _FEW_SAMPLES = 15, 5
GOOD_PART = 0.2
"""Share of a cluster that is a good part of it."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """name_weight: of the name's vector beside the post's. min_size: members of a cluster; min_share: of all risks, in
    the first pass. dimensions: principal components that HDBSCAN sees; sample: risks that it sees at most.
    coherence: mean cosine of members to their centre below which a crowd is none; join: cosine from which a risk joins;
    alike: mean cosine of centres from which crowds are one.
    """

    name_weight: float = 0.6
    min_size: int = 8
    min_share: float = 0.005
    dimensions: int = 15
    sample: int = 12_000
    coherence: float = 0.63
    join: float = 0.55
    alike: float = 0.65
    seed: int = 0


DEFAULTS = ClusterSettings()


@dataclass(frozen=True, slots=True)
class Matching:
    """ids: of each new label the old cluster that it goes on from, None for a new one. splits: old cluster -> the new
    labels that took a good part of it, beside the one that goes on. merges: old cluster -> the new label that most of
    it is in now, where that label goes on from another cluster.
    """

    ids: Mapping[int, str | None] = field(default_factory=dict)
    splits: Mapping[str, Sequence[int]] = field(default_factory=dict)
    merges: Mapping[str, int] = field(default_factory=dict)


def beside(posts: Floats, names: Floats, weight: float = DEFAULTS.name_weight) -> Floats:
    """Unit vectors of risks, from unit vectors of posts and of names, row by row."""
    return unit(posts + weight * names)


def unit(vectors: Floats) -> Floats:
    """Rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def nearest(vectors: Floats, centres: Floats) -> tuple[Labels, Floats]:
    """Of each vector the row of the centre with the largest cosine, and that cosine; NONE and -1 without centres."""
    if len(centres) == 0:
        return np.full(len(vectors), NONE, dtype=np.int64), np.full(len(vectors), -1, dtype=np.float32)
    similarities = vectors @ centres.T
    best = similarities.argmax(axis=1)
    return best.astype(np.int64), similarities[np.arange(len(vectors)), best]


def centres_of(vectors: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Unit centres of labels 0, 1, ..., and the coherence of each: the mean cosine of its members to it."""
    count = int(labels.max()) + 1 if len(labels) else 0
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    members = labels >= 0
    np.add.at(sums, labels[members], vectors[members])
    sizes = np.bincount(labels[members], minlength=count)[:, None]
    return unit(sums), np.linalg.norm(sums / np.maximum(sizes, 1), axis=1)


def cluster(vectors: Floats, settings: ClusterSettings = DEFAULTS) -> Labels:
    """Labels 0, 1, ... of unit vectors, NONE for what is in no crowd. The same vectors give the same labels.

    HDBSCAN (Campello et al. 2013) over principal components, first for crowds that are a share of all, then for small
    ones among what is left; a crowd whose members point nowhere together is dissolved. Beyond `sample` vectors it sees
    a random part, and the others join the centre that is close enough. Without scikit-learn: `neighbourhoods`.
    """
    if importlib.util.find_spec("sklearn") is None:
        return neighbourhoods(vectors, settings)
    from threadpoolctl import threadpool_limits

    labels = np.full(len(vectors), NONE, dtype=np.int64)
    found = 0
    with threadpool_limits(1):  # threads that wait for each other on a busy machine cost more than they bring
        for share, samples in ((settings.min_share, _SAMPLES), (0.0, _FEW_SAMPLES)):
            left = np.flatnonzero(labels == NONE)
            if len(left) < 2 * settings.min_size:
                break
            labels[left], count = _pass(vectors[left], share, samples, settings, found)
            found += count
            labels = _joined(vectors, labels, settings.join)
        return nearer(vectors, united(vectors, labels, settings))


def neighbourhoods(vectors: Floats, settings: ClusterSettings = DEFAULTS) -> Labels:
    """The same on numpy alone, for the demo: at most MOST_ALONE vectors, the first ones; the others join a centre.

    Again and again the vector with the most neighbours that are left (cosine >= join) and these are a crowd (Butina
    1999, "Unsupervised data base clustering based on Daylight's fingerprint and Tanimoto similarity").
    """
    labels = np.full(len(vectors), NONE, dtype=np.int64)
    seen = vectors[:MOST_ALONE]
    near = seen @ seen.T >= settings.join
    found = 0
    while len(seen):
        counts = near.sum(axis=1)
        middle = int(counts.argmax())
        if counts[middle] < settings.min_size:
            break
        crowd = np.flatnonzero(near[middle])
        labels[crowd] = found
        near[crowd, :] = False
        near[:, crowd] = False
        found += 1
    return _joined(vectors, labels, settings.join)


def united(vectors: Floats, labels: Labels, settings: ClusterSettings = DEFAULTS) -> Labels:
    """Crowds whose centres are alike made one (average linkage); what is no crowd then is dissolved.

    Needs scikit-learn.
    """
    from sklearn.cluster import AgglomerativeClustering

    centres, _ = centres_of(vectors, labels)
    if len(centres) < 2:
        return labels
    linked = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="average", distance_threshold=1 - settings.alike
    )
    of = linked.fit_predict(centres)
    united = np.where(labels == NONE, NONE, of[np.maximum(labels, 0)]).astype(np.int64)
    _, coherence = centres_of(vectors, united)
    united[np.isin(united, np.flatnonzero(coherence < settings.coherence))] = NONE
    return _renumbered(united)


def nearer(vectors: Floats, labels: Labels) -> Labels:
    """Members of crowds in the crowd whose centre is nearest: a small dense one gets those of its kind from the large
    one beside it, and with them its past.
    """
    centres, _ = centres_of(vectors, labels)
    best, _ = nearest(vectors, centres)
    return np.where(labels == NONE, NONE, best)


def settled(labels: Labels, old: Sequence[str | None], min_part: float = GOOD_PART) -> Labels:
    """Labels without small pieces torn out of a cluster that goes on: they stay with it.

    old: of each risk the cluster that an earlier clustering put it in, None where it only joined one since. A piece of
    which at least half was there before would be new by its label alone, and without a past it would look like a burst.
    """
    matching, sizes, kept = match(old, labels, min_part), Counter(old), labels.copy()
    goes_on = {name: label for label, name in matching.ids.items() if name is not None}
    for label, name in matching.ids.items():
        if name is not None:
            continue
        members = np.flatnonzero(labels == label)
        came = Counter(name for name in (old[int(at)] for at in members) if name is not None)
        for source, count in came.most_common(1):
            if source in goes_on and 2 * count >= len(members) and count < min_part * sizes[source]:
                kept[members] = goes_on[source]
    return _renumbered(kept)


def match(old: Sequence[str | None], new: Labels, min_part: float = GOOD_PART) -> Matching:
    """Which old cluster each new label goes on from: the assignment with the most members that stay (Hungarian method).

    old: of each risk the cluster that it was in; min_part: share of an old cluster that is a good part of it.
    """
    names = sorted({each for each in old if each is not None})
    labels = sorted({int(each) for each in new if each != NONE})
    place = {name: at for at, name in enumerate(names)}
    column_of = {label: at for at, label in enumerate(labels)}
    overlap = np.zeros((len(names), len(labels)), dtype=np.int64)
    for name, label in zip(old, new, strict=True):
        if name is not None and label != NONE:
            overlap[place[name], column_of[int(label)]] += 1
    sizes = _sizes(old, place)
    new_sizes = [int((new == label).sum()) for label in labels]
    rows, columns = _assignment(overlap)
    ids: dict[int, str | None] = dict.fromkeys(labels)
    goes_on = {}
    for row, column in zip(rows, columns, strict=True):
        # A few strays in common are no continuation.
        if overlap[row, column] and overlap[row, column] >= min_part * min(sizes[row], new_sizes[column]):
            ids[labels[column]] = names[row]
            goes_on[row] = column
    splits: dict[str, list[int]] = {}
    merges: dict[str, int] = {}
    for row, name in enumerate(names):
        parts = [column for column in range(len(labels)) if overlap[row, column] >= min_part * sizes[row]]
        if row in goes_on:
            others = [labels[column] for column in parts if column != goes_on[row] and ids[labels[column]] is None]
            if others:
                splits[name] = others
        elif parts:
            merges[name] = labels[max(parts, key=lambda column: int(overlap[row, column]))]
    return Matching(ids, splits, merges)


def _assignment(overlap: Labels) -> tuple[Labels, Labels]:
    """Rows and columns that belong together: the largest sum of overlaps; without SciPy the largest overlap first."""
    if importlib.util.find_spec("scipy") is not None:
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(-overlap)
        return rows, columns
    left = overlap.copy()
    pairs: list[tuple[int, int]] = []
    while left.size and left.max() > 0:
        row, column = (int(each) for each in np.unravel_index(left.argmax(), left.shape))
        pairs.append((row, column))
        left[row, :] = left[:, column] = -1
    return np.array([row for row, _ in pairs], np.int64), np.array([column for _, column in pairs], np.int64)


def _sizes(old: Sequence[str | None], place: Mapping[str, int]) -> list[int]:
    sizes = [0] * len(place)
    for name in old:
        if name is not None:
            sizes[place[name]] += 1
    return sizes


def _pass(vectors: Floats, share: float, samples: int, settings: ClusterSettings, first: int) -> tuple[Labels, int]:
    """Labels from `first` on, and how many. samples: neighbours that make a place dense."""
    from sklearn.cluster import HDBSCAN
    from sklearn.decomposition import PCA

    seen = np.arange(len(vectors))
    if len(vectors) > settings.sample:
        seen = np.sort(np.random.default_rng(settings.seed).choice(len(vectors), settings.sample, replace=False))
    dimensions = min(settings.dimensions, len(seen) - 1, vectors.shape[1])
    reduced = PCA(dimensions, svd_solver="covariance_eigh").fit_transform(vectors[seen])
    size = max(settings.min_size, int(share * len(seen)))
    labels, count = np.full(len(vectors), NONE, dtype=np.int64), 0
    # One crowd alone among strays is found only where it is allowed to be the only one; often it is everything then.
    for alone in (False, True):
        if not count:
            method = HDBSCAN(
                min_cluster_size=size, min_samples=min(samples, size), allow_single_cluster=alone, copy=True
            )
            found = method.fit_predict(reduced).astype(np.int64)
            labels, count = _coherent(vectors, seen, found, settings, first)
    return labels, count


def _coherent(
    vectors: Floats, seen: Labels, found: Labels, settings: ClusterSettings, first: int
) -> tuple[Labels, int]:
    centres, coherence = centres_of(vectors[seen], found)
    if not len(centres):
        return np.full(len(vectors), NONE, dtype=np.int64), 0
    # A small crowd at the edge of a large one is let go, so that the next pass sees it by itself.
    far = (found >= 0) & (np.einsum("ij,ij->i", vectors[seen], centres[np.maximum(found, 0)]) < settings.join)
    found = np.where(far, NONE, found)
    kept = np.flatnonzero(coherence >= settings.coherence)
    renumbered = np.full(len(coherence) + 1, NONE, dtype=np.int64)  # the last place is NONE's own
    renumbered[kept] = np.arange(first, first + len(kept))
    labels = np.full(len(vectors), NONE, dtype=np.int64)
    labels[seen] = renumbered[found]
    return labels, len(kept)


def _joined(vectors: Floats, labels: Labels, join: float) -> Labels:
    """With what is in no crowd put to the centre that is close enough."""
    centres, _ = centres_of(vectors, labels)
    outside = np.flatnonzero(labels == NONE)
    best, similarity = nearest(vectors[outside], centres)
    joined = labels.copy()
    joined[outside] = np.where(similarity >= join, best, NONE)
    return joined


def _renumbered(labels: Labels) -> Labels:
    """The same crowds as 0, 1, ... without gaps."""
    there = np.unique(labels[labels != NONE])
    return np.where(labels == NONE, NONE, np.searchsorted(there, labels)).astype(np.int64)
