"""Proportions: published intervals and tests, exact ones against enumeration, and the edges."""

import math

import numpy as np
import pytest
from scipy import stats

from freetumor.evaluation.statistics.proportions import (
    binomial_equivalence,
    clopper_pearson_interval,
    equivalence_power,
    equivalence_size,
    mcnemar,
    mcnemar_of,
    newcombe_interval,
    newcombe_paired_interval,
    two_proportions,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_of_newcombe_1998(hits, n, low, high):
    assert wilson_interval(hits, n, 0.95) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("hits", [0, 1, 7, 19, 20])
def test_clopper_pearson_bounds_leave_exactly_the_tails_outside(hits):
    low, high = clopper_pearson_interval(hits, 20, 0.95)
    assert (low == 0) if hits == 0 else stats.binom.sf(hits - 1, 20, low) == pytest.approx(0.025)
    assert (high == 1) if hits == 20 else stats.binom.cdf(hits, 20, high) == pytest.approx(0.025)


def test_the_difference_of_two_proportions_is_that_of_newcombe_1998():
    assert newcombe_interval(56, 70, 48, 80, 0.95) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    low, high = newcombe_interval(48, 80, 56, 70, 0.95)
    assert (-high, -low) == pytest.approx((0.0524, 0.3339), abs=5e-5), "exchanging the samples turns the interval around"


def test_a_paired_difference_covers_at_least_as_often_as_it_says():
    """Exact coverage by enumeration of all tables of 16 units; with few units that differ it is above 99 %."""
    for cells in ((0.5, 0.2, 0.1, 0.2), (0.7, 0.05, 0.05, 0.2), (0.3, 0.3, 0.1, 0.3)):
        covered = 0.0
        for both in range(17):
            for first in range(17 - both):
                for second in range(17 - both - first):
                    table = (both, first, second, 16 - both - first - second)
                    low, high = newcombe_paired_interval(*table, 0.95)
                    if low <= cells[1] - cells[2] <= high:
                        covered += stats.multinomial.pmf(table, 16, cells)
        assert 0.94 <= covered < 1


def test_the_paired_difference_of_newcombe_1998():
    assert newcombe_paired_interval(36, 12, 2, 0, 0.95) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_a_paired_difference_is_narrower_than_an_unpaired_one_if_the_pairs_agree():
    low, high = newcombe_paired_interval(40, 5, 2, 33, 0.95)
    wide = newcombe_interval(45, 80, 42, 80, 0.95)
    assert wide[0] < low < 3 / 80 < high < wide[1]
    assert np.isfinite(newcombe_paired_interval(0, 0, 0, 10, 0.95)).all()


@pytest.mark.parametrize(
    ("first", "second", "chi2", "p", "corrected", "exact"),
    [(121, 59, 21.3556, 3.815e-6, 20.6722, 4.434e-6), (86, 150, 17.3559, None, 16.8178, None)],
)
def test_mcnemar_of_the_standard_tables(first, second, chi2, p, corrected, exact):
    found = mcnemar(first, second)
    assert (found.chi2, found.chi2_corrected) == pytest.approx((chi2, corrected), abs=5e-5)
    if p is not None:
        assert (found.p_asymptotic, found.p) == pytest.approx((p, exact), rel=2e-4)


def test_mcnemar_counts_the_cases_that_only_one_gets_right():
    right = np.array([True] * 7 + [False] * 3 + [True] * 5 + [False] * 2)
    baseline = np.array([False] * 7 + [True] * 3 + [True] * 5 + [False] * 2)
    found = mcnemar_of(right, baseline)
    assert (found.first, found.second) == (7, 3)
    assert found.p == pytest.approx(sum(math.comb(10, k) for k in (0, 1, 2, 3, 7, 8, 9, 10)) / 2**10)
    assert found.p_mid == pytest.approx(found.p - math.comb(10, 3) / 2**10)
    assert mcnemar(4, 4).p == mcnemar(4, 4).p_mid == 1
    nothing = mcnemar_of(baseline, baseline)
    assert nothing.p == nothing.p_mid == nothing.p_asymptotic == 1 and math.isnan(nothing.chi2)


def test_a_second_sample_that_was_never_drawn_changes_the_p_value():
    """Park 2021: 779 of 1,500 against an imaginary 750 of 1,500 has p .29; against the constant 1/2 it has p .1411."""
    assert two_proportions(779, 1500, 750, 1500) == pytest.approx((1.0591, 0.2895), abs=5e-5)
    assert stats.binomtest(779, 1500, 0.5).pvalue == pytest.approx(0.1411, abs=5e-5)
    assert two_proportions(3, 3, 5, 5) == (0.0, 1.0)


def test_not_significant_is_not_equivalent():
    """711 of 1,170 correct answers are not within 10 points of chance: p = 0.71."""
    assert binomial_equivalence(711, 1170, 0.5, 0.1) == pytest.approx(0.71, abs=5e-3)
    assert binomial_equivalence(585, 1170, 0.5, 0.1) < 1e-6
    with pytest.raises(ValueError, match="margins within 0 and 1"):
        binomial_equivalence(3, 10, 0.95, 0.1)


@pytest.mark.parametrize(("margin", "sizes"), [(0.15, (96, 122)), (0.10, (214, 268)), (0.05, (876, 1092))])
def test_sizes_of_balanced_decks_for_80_and_90_percent_power(margin, sizes):
    assert tuple(equivalence_size(power, 0.5, margin, 0.05, 2) for power in (0.8, 0.9)) == sizes


def test_power_is_the_chance_of_the_counts_that_are_rejected():
    for n, margin, truth in ((40, 0.2, 0.5), (57, 0.15, 0.55), (12, 0.05, 0.5)):
        counts = [k for k in range(n + 1) if binomial_equivalence(k, n, 0.5, margin) <= 0.05]
        assert equivalence_power(n, 0.5, margin, 0.05, truth) == pytest.approx(sum(stats.binom.pmf(counts, n, truth)))
