"""Many hypotheses: published examples, other packages, and p-values that are not there."""

import math

import numpy as np
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.multiplicity import (
    benjamini_hochberg,
    benjamini_yekutieli,
    bonferroni,
    friedman,
    holm,
    mean_ranks,
    nemenyi_difference,
    nemenyi_quantile,
)

BENJAMINI_HOCHBERG = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
                      0.6528, 0.7590, 1.0]  # fmt: skip
METHODS = {
    bonferroni: ("bonferroni", 3),
    holm: ("holm", 3),
    benjamini_hochberg: ("fdr_bh", 4),
    benjamini_yekutieli: ("fdr_by", 3),
}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_as_many_hypotheses_of_benjamini_and_hochberg_1995_are_rejected_as_published(method):
    from statsmodels.stats.multitest import multipletests

    name, rejected = METHODS[method]
    shuffled = generator("test", "family").permutation(BENJAMINI_HOCHBERG)
    adjusted = method(shuffled)
    assert np.count_nonzero(adjusted <= 0.05) == rejected
    np.testing.assert_allclose(adjusted, multipletests(shuffled, method=name)[1])


def test_adjusted_p_values_of_benjamini_and_hochberg_1995():
    expected = [0.0015, 0.003, 0.0095, 0.03563, 0.0603]
    np.testing.assert_allclose(benjamini_hochberg(BENJAMINI_HOCHBERG)[:5], expected, atol=5e-6)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_an_undefined_p_value_stays_undefined_and_counts_as_a_hypothesis(method):
    found = method([0.02, math.nan, 0.01])
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[[0, 2]], method([0.02, 1.0, 0.01])[[0, 2]])
    assert len(method([])) == 0
    with pytest.raises(ValueError, match="from 0 to 1"):
        method([1.2])


def test_friedman_and_nemenyi_are_those_of_demsar_2006():
    found = friedman([3.143, 2.000, 2.893, 1.964], 14)
    assert (found.chi2, found.f) == pytest.approx((9.28, 3.69), abs=5e-3)
    assert nemenyi_quantile(4, 0.95) == pytest.approx(2.569, abs=5e-4)
    assert nemenyi_difference(4, 14, 0.95) == pytest.approx(1.25, abs=5e-3)


def test_friedman_without_ties_is_that_of_scipy():
    scores = generator("test", "friedman").normal(size=(9, 4)) + np.array([0, 0, 0.5, 1.5])
    expected = stats.friedmanchisquare(*scores.T)
    found = friedman(mean_ranks(scores), 9)
    assert (found.chi2, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert mean_ranks(scores)[3] == min(mean_ranks(scores)), "the best method has the lowest rank"


def test_data_sets_that_all_agree_are_no_division_by_zero():
    found = friedman([1.0, 2.0, 3.0], 5)
    assert found.f == math.inf and found.p_f == 0 and found.chi2 == pytest.approx(10)
    with pytest.raises(ValueError, match="at least two"):
        friedman([1.0], 5)
