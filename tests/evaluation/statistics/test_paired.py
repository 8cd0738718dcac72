"""Differences of patients: published examples, brute force, and what must not change a p-value."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics import paired
from freetumor.evaluation.statistics.paired import (
    bca_interval,
    equivalence,
    hodges_lehmann,
    probability_of_superiority,
    published_paired_t,
    sign_flip,
    standardized_effect,
    wilcoxon,
)

MAIZE = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])  # Darwin, eighths of an inch
DEPRESSION = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]) - np.array(
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
)
SPATIAL = np.array([48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41])


def draws(*key):
    return generator("test", *key)


def test_the_sign_flip_test_of_darwins_maize_is_that_of_fisher_1935():
    for scale in (1, 1 / 8, 0.1):  # whole numbers are convolved, others split into halves
        assert sign_flip(MAIZE * scale, 100, draws()) == pytest.approx(1726 / 32768, abs=1e-12)
    assert stats.ttest_1samp(MAIZE, 0).pvalue == pytest.approx(0.04970, abs=5e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10])
def test_sign_flips_are_those_of_brute_force(n):
    rng = draws("brute", n)
    for values in (rng.normal(0.5, 1, n), rng.integers(-3, 4, n).astype(float), np.round(rng.normal(0.5, 1, n), 1)):
        signs = np.array(list(itertools.product([-1, 1], repeat=n)))
        sums = np.abs(signs @ np.abs(values))
        expected = np.mean(sums >= abs(values.sum()) - 1e-9)
        assert sign_flip(values, 100, draws()) == pytest.approx(expected)


def test_a_monte_carlo_p_value_is_near_the_exact_one_and_never_zero(monkeypatch):
    values = draws("monte carlo").normal(0.4, 1, 30)
    exact = sign_flip(values, 100, draws())
    monkeypatch.setattr(paired, "EXACT_PAIRS", 0)
    assert sign_flip(values, 20_000, draws("signs")) == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))
    assert sign_flip(np.linspace(1, 2, 30), 99, draws("signs")) == 1 / 100
    assert sign_flip(values, 500, draws("a")) == sign_flip(values, 500, draws("a"))


def test_without_any_difference_every_p_value_is_one():
    zeros = np.zeros(6)
    assert sign_flip(zeros, 10, draws()) == wilcoxon(zeros).p == published_paired_t(zeros, 12).p == 1
    assert np.isnan(standardized_effect(zeros, 0.95).value)
    assert probability_of_superiority(zeros, 0.95).value == 0.5
    assert np.isnan(bca_interval(zeros, 0.95, 100, draws()).low)


def test_one_patient_proves_nothing():
    one = np.array([3.0])
    assert sign_flip(one, 10, draws()) == wilcoxon(one).p == 1
    assert np.isnan([standardized_effect(one, 0.95).low, bca_interval(one, 0.95, 100, draws()).low, equivalence(one, 9)]).all()
    assert np.isnan(published_paired_t(one, 12).p)


def test_wilcoxon_of_the_depression_example_of_r():
    found = wilcoxon(DEPRESSION)
    assert (found.statistic, found.pairs, found.ties, found.exact) == (40, 9, False, True)
    assert (found.p_greater, found.p) == pytest.approx((0.01953, 0.03906), abs=5e-6)


def test_wilcoxon_stays_exact_with_ties_and_zeros():
    values = np.array([0.0, 0.0, 1.0, 1.0, -1.0, 2.0, 2.0, 3.0, -2.0, 4.0])
    ranks = stats.rankdata(np.abs(values[values != 0]))
    sums = np.array([np.sum(ranks[list(taken)]) for taken in itertools.product([False, True], repeat=8)])
    observed = ranks[values[values != 0] > 0].sum()
    found = wilcoxon(values)
    assert (found.statistic, found.pairs, found.ties, found.exact) == (observed, 8, True, True)
    assert found.p_greater == pytest.approx(np.mean(sums >= observed))
    assert found.p == pytest.approx(2 * np.mean(sums >= observed))


def test_wilcoxon_of_many_pairs_is_that_of_scipy():
    for n in (40, 700):
        values = draws("wilcoxon", n).normal(0.1, 1, n)
        found = wilcoxon(values)
        method = "exact" if n == 40 else "asymptotic"
        assert found.exact == (n == 40)
        assert found.p == pytest.approx(stats.wilcoxon(values, method=method).pvalue)


def test_hodges_lehmann_belongs_to_wilcoxon():
    """R gives 0.46 and (0.010, 0.786) for this example; shifts outside the interval are rejected, those inside are not."""
    found = hodges_lehmann(DEPRESSION, 0.95)
    assert (found.value, found.low, found.high) == pytest.approx((0.46, 0.010, 0.786), abs=5e-4)
    values = draws("walsh").normal(0.3, 1, 25)
    found = hodges_lehmann(values, 0.95)
    for bound in (found.low, found.high):
        outward = 1e-6 * np.sign(bound - found.value)
        assert wilcoxon(values - bound - outward).p <= 0.05 < wilcoxon(values - bound + outward).p
    assert np.isnan(hodges_lehmann(values[:4], 0.95).low), "four pairs cannot reach 5 %"


def test_bca_of_the_spatial_test_is_that_of_efron_and_tibshirani():
    found = bca_interval(SPATIAL, 0.90, 20_000, draws("spatial"), np.var)
    assert found.value == pytest.approx(171.534, abs=5e-4)
    assert (found.low, found.high) == pytest.approx((115.8, 259.6), abs=2.5)
    assert found == bca_interval(SPATIAL, 0.90, 20_000, draws("spatial"), np.var)


def test_bca_does_not_depend_on_how_many_draws_are_held_at_once(monkeypatch):
    found = bca_interval(SPATIAL, 0.95, 500, draws("batch"))
    monkeypatch.setattr(paired, "RESAMPLED", 1000)
    assert bca_interval(SPATIAL, 0.95, 500, draws("batch")) == found


def test_the_standardized_effect_is_unbiased_and_covered():
    rng, found = draws("effect"), []
    for _ in range(600):
        found.append(standardized_effect(rng.normal(0.6, 1, 10), 0.95))
    assert np.mean([effect.value for effect in found]) == pytest.approx(0.6, abs=0.05)
    covered = [effect.low <= 0.6 <= effect.high for effect in found]
    assert 0.925 <= np.mean(covered) <= 0.975


def test_bounds_of_the_effect_are_the_noncentral_t_quantiles():
    found = standardized_effect(MAIZE, 0.90)
    factor = math.exp(math.lgamma(7) - math.lgamma(6.5)) / math.sqrt(7)
    t = stats.ttest_1samp(MAIZE, 0).statistic
    assert found.value == pytest.approx(t / math.sqrt(15) * factor)
    for bound, tail in ((found.low, 0.95), (found.high, 0.05)):
        assert stats.nct.cdf(t, 14, bound * math.sqrt(15)) == pytest.approx(tail, abs=1e-6)
    assert np.isfinite(standardized_effect(np.array([20.0, 20.1, 19.9, 20.0, 20.05]), 0.95).high), (
        "a large effect has bounds too"
    )


def test_superiority_counts_equal_patients_half():
    found = probability_of_superiority(np.array([1.0, 2.0, 0.0, 0.0, -1.0]), 0.95)
    assert found.value == 3 / 5 and 0 < found.low < 0.6 < found.high < 1


def test_equivalence_is_two_one_sided_t_tests():
    values = draws("equivalence").normal(0.1, 1, 30)
    low = stats.ttest_1samp(values, -0.6, alternative="greater").pvalue
    high = stats.ttest_1samp(values, 0.6, alternative="less").pvalue
    assert equivalence(values, 0.6) == pytest.approx(max(low, high))
    assert (equivalence(np.full(3, 0.5), 1), equivalence(np.full(3, 0.5), 0.25)) == (0, 1)
    with pytest.raises(ValueError, match="positive margin"):
        equivalence(values, 0)


def test_the_test_of_the_paper_divides_the_level_among_its_hypotheses():
    values = draws("paper").normal(1, 1, 12)
    found = published_paired_t(values, 12)
    assert (found.t, found.p) == pytest.approx(tuple(stats.ttest_1samp(values, 0)))
    assert found.threshold == pytest.approx(0.00417, abs=5e-6) and published_paired_t(values, 6).threshold == pytest.approx(
        1 / 120
    )
    assert found.significant == (found.p < found.threshold) and "Wu et al. 2025" in found.test


def test_the_exact_test_keeps_its_level_in_null_studies():
    rng = draws("null")
    rejected = [sign_flip(rng.standard_t(3, 12), 100, rng) <= 0.05 for _ in range(2000)]
    assert 0.035 <= np.mean(rejected) <= 0.065
