"""Crowds are found, what points nowhere is none, and ids go on by what stays together."""

from dataclasses import replace

import numpy as np
import pytest

from proguard_core.novelty import clusters
from proguard_core.novelty.clusters import NONE, ClusterSettings, Floats, Labels

SETTINGS = ClusterSettings(min_share=0.02)


def crowds(sizes: list[int], spread: float = 0.5, seed: int = 1) -> tuple[Floats, Labels]:
    """Unit vectors around as many directions, and which is of which."""
    draw = np.random.default_rng(seed)
    directions = clusters.unit(draw.standard_normal((len(sizes), 64)).astype(np.float32))
    truth = np.repeat(np.arange(len(sizes)), sizes)
    noise = draw.standard_normal((len(truth), 64)) * spread / 8
    return clusters.unit((directions[truth] + noise).astype(np.float32)), truth


def test_crowds_are_found_and_noise_is_none() -> None:
    vectors, truth = crowds([200, 80, 40, 12])
    stray = clusters.unit(np.random.default_rng(5).standard_normal((60, 64)).astype(np.float32))
    labels = clusters.cluster(np.concatenate([vectors, stray]), SETTINGS)
    assert set(labels[len(truth) :]) == {NONE}
    for each in range(4):
        own = labels[: len(truth)][truth == each]
        assert len(set(own)) == 1
        assert own[0] != NONE
    again = clusters.cluster(np.concatenate([vectors, stray]), SETTINGS)
    assert (labels == again).all()


def test_more_than_the_sample_join_the_centres() -> None:
    vectors, truth = crowds([600, 300])
    labels = clusters.cluster(vectors, ClusterSettings(sample=200, min_share=0.02))
    assert all(len(set(labels[truth == each]) - {NONE}) == 1 for each in range(2))
    assert (labels == NONE).mean() < 0.02


def test_without_scikit_learn_crowds_are_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    vectors, truth = crowds([60, 30, 12])
    stray = clusters.unit(np.random.default_rng(5).standard_normal((20, 64)).astype(np.float32))
    labels = clusters.cluster(np.concatenate([vectors, stray]), SETTINGS)
    assert set(labels[len(truth) :]) == {NONE}
    assert [len(set(labels[: len(truth)][truth == each])) for each in range(3)] == [1, 1, 1]
    assert clusters.match(["A"] * 60 + ["B"] * 30 + [None] * 32, labels).ids == {0: "A", 1: "B", 2: None}


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_are_no_crowd(count: int) -> None:
    vectors = clusters.unit(np.ones((count, 64), dtype=np.float32))
    assert list(clusters.cluster(vectors, SETTINGS)) == [NONE] * count


def test_crowds_that_are_alike_are_one_and_what_is_no_crowd_then_is_dissolved() -> None:
    vectors, truth = crowds([80, 80])
    between = clusters.unit(vectors[:80].mean(axis=0)[None] + 0.75 * vectors[80:].mean(axis=0)[None])
    near = np.repeat(between, 40, axis=0)  # at a cosine of about 0.8 to the first
    everything, labels = np.concatenate([vectors, near]), np.concatenate([truth, np.full(40, 2)])
    together = clusters.united(everything, labels)
    assert list(together[:80]) == [together[0]] * 80
    assert list(together[160:]) == [together[0]] * 40
    assert together[80] not in (together[0], NONE)
    _, coherence = clusters.centres_of(everything, together)
    between_both = float(coherence.mean())
    strict = clusters.united(everything, labels, replace(SETTINGS, coherence=between_both))
    assert {*strict[:80], *strict[160:]} == {NONE}
    assert set(strict[80:160]) == {0}


def test_a_small_dense_crowd_has_what_is_of_its_kind_in_the_large_one_beside_it() -> None:
    vectors, truth = crowds([300, 60], spread=0.3)
    late = np.flatnonzero(truth == 1)[40:]
    early_in_the_large_one = np.where(np.arange(len(truth)) < late[0], 0, 1)
    assert list(clusters.nearer(vectors, early_in_the_large_one)) == list(truth)


def test_a_small_piece_of_a_cluster_stays_with_it_and_a_good_part_is_a_split() -> None:
    old = ["A"] * 100 + [None] * 20
    piece = np.array([0] * 85 + [1] * 15 + [2] * 20)
    assert list(clusters.settled(piece, old)) == [0] * 100 + [1] * 20
    good_part = np.array([0] * 75 + [1] * 25 + [2] * 20)
    assert list(clusters.settled(good_part, old)) == list(good_part)
    mostly_new = np.array([0] * 91 + [1] * 29)
    assert list(clusters.settled(mostly_new, old)) == list(mostly_new)


def test_ids_go_on_and_splits_and_merges_are_told() -> None:
    old = ["A"] * 10 + ["B"] * 10 + ["C"] * 10 + ["D"] * 6 + [None] * 4
    new = np.array([0] * 10 + [1] * 6 + [2] * 4 + [3] * 10 + [3] * 6 + [4] * 4)
    found = clusters.match(old, new)
    assert found.ids == {0: "A", 1: "B", 2: None, 3: "C", 4: None}
    assert found.splits == {"B": [2]}
    assert found.merges == {"D": 3}


def test_a_few_strays_are_no_continuation() -> None:
    found = clusters.match(["A"] * 100 + [None] * 50, np.array([NONE] * 98 + [0] * 52))
    assert found.ids == {0: None}
    assert found.merges == {}


def test_nearest_without_centres() -> None:
    best, cosine = clusters.nearest(np.ones((2, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.float32))
    assert list(best) == [NONE, NONE]
    assert list(cosine) == [-1, -1]
