"""The bootstrap over trainings and patients: what its draws vary like, and what they do not depend on."""

import numpy as np
import pytest

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics import bootstrap
from freetumor.evaluation.statistics.bootstrap import percentile_interval, ratio_bootstrap, two_level_bootstrap


def scores(rng, patients=40, arms=3, trainings=4, sd=(7.0, 2.0, 4.0)):
    return (
        rng.normal(0, sd[0], (patients, 1, 1))
        + rng.normal(0, sd[1], (1, arms, trainings))
        + rng.normal(0, sd[2], (patients, arms, trainings))
    )


def test_bootstrap_of_two_trainings_does_not_lose_half_of_their_variance():
    """Trainings of 0 and 1 everywhere: the variance of their mean is 1/4; drawing two of two would give 1/8."""
    block = np.tile([0.0, 1.0], (50, 1))
    draws = ratio_bootstrap([block], [np.ones(50)], 4000, generator("test", "two"))
    assert draws.var() == pytest.approx(0.25, rel=0.05)


def test_bootstrap_interval_covers_the_true_share():
    rng, covered = generator("test", "coverage"), []
    for _ in range(300):
        patient = rng.normal(0, 1, (30, 1))
        counts = rng.integers(1, 5, 30)
        chance = 1 / (1 + np.exp(-patient - rng.normal(0, 0.5, (1, 4))))
        hits = rng.binomial(counts[:, None], chance).astype(float)
        low, high = percentile_interval(ratio_bootstrap([hits], [counts.astype(float)], 300, rng), 0.95)
        covered.append(low <= 0.5 <= high)
    assert 0.90 <= np.mean(covered) <= 0.995


def test_the_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    blocks = [scores(generator("test", "chunks", fold)) for fold in range(2)]
    counts = [np.ones(40), np.full(40, 2.0)]
    draws = []
    for size in (1, 1000, 10**6):
        monkeypatch.setattr(bootstrap, "DRAWN", size)
        draws.append(two_level_bootstrap(blocks, counts, 50, generator("test", "draws")))
    np.testing.assert_allclose(draws[0], draws[1], rtol=1e-12)
    np.testing.assert_allclose(draws[0], draws[2], rtol=1e-12)


def test_all_arms_see_the_same_patients_and_trainings():
    block = scores(generator("test", "arms"))
    block[:, 1] = block[:, 0] + 3
    draws = two_level_bootstrap([block], [np.ones(40)], 200, generator("test", "same"))
    np.testing.assert_allclose(draws[:, 1] - draws[:, 0], 3)
    assert draws[:, 2].std() > 0


def test_the_variance_is_that_of_the_levels_it_resamples():
    """Against the unbiased ANOVA variance of a mean, averaged over data sets: patients and trainings, and twice the rest."""
    rng, drawn, expected = generator("test", "variance"), [], []
    for _ in range(150):
        block = scores(rng, 30, 1, 4)
        drawn.append(two_level_bootstrap([block], [np.ones(30)], 200, rng).var())
        expected.append(7**2 / 30 + 2**2 / 4 + 2 * 4**2 / 120)
    assert np.mean(drawn) == pytest.approx(np.mean(expected), rel=0.12)


def test_a_draw_without_any_unit_is_undefined_and_left_out_of_the_interval():
    draws = ratio_bootstrap([np.array([[0.0], [1.0]])], [np.array([0.0, 1.0])], 400, generator("test", "empty"))
    assert np.isnan(draws).any() and percentile_interval(draws, 0.95) == (1.0, 1.0)
    assert two_level_bootstrap([], [], 5, generator("test", "none")).shape == (5, 0)
    assert np.isnan(percentile_interval(np.empty(0), 0.95)).all()
