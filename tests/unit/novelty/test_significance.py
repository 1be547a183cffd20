"""Exact tests and intervals, held against SciPy's."""

import math

import pytest
from scipy.stats import binom, binomtest

from proguard_core.novelty import significance


@pytest.mark.parametrize("of", [1, 7, 60, 1000, 200_000])
@pytest.mark.parametrize("share", [1e-6, 0.01, 0.3, 0.5, 0.99])
def test_the_tail_is_scipys(of: int, share: float) -> None:
    mean = of * share
    for hits in {0, 1, int(mean), int(mean + 3 * math.sqrt(mean + 1)), of, of + 1}:
        assert significance.at_least(hits, of, share) == pytest.approx(
            binom.sf(hits - 1, of, share), rel=1e-9, abs=1e-290
        )


@pytest.mark.parametrize(("hits", "of"), [(0, 10), (1, 10), (10, 10), (7, 400), (390, 400), (3000, 20_000)])
def test_the_interval_is_clopper_and_pearsons(hits: int, of: int) -> None:
    found = significance.share_of(hits, of)
    wanted = binomtest(hits, of).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=1e-9, abs=1e-12)
    assert found.value == hits / of


def test_a_ratio_of_rates_and_its_p_value() -> None:
    found = significance.rate_ratio(30, 100.0, 100, 1000.0)
    assert found.value == pytest.approx(3.0)
    assert 1.9 < found.low < 3 < found.high < 4.6
    assert significance.excess(30, 100.0, 100, 1000.0) == pytest.approx(binom.sf(29, 130, 100 / 1100))
    nothing_before = significance.rate_ratio(5, 1.0, 0, 10.0)
    assert nothing_before.value == nothing_before.high == math.inf
    assert nothing_before.low > 1
    assert significance.share_of(0, 0) == significance.Bounds(0.0, 0.0, 1.0)
