"""ROC areas, decisions and probabilities: published values, brute force over pairs, and promises at the edges."""

import math

import numpy as np
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.counts import Counts, counts_at
from freetumor.evaluation.statistics.probabilities import brier, mass_edges, reliability, width_edges
from freetumor.evaluation.statistics.roc import (
    auc,
    auc_interval,
    auc_interval_plain,
    average_precision_step,
    average_precision_trapezoid,
    delong,
    delong_paired,
    delong_unpaired,
    roc_curve,
    specificity_threshold,
    youden_threshold,
)

TRUTH = np.repeat([False, True], 8)
FIRST = np.array([1, 2, 2, 3, 1, 4, 2, 3, 3, 4, 5, 4, 2, 5, 5, 3])
SECOND = np.array([2, 1, 3, 3, 2, 4, 4, 2, 3, 3, 5, 2, 4, 5, 3, 4])
PITFALLS = np.array([0, 0, 0, 1, 1, 1]), np.array([0.21, 0.35, 0.63, 0.92, 0.32, 0.79])  # Reinke et al. 2024, SN 2.18


def drawn(*key, ties=True):
    """Random cases of both kinds, two scores each; with ties, as ratings have them."""
    rng = generator("test", "roc", *key)
    positives, negatives = rng.integers(2, 14, 2)
    truth = rng.permutation(np.repeat([True, False], [positives, negatives]))
    scores = rng.normal(size=(2, truth.size)) + truth
    return truth, np.rint(scores * 1.5) if ties else scores


def kernel(truth, scores):
    """One half for a tie, one if the positive scores higher: shape (positives, negatives)."""
    ahead = scores[truth][:, None] - scores[~truth]
    return (ahead > 0) + 0.5 * (ahead == 0)


def brute_covariance(truth, first, second):
    """DeLong's covariance by its definition, with loops over cases."""
    a, b = kernel(truth, first), kernel(truth, second)
    m, n = a.shape
    of_positives = sum((a[i].mean() - a.mean()) * (b[i].mean() - b.mean()) for i in range(m)) / (m - 1) / m
    of_negatives = sum((a[:, j].mean() - a.mean()) * (b[:, j].mean() - b.mean()) for j in range(n)) / (n - 1) / n
    return of_positives + of_negatives


def test_areas_and_their_difference_are_the_reference_values_to_the_printed_digits():
    assert (auc(TRUTH, FIRST), auc(TRUTH, SECOND)) == pytest.approx((0.8515625, 0.7421875), abs=1e-12)
    assert auc_interval(TRUTH, FIRST, 0.95).se == pytest.approx(0.09290918, abs=5e-9)
    assert auc_interval(TRUTH, SECOND, 0.95).se == pytest.approx(0.1232438, abs=5e-8)
    found = delong_paired(TRUTH, FIRST, SECOND, 0.95)
    assert (found.z, found.p) == pytest.approx((0.77846456, 0.43629520), abs=1e-8)


def test_areas_and_covariances_equal_brute_force_on_200_random_data_sets():
    for number in range(200):
        truth, scores = drawn(number, ties=number % 2 == 0)
        areas, covariance = delong(truth, scores)
        np.testing.assert_allclose(areas, [kernel(truth, row).mean() for row in scores], rtol=0, atol=1e-12)
        brute = [[brute_covariance(truth, a, b) for b in scores] for a in scores]
        np.testing.assert_allclose(covariance, brute, rtol=0, atol=1e-12)
        assert auc(truth, scores[0]) == pytest.approx(areas[0], abs=1e-12)


def test_the_area_depends_on_order_alone_and_turns_round_with_the_scores():
    truth, scores = drawn("order")
    assert auc(truth, np.exp(scores[0])) == pytest.approx(auc(truth, scores[0]))
    assert auc(truth, -scores[0]) == pytest.approx(1 - auc(truth, scores[0]))
    assert auc(~truth, scores[0]) == pytest.approx(1 - auc(truth, scores[0]))


def test_unrelated_cases_have_the_sum_of_both_variances_and_shared_cases_have_less():
    paired, apart = delong_paired(TRUTH, FIRST, SECOND, 0.9), delong_unpaired(TRUTH, FIRST, TRUTH, SECOND, 0.9)
    assert apart.se == pytest.approx(math.hypot(0.09290918, 0.1232438), abs=1e-6)
    assert paired.se < apart.se and paired.difference == apart.difference
    assert apart.ci_high - apart.difference == pytest.approx(1.6448536 * apart.se)


def test_a_score_compared_with_itself_has_p_one():
    found = delong_paired(TRUTH, FIRST, FIRST, 0.95)
    assert (found.difference, found.ci_low, found.ci_high, found.p) == (0, 0, 0, 1)


