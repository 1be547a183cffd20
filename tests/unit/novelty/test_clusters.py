"""Crowds are found, what points nowhere is none, and ids go on by what stays together."""

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
