"""Feature by feature: distances as scipy has them, p-values that respect patients, and a planted difference that is found."""

import numpy as np
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.distributions import compare_distributions, ks_distances


def patients(count, each, first=0):
    return np.array([f"p{first + number // each}" for number in range(count)])


def test_distances_are_those_of_scipy_also_with_ties():
    rng = generator("ks")
    for values in (rng.normal(size=60), rng.integers(0, 5, 60).astype(float)):
        first = rng.random(60) < 0.4
        found = ks_distances(values, np.array([first, ~first]))
        assert found == pytest.approx([stats.ks_2samp(values[first], values[~first]).statistic] * 2)
    painted, real = rng.normal(1, 2, (20, 1)), rng.normal(size=(30, 1))
    numbers = compare_distributions(painted, real, patients(20, 1), patients(30, 1), 100, rng)
    assert numbers["ks"][0] == pytest.approx(stats.ks_2samp(painted[:, 0], real[:, 0]).statistic)
    expected = stats.wasserstein_distance(painted[:, 0], real[:, 0]) / real.std()
    assert numbers["wasserstein"][0] == pytest.approx(expected)
    assert numbers["median"][0] == np.median(painted)


def test_the_p_value_is_that_of_all_permutations_of_a_small_case():
    """Three lesions against three, all apart: of the 20 divisions two are as extreme."""
    values = np.arange(6.0)[:, None]
    numbers = compare_distributions(values[:3], values[3:], patients(3, 1), patients(3, 1, 3), 20000, generator("exact"))
    assert numbers["p"][0] == pytest.approx(0.1, abs=0.01)


def test_a_shifted_feature_is_found_among_many_that_are_not():
    rng = generator("screen")
    painted, real = rng.normal(size=(60, 20)), rng.normal(size=(50, 20))
    painted[:, 7] += 1.5
    numbers = compare_distributions(painted, real, patients(60, 2), patients(50, 2, 100), 1000, rng)
    assert np.flatnonzero(numbers["p_adjusted"] < 0.05).tolist() == [7]
    assert (numbers["p_adjusted"] >= numbers["p"]).all()


def test_p_values_are_uniform_when_lesions_of_a_patient_are_alike():
    """Each lesion counted for itself would reject in more than half of these studies."""
    rng, found = generator("cluster"), []
    for _ in range(20):
        centers = rng.normal(size=(24, 10))
        values = np.repeat(centers, 5, axis=0) + 0.1 * rng.normal(size=(120, 10))
        found.append(compare_distributions(values[:60], values[60:], patients(60, 5), patients(60, 5, 50), 200, rng)["p"])
    assert np.mean(np.concatenate(found) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.median(found) == pytest.approx(0.5, abs=0.15)


def test_missing_and_constant_features_have_no_number_and_spoil_no_other():
    rng = generator("missing")
    painted, real = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    painted[:, 0], real[:, 1], painted[0, 2] = np.nan, 5.0, np.nan
    numbers = compare_distributions(painted, real, patients(20, 1), patients(20, 1, 50), 50, rng)
    assert np.isnan(numbers["ks"]).tolist() == [True, False, False]
    assert np.isnan(numbers["wasserstein"]).tolist() == [True, True, False]
    assert np.isnan(numbers["p_adjusted"]).tolist() == [True, False, False]