def test_intervals_on_log_odds_stay_between_0_and_1_where_plain_ones_do_not():
    truth, scores = np.repeat([False, True], 5), np.array([0, 1, 2, 3, 6, 4, 7, 8, 9, 10])
    plain, bounded = auc_interval_plain(truth, scores, 0.95), auc_interval(truth, scores, 0.95)
    assert plain.ci_high > 1 > bounded.ci_high > bounded.auc > bounded.ci_low > 0
    assert plain.auc == bounded.auc == 0.96 and plain.se == bounded.se


def test_perfect_separation_is_no_certainty():
    """DeLong's variance is 0. The bound lies z standard errors of Hanley and McNeil from the observed area."""
    found = auc_interval(TRUTH, TRUTH, 0.95)
    assert (found.auc, found.se, found.ci_high) == (1, 0, 1)
    assert 0.6 < found.ci_low < 0.9
    assert auc_interval(TRUTH, ~TRUTH, 0.95).ci_high == pytest.approx(1 - found.ci_low)
    z = stats.norm.ppf(0.975)
    true, m = found.ci_low, 8
    q1, q2 = true / (2 - true), 2 * true**2 / (1 + true)
    variance = (true * (1 - true) + (m - 1) * (q1 - true**2) + (m - 1) * (q2 - true**2)) / m**2  # Hanley and McNeil 1982
    assert (1 - true) / math.sqrt(variance) == pytest.approx(z)
    assert auc_interval(TRUTH, np.ones(16), 0.95).ci_low < 0.4


def test_intervals_cover_the_true_area():
    """Normal scores one standard deviation apart: the area is 0.760."""
    rng, hits, studies = generator("test", "coverage"), 0, 600
    truth = np.repeat([True, False], [25, 35])
    for _ in range(studies):
        found = auc_interval(truth, rng.normal(size=60) + truth, 0.95)
        hits += found.ci_low <= stats.norm.cdf(1 / math.sqrt(2)) <= found.ci_high
    assert 0.925 <= hits / studies <= 0.975


def test_both_kinds_of_average_precision_are_those_of_the_pitfalls_paper():
    assert auc(*PITFALLS) == pytest.approx(0.7778, abs=5e-5)
    assert average_precision_step(*PITFALLS) == pytest.approx(0.8667, abs=5e-5)
    assert average_precision_trapezoid(*PITFALLS) == pytest.approx(0.85, abs=1e-12)


def test_the_curve_holds_the_rates_of_every_threshold_and_its_area_is_the_auc():
    truth, scores = drawn("curve")
    curve = roc_curve(truth, scores[0])
    for threshold, sensitivity, specificity in zip(curve.thresholds, curve.sensitivity, curve.specificity, strict=True):
        found = counts_at(truth, scores[0], threshold)
        assert (found.sensitivity, found.specificity) == pytest.approx((sensitivity, specificity))
    assert np.trapezoid(curve.sensitivity, 1 - curve.specificity) == pytest.approx(auc(truth, scores[0]))
    assert (curve.sensitivity[0], curve.specificity[0], curve.sensitivity[-1], curve.specificity[-1]) == (0, 1, 1, 0)


@pytest.mark.parametrize("number", range(20))
def test_no_other_threshold_is_better_than_the_chosen_one(number):
    truth, scores = drawn("threshold", number)
    every = [counts_at(truth, scores[0], threshold) for threshold in [*(np.unique(scores[0]) - 0.01), np.inf]]
    best = counts_at(truth, scores[0], youden_threshold(truth, scores[0]))
    assert best.youden == pytest.approx(max(found.youden for found in every))
    for least in (0.0, 0.8, 1.0):
        chosen = counts_at(truth, scores[0], specificity_threshold(truth, scores[0], least))
        assert chosen.specificity >= least
        assert chosen.sensitivity == max(found.sensitivity for found in every if found.specificity >= least)


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([True, True, True], [1, 2, 3], "2 or more of each"),
        ([True, False, False], [1, 2, 3], "2 or more of each"),
        ([True, True, False, False], [1, 2, np.nan, 3], "not a finite number"),
        ([True, True, False, False], [1, 2, 3], "a score per case"),
    ],
)
def test_data_that_say_nothing_are_refused(truth, scores, message):
    with pytest.raises(ValueError, match=message):
        delong(np.array(truth), np.array(scores))


