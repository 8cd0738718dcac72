"""Patients and trainings as random: closed forms, a mixed model, and simulated null studies."""

import numpy as np
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.crossed import (
    BOTH_RANDOM,
    NONE,
    PATIENTS_ONLY,
    TWO_TRAININGS,
    crossed_variance,
    equivalent,
    random_effects,
    ratio_blocks,
)


def null_blocks(rng, folds=3, patients=10, trainings=2, sd=(7.0, 2.0, 7.0)):
    """Differences between two equal methods: patient, training and residual standard deviation ``sd``."""
    shape = (patients, trainings)
    return [
        rng.normal(0, sd[0], (patients, 1)) + rng.normal(0, sd[1], (1, trainings)) + rng.normal(0, sd[2], shape)
        for _ in range(folds)
    ]


def test_variance_is_the_textbook_combination_of_mean_squares():
    """C S Var(mean) = MS_patient + MS_training - MS_residual, with Satterthwaite's degrees of freedom."""
    values = np.array([[4.0, 7.0, 1.0], [6.0, 10.0, 3.0], [12.0, 14.0, 8.0], [1.0, 6.0, -2.0]])
    rows, columns, grand = values.mean(1), values.mean(0), values.mean()
    ms_patient = 3 * np.sum((rows - grand) ** 2) / 3
    ms_training = 4 * np.sum((columns - grand) ** 2) / 2
    ms_residual = np.sum((values - rows[:, None] - columns + grand) ** 2) / 6
    combination = ms_patient + ms_training - ms_residual
    variance = crossed_variance([values])
    assert variance.value == pytest.approx(combination / 12)
    expected = combination**2 / (ms_patient**2 / 3 + ms_training**2 / 2 + ms_residual**2 / 6)
    assert variance.degrees == pytest.approx(expected)


@pytest.mark.parametrize("sd", [(7.0, 3.0, 5.0), (0.0, 4.0, 5.0)])
def test_variance_equals_that_of_a_crossed_mixed_model(sd):
    """On balanced data ANOVA and restricted maximum likelihood agree, with a variance component of zero as well."""
    import pandas as pd
    import statsmodels.formula.api as smf

    block = null_blocks(generator("test", "mixed", int(sd[0])), 1, 12, 5, sd)[0]
    frame = pd.DataFrame(
        [(c, t, block[c, t], 0) for c in range(12) for t in range(5)], columns=["patient", "training", "value", "all"]
    )
    components = {"patient": "0 + C(patient)", "training": "0 + C(training)"}
    fit = smf.mixedlm("value ~ 1", frame, groups="all", vc_formula=components).fit(reml=True, method=["powell", "lbfgs"])
    assert random_effects([block], 0.95).difference == pytest.approx(fit.params["Intercept"])
    assert crossed_variance([block]).value ** 0.5 == pytest.approx(fit.bse["Intercept"], rel=0.01)


def test_variance_of_unequal_folds_is_unbiased():
    rng, drawn, estimated = generator("test", "unequal"), [], []
    for _ in range(1000):
        blocks = [null_blocks(rng, 1, patients, trainings)[0] for patients, trainings in ((14, 3), (6, 2), (9, 4))]
        estimate = random_effects(blocks, 0.95)
        drawn.append(estimate.difference)
        estimated.append(((estimate.ci_high - estimate.ci_low) / 2 / stats.t.ppf(0.975, estimate.degrees)) ** 2)
    assert np.mean(estimated) == pytest.approx(np.var(drawn), rel=0.12)


def test_one_training_per_fold_falls_back_to_patients_and_says_so():
    blocks = null_blocks(generator("test", "single"), trainings=1)
    estimate = random_effects(blocks, 0.95)
    expected = stats.ttest_1samp(np.concatenate(blocks).ravel(), 0)
    assert estimate.test == PATIENTS_ONLY and "this trained model only" in estimate.test
    assert estimate.p == pytest.approx(expected.pvalue)
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx(tuple(expected.confidence_interval()))


def test_two_trainings_that_agree_exactly_leave_finite_degrees_of_freedom():
    """Patients do not differ and trainings have one mean: all that is left is the residual, with its own degrees of freedom."""
    block = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]) + 0.5
    variance = crossed_variance([block])
    assert 0 < variance.degrees <= 6 and variance.value > 0
    assert np.isfinite(random_effects([block], 0.95).ci_low)


def test_the_test_is_named_by_what_it_rests_on():
    rng = generator("test", "names")
    assert random_effects(null_blocks(rng), 0.95).test == BOTH_RANDOM
    assert random_effects(null_blocks(rng, folds=1), 0.95).test == TWO_TRAININGS
    assert random_effects(null_blocks(rng, folds=1, patients=1), 0.95).test == NONE
    assert random_effects([], 0.95).test == NONE


