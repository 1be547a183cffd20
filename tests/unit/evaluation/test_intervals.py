"""Intervals hold what they should, tests give the textbook's p-values, and all of it is the same in every run."""

import numpy as np
import pytest

from proguard_core.evaluation import figures, intervals


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert intervals.mcnemar(3, 14) == pytest.approx(0.012725830078125)
    assert intervals.mcnemar(40, 60) == pytest.approx(0.05688793364098089)
    assert intervals.mcnemar(5, 5) == 1.0
    assert intervals.mcnemar(0, 0) == 1.0
    assert 0 < intervals.mcnemar(10_000, 11_000) < 1e-9


def test_holm_steps_down() -> None:
    assert intervals.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert intervals.holm([]) == []


def test_intervals_are_the_same_in_every_run() -> None:
    counts = np.array([40.0, 10.0, 45.0, 5.0])
    first, second = (intervals.of_counts(figures.weighted_f1, counts, intervals.generator("a", "b")) for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high


def test_an_interval_covers_the_truth_about_95_times_in_a_hundred() -> None:
    seed = np.random.default_rng(1)
    hits = 0
    for number in range(200):
        drawn = int(seed.binomial(150, 0.8))
        found = intervals.of_share(drawn, 150, intervals.generator(str(number)))
        hits += found.low <= 0.8 <= found.high
    assert 180 <= hits <= 199


def test_the_quick_bootstrap_of_counts_is_that_of_rows() -> None:
    truth = np.array([True] * 60 + [False] * 90)
    said = np.array([True] * 50 + [False] * 10 + [True] * 20 + [False] * 70)
    quick = intervals.of_counts(figures.f1, figures.confusion(truth, said), np.random.default_rng(0))
    seed, slow = np.random.default_rng(1), []
    for _ in range(2000):
        picks = seed.integers(0, 150, size=150)
        slow.append(float(figures.f1(figures.confusion(truth[picks], said[picks]))))
    assert [quick.low, quick.high] == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.01)


def test_averages_weigh_rows_or_sets() -> None:
    sets = [np.array([10.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 30.0])]
    by_rows = intervals.of_average(figures.weighted_f1, sets, intervals.generator("x"), by_rows=True)
    plain = intervals.of_average(figures.weighted_f1, sets, intervals.generator("x"), by_rows=False)
    assert (by_rows.value, plain.value) == (0.25, 0.5)
