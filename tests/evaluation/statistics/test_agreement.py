"""Agreement and signal detection: published worked examples, closed forms, and known distributions."""

import math

import numpy as np
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.agreement import (
    category_counts,
    cohen_kappa,
    detection,
    fleiss_kappa,
    gwet_ac,
    intraclass,
    jackknife_interval,
    quadratic_weights,
)

# Ten cases, fourteen readers, five categories: the table by which Fleiss' kappa is taught.
FLEISS = np.array([[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
                   [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]])  # fmt: skip
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def pairs_of(table):
    """Two answers per case, shape (cases, 2), from a table of counts."""
    return np.array([(i, j) for (i, j), count in np.ndenumerate(table) for _ in range(count)])


def test_fleiss_kappa_of_the_textbook_table():
    assert fleiss_kappa(FLEISS) == pytest.approx(0.2099307, abs=5e-8)


def test_cohens_kappa_of_the_textbook_table():
    assert cohen_kappa(*pairs_of(np.array([[20, 5], [10, 15]])).T) == pytest.approx(0.4, abs=1e-12)


def test_kappa_and_gwets_ac1_of_two_abstractors():
    """Published results for the table 13 0 0 / 0 20 7 / 0 4 56; their intervals are linearized, ours is a jackknife."""
    pairs = pairs_of(np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]]))
    kappa = jackknife_interval(lambda rows: cohen_kappa(*rows.T), pairs, 0.95)
    ac1 = jackknife_interval(lambda rows: gwet_ac(category_counts(rows, 3)), pairs, 0.95)
    assert (kappa.value, ac1.value) == pytest.approx((0.7964094, 0.8493305), abs=5e-8)
    assert (kappa.ci_low, kappa.ci_high) == pytest.approx((0.68, 0.913), abs=2e-3)
    assert (ac1.ci_low, ac1.ci_high) == pytest.approx((0.764, 0.935), abs=2e-3)


def test_gwets_ac1_keeps_what_kappa_loses_when_nearly_all_answers_are_alike():
    """118 times yes by both, 5 and 2 by one, never no by both: 94.4 % agree."""
    pairs = pairs_of(np.array([[118, 5], [2, 0]]))
    share = (123 + 120) / 250
    chance = 2 * share * (1 - share)
    assert gwet_ac(category_counts(pairs, 2)) == pytest.approx((0.944 - chance) / (1 - chance))
    assert cohen_kappa(*pairs.T) < 0 < 0.9 < gwet_ac(category_counts(pairs, 2))


def test_weighted_agreement_of_two_categories_is_the_unweighted_one():
    counts = category_counts(generator("test", "weights").integers(0, 2, (20, 5)), 2)
    assert gwet_ac(counts, quadratic_weights(2)) == pytest.approx(gwet_ac(counts))


def test_near_misses_count_in_weighted_agreement():
    rng = generator("test", "near")
    first = rng.integers(0, 5, 60)
    near, far = np.stack([first, first + 1], axis=1), np.stack([first, (first + 3) % 6], axis=1)
    weights = quadratic_weights(6)
    assert weights[0].tolist() == pytest.approx([1, 0.96, 0.84, 0.64, 0.36, 0])
    assert gwet_ac(category_counts(near, 6), weights) > 0.8 > gwet_ac(category_counts(far, 6), weights) + 0.5
    assert gwet_ac(category_counts(near, 6)) == pytest.approx(gwet_ac(category_counts(far, 6)), abs=0.02)


def test_cases_with_one_answer_count_for_the_shares_only():
    counts = np.array([[2, 0], [1, 1], [0, 2], [1, 0], [0, 0]])
    share = np.mean([1, 0.5, 0, 1])
    chance = 2 * share * (1 - share)
    assert gwet_ac(counts) == pytest.approx((2 / 3 - chance) / (1 - chance))
    assert math.isnan(gwet_ac(np.array([[1, 0], [0, 1]])))


def test_full_agreement_is_one_and_random_answers_are_about_zero():
    rng = generator("test", "random")
    same = category_counts(np.repeat(rng.integers(0, 2, (30, 1)), 4, axis=1), 2)
    other = category_counts(rng.integers(0, 2, (4000, 4)), 2)
    assert fleiss_kappa(same) == gwet_ac(same) == 1
    assert abs(fleiss_kappa(other)) < 0.03 and abs(gwet_ac(other)) < 0.03


def test_agreement_of_equal_answers_to_everything_is_unknown_to_kappa():
    ones = np.ones((5, 2), int)
    assert math.isnan(fleiss_kappa(category_counts(ones, 2))) and math.isnan(cohen_kappa(*ones.T))
    assert gwet_ac(category_counts(ones, 2)) == 1


def test_different_numbers_of_readers_are_refused_by_fleiss_kappa():
    with pytest.raises(ValueError, match="same number of readers"):
        fleiss_kappa(np.array([[2, 0], [1, 0]]))