def test_rates_of_two_tables_are_those_of_the_pitfalls_paper():
    balanced, skewed = Counts(45, 5, 10, 40), Counts(81, 9, 2, 8)
    for name, digits, values in [
        ("mcc", 2, (0.70, 0.56)),
        ("kappa", 2, (0.70, 0.53)),
        ("balanced_accuracy", 2, (0.85, 0.85)),
        ("youden", 2, (0.70, 0.70)),
        ("ppv", 2, (0.82, 0.98)),
        ("npv", 2, (0.89, 0.47)),
        ("positive_likelihood_ratio", 1, (4.5, 4.5)),
        ("f1", 2, (0.86, 0.94)),
    ]:
        assert (round(getattr(balanced, name), digits), round(getattr(skewed, name), digits)) == values, name
    assert round(balanced.npv, 3) == 0.889


def test_rates_equal_those_of_scikit_learn():
    from sklearn import metrics

    truth, scores = drawn("rates", ties=False)
    called, found = scores[0] >= 0.4, counts_at(truth, scores[0], 0.4)
    assert found.mcc == pytest.approx(metrics.matthews_corrcoef(truth, called))
    assert found.kappa == pytest.approx(metrics.cohen_kappa_score(truth, called))
    assert found.f1 == pytest.approx(metrics.f1_score(truth, called))
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, called))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, called))
    assert found.total == truth.size


def test_a_rate_of_nothing_is_unknown():
    found = Counts(0, 0, 2, 3)
    assert all(math.isnan(value) for value in (found.sensitivity, found.mcc, found.youden))
    assert (found.specificity, found.ppv) == (0.6, 0)
    assert Counts(2, 1, 0, 3).positive_likelihood_ratio == math.inf


def test_the_net_benefit_is_that_of_the_pitfalls_paper():
    assert Counts(30, 0, 75, 0).net_benefit(1 / 9) == pytest.approx(0.206, abs=5e-4)
    assert Counts(20, 15, 60, 10).net_benefit(1 / 9) == pytest.approx(0.127, abs=5e-4)


def test_calibration_error_of_two_bins_by_hand():
    probabilities, outcomes = np.array([0.1, 0.3, 0.8, 0.6, 0.9]), np.array([0, 1, 1, 1, 0])
    bins = reliability(probabilities, outcomes, width_edges(2))
    assert bins.counts.tolist() == [2, 3]
    np.testing.assert_allclose(bins.predicted, [0.2, 2.3 / 3])
    np.testing.assert_allclose(bins.observed, [0.5, 2 / 3])
    assert bins.error == pytest.approx(0.4 * 0.3 + 0.6 * 0.1)
    assert bins.greatest_error == pytest.approx(0.3)


def test_bins_of_equal_mass_hold_equally_many():
    probabilities = generator("test", "mass").beta(1, 8, 1000)
    bins = reliability(probabilities, probabilities > 0.2, mass_edges(probabilities, 10))
    assert bins.counts.tolist() == [100] * 10
    assert reliability(np.full(7, 0.3), np.zeros(7), mass_edges(np.full(7, 0.3), 10)).counts.tolist() == [7]


def test_a_calibrated_prediction_has_a_small_error_and_an_overconfident_one_has_not():
    rng = generator("test", "calibrated")
    probabilities = rng.uniform(size=20000)
    outcomes = rng.uniform(size=20000) < probabilities
    edges = width_edges(10)
    assert reliability(probabilities, outcomes, edges).error < 0.015
    assert reliability(np.where(probabilities > 0.5, 1.0, 0.0), outcomes, edges).error == pytest.approx(0.25, abs=0.015)


@pytest.mark.parametrize("edges", [width_edges(4), width_edges(1), np.unique(np.arange(1, 20) / 20)])
def test_the_parts_of_the_brier_score_add_up(edges):
    rng = generator("test", "brier")
    probabilities = rng.integers(0, 20, 300) / 20
    outcomes = rng.uniform(size=300) < probabilities**2
    found = brier(probabilities, outcomes, edges)
    assert found.score == pytest.approx(np.mean((probabilities - outcomes) ** 2))
    assert found.score == pytest.approx(found.reliability - found.resolution + found.uncertainty + found.within)
    place = np.searchsorted(edges, probabilities, side="right")
    within = 0.0  # Stephenson et al. 2008: variance of predictions within bins, less twice their covariance with outcomes
    for part in np.unique(place):
        p, o = probabilities[place == part], outcomes[place == part].astype(float)
        within += np.sum((p - p.mean()) ** 2) - 2 * np.sum((p - p.mean()) * (o - o.mean()))
    assert found.within == pytest.approx(within / 300, abs=1e-12)
    if edges.size == 19:
        assert found.within == pytest.approx(0, abs=1e-12)
    if edges.size == 0:
        assert found.resolution == pytest.approx(0, abs=1e-12)


def test_a_probability_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match="outside 0 to 1"):
        reliability(np.array([0.2, 1.2]), np.array([0, 1]), width_edges(2))
    with pytest.raises(ValueError, match="a probability per outcome"):
        brier(np.array([]), np.array([]), width_edges(2))
