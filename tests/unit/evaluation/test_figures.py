"""Figures against what scikit-learn 1.7 gave for the same sixty rows, and against what must hold for any rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proguard_core.evaluation import figures

TRUTH = np.array([int(digit) for digit in "000110100011100000001101100000011101010110000010000010110000"], dtype=bool)
TENTHS = [4, 4, 4, 5, 7, 1, 7, 1, 6, 1, 9, 6, 10, 4, 1, 5, 6, 5, 3, 1, 6, 10, 3, 6, 10, 4, 3, 2, 2, 1, 0, 10, 7, 8, 2]
TENTHS += [9, 0, 7, 0, 5, 10, 4, 3, 3, 5, 2, 8, 4, 2, 3, 5, 5, 5, 6, 5, 9, 5, 1, 3, 5]
SCORES = np.array(TENTHS) / 10
WEIGHTS = [3, 0, 3, 2, 1, 3, 3, 2, 0, 2, 0, 0, 0, 0, 3, 1, 0, 0, 1, 1, 1, 3, 3, 2, 3, 1, 0, 1, 0, 3, 0, 1, 0, 3, 0, 2]
WEIGHTS += [3, 2, 3, 3, 3, 2, 2, 2, 3, 1, 3, 3, 1, 1, 2, 3, 0, 0, 0, 1, 0, 2, 2, 3]

labels = st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=40)


def test_as_scikit_learn() -> None:
    counts = figures.confusion(TRUTH, SCORES >= 0.5)
    assert float(figures.weighted_f1(counts)) == pytest.approx(0.8371040723981902)
    assert float(figures.f1(counts)) == pytest.approx(0.8076923076923077)
    assert float(figures.precision(counts)) == pytest.approx(0.6774193548387096)
    assert float(figures.recall(counts)) == 1.0
    assert float(figures.false_positive_rate(counts)) == pytest.approx(10 / 39)
    ranking = figures.Ranking.of(TRUTH, SCORES)
    assert ranking.auc() == pytest.approx(0.9627594627594628)
    assert ranking.auc(np.array(WEIGHTS, float)) == pytest.approx(0.9848484848484849)
    assert figures.brier(TRUTH, SCORES) == pytest.approx(0.11333333333333333)


def test_one_class_has_no_area_and_nothing_divides_by_zero() -> None:
    assert figures.Ranking.of(np.array([True, True]), np.array([0.1, 0.2])).auc() is None
    counts = figures.confusion(np.array([False, False]), np.array([False, False]))
    assert [float(figure(counts)) for figure in figures.FIGURES.values()] == [1.0, 0.0, 0.0, 0.0, 0.0]


@given(labels)
def test_area_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    truth = np.array([unsafe for unsafe, _ in rows])
    scores = np.array([tenth / 10 for _, tenth in rows])
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth] for b in scores[~truth]]
    area = figures.Ranking.of(truth, scores).auc()
    assert area == (pytest.approx(np.mean(pairs)) if pairs else None)


@given(labels)
def test_recall_within_is_the_best_threshold_that_is_allowed(rows: list[tuple[bool, int]]) -> None:
    truth = np.array([unsafe for unsafe, _ in rows])
    scores = np.array([tenth / 10 for _, tenth in rows])
    allowed = [0.0]
    for threshold in {tenth / 10 for _, tenth in rows}:
        counts = figures.confusion(truth, scores >= threshold)
        if counts[figures.FP] <= 0.2 * max((~truth).sum(), 1):
            allowed.append(float(figures.recall(counts)))
    assert figures.recall_within(truth, scores, 0.2) == pytest.approx(max(allowed))


def test_a_score_that_is_a_probability_is_calibrated() -> None:
    bins = figures.reliability(
        np.array([False] * 9 + [True] * 1 + [True] * 9 + [False]), np.array([0.1] * 10 + [0.9] * 10)
    )
    assert [(each.rows, each.unsafe) for each in bins] == [(10, 0.1), (10, 0.9)]
    assert [each.score for each in bins] == pytest.approx([0.1, 0.9])
    assert figures.calibration_error(bins) == pytest.approx(0.0)


def test_precision_falls_with_prevalence() -> None:
    assert figures.precision_at(0.01, 0.9, 0.05) == pytest.approx(0.009 / (0.009 + 0.0495))
    assert figures.precision_at(0.01, 0.0, 0.0) == 0.0


def test_one_call_computes_all_resamples() -> None:
    counts = np.array([[5.0, 1.0, 6.0, 2.0], [0.0, 0.0, 3.0, 4.0]])
    assert figures.weighted_f1(counts).tolist() == [float(figures.weighted_f1(each)) for each in counts]