def test_the_six_correlations_are_those_of_shrout_and_fleiss_1979():
    found = intraclass(SHROUT_FLEISS, 0.95)
    expected = {"(1,1)": 0.1657, "(2,1)": 0.2898, "(3,1)": 0.7148, "(1,k)": 0.4428, "(2,k)": 0.6201, "(3,k)": 0.9093}
    assert {name: round(bounded.value, 4) for name, bounded in found.items()} == {f"ICC{k}": v for k, v in expected.items()}


def test_the_intervals_of_the_correlations_are_the_published_ones():
    """Of the same data, as programs print them (two or three digits)."""
    found = intraclass(SHROUT_FLEISS, 0.95)
    for name, low, high in [
        ("ICC(1,1)", -0.133, 0.72),
        ("ICC(2,1)", 0.019, 0.76),
        ("ICC(3,1)", 0.342, 0.95),
        ("ICC(1,k)", -0.884, 0.91),
        ("ICC(2,k)", 0.071, 0.93),
        ("ICC(3,k)", 0.676, 0.99),
    ]:
        assert found[name].ci_low == pytest.approx(low, abs=5e-4), name
        assert found[name].ci_high == pytest.approx(high, abs=5e-3), name


def test_consistency_ignores_a_reader_who_is_always_higher_and_agreement_does_not():
    shifted = SHROUT_FLEISS + np.array([0, 5, 0, 0])
    before, after = intraclass(SHROUT_FLEISS, 0.95), intraclass(shifted, 0.95)
    assert after["ICC(3,1)"].value == pytest.approx(before["ICC(3,1)"].value)
    assert after["ICC(2,1)"].value != pytest.approx(before["ICC(2,1)"].value)


def test_intervals_of_the_correlations_cover_the_truth():
    """Variance 4 between cases, 1 between readers, 2 residual: ICC(2,1) is 4/7, ICC(3,1) is 4/6."""
    rng, hits, studies = generator("test", "icc"), np.zeros(2), 300
    for _ in range(studies):
        ratings = rng.normal(0, 2, (30, 1)) + rng.normal(0, 1, (1, 6)) + rng.normal(0, math.sqrt(2), (30, 6))
        found = intraclass(ratings, 0.95)
        for place, (name, true) in enumerate([("ICC(2,1)", 4 / 7), ("ICC(3,1)", 4 / 6)]):
            hits[place] += found[name].ci_low <= true <= found[name].ci_high
    assert np.all((hits / studies > 0.91) & (hits / studies < 0.985)), hits


def test_incomplete_ratings_are_refused():
    with pytest.raises(ValueError, match="complete ratings"):
        intraclass(np.array([[1, 2], [3, np.nan]]), 0.95)


def test_the_published_reader_test_of_freetumor_is_not_at_chance():
    """Sensitivity 51.1 % and, on a balanced deck, specificity 70.5 %: d' 0.57 and a lean of 0.26 toward "real"."""
    found = detection(511_000, 1_000_000, 295_000, 1_000_000, 0.95)
    assert round(found.sensitivity_index.value, 2) == 0.57 and round(found.criterion.value, 2) == 0.26
    assert found.sensitivity_index.value == pytest.approx(stats.norm.ppf(0.511) + stats.norm.ppf(0.705), abs=1e-5)


def test_a_reader_without_a_mistake_is_finite_and_one_who_guesses_is_at_zero():
    perfect, guessing = detection(20, 20, 0, 20, 0.95), detection(10, 20, 10, 20, 0.95)
    assert perfect.sensitivity_index.value == pytest.approx(2 * stats.norm.ppf(20.5 / 21))
    assert guessing.sensitivity_index.value == guessing.criterion.value == 0
    assert guessing.sensitivity_index.ci_low < 0 < guessing.sensitivity_index.ci_high


def test_the_criterion_is_positive_for_who_seldom_reports():
    assert detection(2, 20, 1, 20, 0.95).criterion.value > 0 > detection(19, 20, 18, 20, 0.95).criterion.value


def test_intervals_of_signal_detection_cover_the_truth():
    rng, hits, studies = generator("test", "detection"), np.zeros(2), 800
    for _ in range(studies):
        found = detection(rng.binomial(60, stats.norm.cdf(0.7)), 60, rng.binomial(60, stats.norm.cdf(-0.3)), 60, 0.95)
        for place, (bounded, true) in enumerate([(found.sensitivity_index, 1.0), (found.criterion, -0.2)]):
            hits[place] += bounded.ci_low <= true <= bounded.ci_high
    assert np.all((hits / studies > 0.93) & (hits / studies < 0.975)), hits


def test_shares_of_nothing_are_refused():
    with pytest.raises(ValueError, match="shares of something"):
        detection(0, 0, 1, 10, 0.95)


def test_the_jackknife_of_a_mean_is_the_t_interval():
    values = generator("test", "jackknife").normal(size=15)
    found = jackknife_interval(lambda rows: float(rows.mean()), values, 0.9)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval(0.9)))