def test_equal_methods_without_any_difference_have_p_one_and_no_interval():
    estimate = random_effects([np.zeros((4, 2)), np.zeros((3, 2))], 0.95)
    assert (estimate.difference, estimate.p) == (0, 1)
    assert np.isnan([estimate.ci_low, estimate.ci_high]).all()


def test_a_constant_difference_is_no_proof():
    estimate = random_effects([np.full((3, 2), 0.1)], 0.95)
    assert estimate.difference == pytest.approx(0.1) and np.isnan(estimate.p) and np.isnan(estimate.ci_low)


@pytest.mark.parametrize("design", [(3, 10, 2), (1, 30, 6)], ids=["three folds, two seeds", "external, six trainings"])
def test_null_studies_are_rejected_at_the_nominal_rate_but_not_by_a_wilcoxon_test_over_cases(design):
    """Training effects of 0, 2 and 4 points; the Wilcoxon test averages seeds and takes cases as the unit."""
    rng, studies = generator("test", "type one", *design), 250
    honest, naive = [], []
    for training_sd in (0.0, 2.0, 4.0):
        for _ in range(studies):
            blocks = null_blocks(rng, *design, (7.0, training_sd, 7.0))
            honest.append(random_effects(blocks, 0.95).p < 0.05)
            naive.append(stats.wilcoxon(np.concatenate([block.mean(axis=1) for block in blocks])).pvalue < 0.05)
    rates, naive_rates = np.reshape(honest, (3, -1)).mean(axis=1), np.reshape(naive, (3, -1)).mean(axis=1)
    assert np.all((rates >= 0.02) & (rates <= 0.08)), rates
    assert 0.025 <= np.mean(honest) <= 0.08
    assert naive_rates[2] > 0.10, naive_rates


def null_lesions(rng, folds, patients, trainings, training_sd):
    """Hits of two equal methods on lesions clustered in patients: differences and lesion counts per block."""
    totals, counts = [], []
    for _ in range(folds):
        count, patient = rng.integers(1, 5, patients), rng.normal(0.4, 1, (patients, 1))
        chance = [1 / (1 + np.exp(-patient - rng.normal(0, training_sd, (1, trainings)))) for _ in range(2)]
        first, second = (rng.binomial(count[:, None], each) for each in chance)
        totals.append((first - second).astype(float))
        counts.append(count.astype(float))
    return totals, counts


def test_null_studies_of_lesion_sensitivity_are_not_rejected_too_often():
    rng = generator("test", "type one", "lesions")
    honest, naive = [], []
    for _ in range(400):
        blocks = ratio_blocks(*null_lesions(rng, 3, 10, 3, 0.5))
        honest.append(random_effects(blocks, 0.95).p < 0.05)
        naive.append(stats.wilcoxon(np.concatenate([block.mean(axis=1) for block in blocks])).pvalue < 0.05)
    assert 0.02 <= np.mean(honest) <= 0.08, np.mean(honest)
    assert np.mean(naive) > 0.10, np.mean(naive)


def test_ratio_blocks_average_to_the_share_of_lesions():
    totals, counts = null_lesions(generator("test", "ratio"), 3, 6, 2, 0.5)
    share = sum(block.mean(axis=1).sum() for block in totals) / np.concatenate(counts).sum()
    assert random_effects(ratio_blocks(totals, counts), 0.95).difference == pytest.approx(share)


def test_ratio_blocks_have_the_variance_of_the_jackknife_over_patients():
    """With one training, the linearized variance is that of leaving out one patient at a time, to first order."""
    rng = generator("test", "jackknife")
    counts = rng.integers(1, 5, 80).astype(float)
    totals = rng.binomial(counts.astype(int), 0.6).astype(float)
    left_out = (totals.sum() - totals) / (counts.sum() - counts)
    jackknife = 79 / 80 * np.sum((left_out - left_out.mean()) ** 2)
    linearized = ratio_blocks([totals[:, None]], [counts])[0].var(ddof=1) / 80
    assert linearized == pytest.approx(jackknife, rel=0.05)


def test_two_methods_are_equivalent_only_if_the_interval_of_twice_the_level_lies_within_the_margin():
    blocks = null_blocks(generator("test", "equivalence"), sd=(3.0, 1.0, 3.0))
    estimate = random_effects(blocks, 0.90)
    reach = max(abs(estimate.ci_low), abs(estimate.ci_high))
    assert equivalent(estimate, reach) == pytest.approx(0.05)
    assert equivalent(estimate, 1.01 * reach) < 0.05 < equivalent(estimate, 0.99 * reach)
    assert np.isnan(equivalent(random_effects([], 0.95), 1.0))
