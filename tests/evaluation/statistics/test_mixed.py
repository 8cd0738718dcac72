"""The mixed model: against closed forms, statsmodels, and a published fit."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.crossed import random_effects
from freetumor.evaluation.statistics.mixed import fit_mixed


def long_scores(*key, cases=12, arms=3, trainings=5, sd=(7.0, 3.0, 2.0, 4.0)):
    """Scores and their case, arm and training; ``sd`` of case, case:arm, arm:training and residual."""
    rng, shape = generator("test", *key), (cases, arms, trainings)
    values = (
        rng.normal(0, sd[0], (cases, 1, 1))
        + rng.normal(0, sd[1], (cases, arms, 1))
        + rng.normal(0, sd[2], (1, arms, trainings))
        + rng.normal(0, sd[3], shape)
        + np.arange(arms)[:, None]
    )
    return values, *np.indices(shape).reshape(3, -1)


@pytest.mark.parametrize("sd", [(7.0, 3.0, 5.0), (0.0, 4.0, 5.0), (7.0, 0.0, 5.0)], ids=str)
def test_complete_differences_give_what_the_mean_squares_give(sd):
    rng = generator("test", "balanced", str(sd))
    block = rng.normal(0, sd[0], (12, 1)) + rng.normal(0, sd[1], (1, 5)) + rng.normal(0, sd[2], (12, 5))
    case, training = np.indices(block.shape).reshape(2, -1)
    found = fit_mixed(block.ravel(), np.zeros(60), case, training).contrast([1], 0.95)
    expected = random_effects([block], 0.95)
    assert found.difference == pytest.approx(expected.difference)
    assert found.error == pytest.approx(expected.error, rel=1e-4)
    assert (found.degrees, found.p) == pytest.approx((expected.degrees, expected.p), rel=2e-3)


def test_complete_scores_of_several_arms_give_the_textbook_variance_and_degrees():
    values, case, arm, training = long_scores("arms")
    cases, arms, trainings = values.shape
    by_case, by_training = values.mean(2, keepdims=True), values.mean(0, keepdims=True)
    means, grand = values.mean((0, 2), keepdims=True), values.mean()
    degrees = np.array([(cases - 1) * (arms - 1), arms * (trainings - 1), arms * (cases - 1) * (trainings - 1)])
    squares = np.array([
        trainings * np.sum((by_case - values.mean((1, 2), keepdims=True) - means + grand) ** 2),
        cases * np.sum((by_training - means) ** 2),
        np.sum((values - by_case - by_training + means) ** 2),
    ]) / degrees  # fmt: skip
    combination = squares[0] + squares[1] - squares[2]
    found = fit_mixed(values.ravel(), arm, case, training).contrast([-1, 1, 0], 0.95)
    assert found.difference == pytest.approx(means[0, 1, 0] - means[0, 0, 0])
    assert found.error**2 == pytest.approx(2 * combination / (cases * trainings), rel=1e-4)
    assert found.degrees == pytest.approx(combination**2 / np.sum(squares**2 / degrees), rel=2e-3)


@pytest.mark.filterwarnings("ignore")
def test_scores_with_gaps_are_fitted_as_statsmodels_does():
    import statsmodels.formula.api as smf

    values, case, arm, training = long_scores("gaps", cases=8, trainings=4)
    kept = generator("test", "kept").random(case.size) < 0.85
    frame = pd.DataFrame({"y": values.ravel(), "arm": arm, "case": case, "training": training, "one": 0})[kept]
    frame = frame.assign(both=frame["arm"] * 100 + frame["case"], trained=frame["arm"] * 100 + frame["training"])
    terms = {name: f"0 + C({column})" for name, column in (("a", "case"), ("b", "both"), ("c", "trained"))}
    model = smf.mixedlm("y ~ 0 + C(arm)", frame, groups="one", vc_formula=terms)
    expected = model.fit(reml=True, method=["powell", "lbfgs"])
    found = fit_mixed(*(frame[name].to_numpy() for name in ("y", "arm", "case", "training")))
    np.testing.assert_allclose(found.means, expected.fe_params, atol=2e-3)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), expected.bse_fe, rtol=2e-3)
    assert found.deviance == pytest.approx(-2 * expected.llf, abs=2e-3)
    assert found.deviance <= -2 * expected.llf + 1e-6, "the optimum is no worse"


def test_the_names_and_order_of_the_levels_do_not_matter():
    values, case, arm, training = long_scores("order", cases=6, trainings=3)
    shuffled = generator("test", "shuffled").permutation(case.size)
    names = np.array(["a", "b", "c"])[arm]
    first = fit_mixed(values.ravel(), arm, case, training)
    second = fit_mixed(values.ravel()[shuffled], names[shuffled], 90 - case[shuffled], training[shuffled] + 5)
    np.testing.assert_allclose(first.means, second.means, rtol=1e-6)
    assert first.deviance == pytest.approx(second.deviance)


def test_one_case_or_one_training_cannot_be_fitted():
    with pytest.raises(ValueError, match="two cases, and two trainings"):
        fit_mixed(np.arange(4.0), [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 2, 3])
    with pytest.raises(ValueError, match="two cases, and two trainings"):
        fit_mixed(np.arange(4.0), [0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0])


def _with_moments(values, mean, covariance):
    """Move rows so that their mean and covariance (over n - 1) are exactly those wanted."""
    values = values - values.mean(axis=0)
    current = np.linalg.cholesky(np.cov(values.T))
    return values @ np.linalg.inv(current).T @ np.linalg.cholesky(covariance).T + mean


@pytest.mark.filterwarnings("ignore")
def test_statsmodels_gives_the_published_fit_of_the_sleep_study():
    """A balanced random-slope model rests on the moments of the subjects' lines and the residual sum of squares alone.

    Data of 18 subjects and 10 days with the moments that the published estimates imply must give standard errors and the
    deviance as published (lme4: Bates et al. 2015); the reaction times themselves are not needed.
    """
    import statsmodels.formula.api as smf

    rng, days = generator("test", "sleep"), np.arange(10.0)
    design = np.column_stack([np.ones(10), days])
    residual = 25.5918
    between = np.array([[24.7404**2, 0.0656 * 24.7404 * 5.9221], [0.0656 * 24.7404 * 5.9221, 5.9221**2]])
    lines = _with_moments(
        rng.normal(size=(18, 2)), [251.4051, 10.46729], between + residual**2 * np.linalg.inv(design.T @ design)
    )
    noise = rng.normal(size=(18, 10))
    noise -= noise @ design @ np.linalg.inv(design.T @ design) @ design.T
    noise *= residual * np.sqrt(18 * 8 / np.sum(noise**2))
    frame = pd.DataFrame({
        "reaction": (lines @ design.T + noise).ravel(), "day": np.tile(days, 18), "subject": np.repeat(np.arange(18), 10),
    })  # fmt: skip
    found = smf.mixedlm("reaction ~ day", frame, groups="subject", re_formula="~day").fit(reml=True)
    assert found.fe_params.to_numpy() == pytest.approx([251.4051, 10.46729], abs=5e-5)
    assert found.bse_fe.to_numpy() == pytest.approx([6.82455, 1.54579], abs=2e-4)
    deviations = np.sqrt(np.diag(found.cov_re))
    assert deviations == pytest.approx([24.7404, 5.9221], abs=5e-3) and found.scale**0.5 == pytest.approx(25.5918, abs=1e-3)
    assert found.cov_re.iloc[0, 1] / deviations.prod() == pytest.approx(0.0656, abs=5e-4)
    assert -2 * found.llf == pytest.approx(1743.628, abs=2e-3)
    assert stats.t.sf(10.46729 / 1.54579, 17) < 1e-5
