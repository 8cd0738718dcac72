"""Scaling laws: a certified data set, exact curves, honest intervals, and refusals."""

import math

import numpy as np
import pytest

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.scaling import CONSTANT, FAMILIES, LOGARITHMIC, POWER, PURE_POWER, compare, fit

SIZES = np.repeat([4, 8, 16, 32, 64, 128, 256], 5)


def errors(*key, floor=0.1, gain=0.4, exponent=0.5, sd=0.02):
    curve = floor + gain * (SIZES / 4) ** -exponent
    return curve + sd * generator("test", "scaling", *key).normal(size=SIZES.size)


def test_danwood_gives_the_certified_values():
    """NIST StRD, y = b1 x^b2: a heated tungsten filament. Ours is written relative to the smallest x."""
    x = np.array([1.309, 1.471, 1.490, 1.565, 1.611, 1.680])
    y = np.array([2.138, 3.421, 3.597, 4.340, 4.882, 5.660])
    found = fit(PURE_POWER, x, y)
    gain, exponent = found.values
    assert -exponent == pytest.approx(3.8604056, abs=5e-8)
    assert gain * x[0] ** exponent == pytest.approx(0.76886226, abs=5e-9)
    slopes = x[0] ** exponent * np.array([1, gain * math.log(x[0])])
    assert math.sqrt(slopes @ found.covariance @ slopes) == pytest.approx(0.0182820, abs=5e-8)
    assert math.sqrt(found.covariance[1, 1]) == pytest.approx(0.0517266, abs=5e-8)
    assert found.residual_sum == pytest.approx(0.0043173084, abs=5e-11)


@pytest.mark.parametrize("truth", [(0.1, 0.4, 0.5), (0.0, 0.4, 0.3), (0.2, 0.3, 1.0)])
def test_an_exact_curve_is_found(truth):
    floor, gain, exponent = truth
    found = fit(POWER, SIZES, floor + gain * (SIZES / 4) ** -exponent)
    np.testing.assert_allclose(found.values, truth, atol=1e-5)
    np.testing.assert_allclose(found.predict([4, 1024], 0.95)[0], floor + gain * np.array([1, 256**-exponent]), atol=1e-6)


def test_linear_curves_are_those_of_least_squares():
    from scipy import stats

    observed = errors("linear")
    found, expected = fit(LOGARITHMIC, SIZES, observed), stats.linregress(np.log(SIZES / 4), observed)
    assert found.values == pytest.approx([expected.intercept, expected.slope])
    assert math.sqrt(found.covariance[1, 1]) == pytest.approx(expected.stderr)
    assert fit(CONSTANT, SIZES, observed).values == pytest.approx([observed.mean()])
    np.testing.assert_allclose(found.residuals, observed - expected.intercept - expected.slope * np.log(SIZES / 4))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_other_parameters_fit_better(family):
    rng, observed = generator("test", "minimum"), errors("minimum")
    found = fit(family, SIZES, observed)
    for _ in range(300):
        other = np.maximum(found.values * (1 + 0.05 * rng.normal(size=found.values.size)), family.lower)
        assert np.sum((observed - family.curve(SIZES / 4, other)) ** 2) >= found.residual_sum - 1e-9


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_slopes_are_the_derivatives_of_the_curve(family):
    values, x = np.array([0.2, 0.4, 0.6])[: len(family.parameters)], np.array([1.0, 2.0, 7.0])
    steps = 1e-6 * np.eye(values.size)
    numeric = [(family.curve(x, values + step) - family.curve(x, values - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(family.slopes(x, values), np.transpose(numeric), atol=1e-8)


def test_the_scale_of_sizes_does_not_matter():
    observed = errors("scale")
    first, second = fit(POWER, SIZES, observed), fit(POWER, SIZES * 1000, observed)
    np.testing.assert_allclose(first.values, second.values, atol=1e-8)
    assert first.aicc == pytest.approx(second.aicc)


def test_intervals_cover_the_truth():
    truth, hits, studies = (0.1, 0.4, 0.5), np.zeros(4), 120
    for number in range(studies):
        found = fit(POWER, SIZES, errors("coverage", number))
        bounds = [found.interval(name, 0.95)[1:] for name in POWER.parameters]
        _, low, high = found.predict([1024], 0.95)
        bounds.append((low[0], high[0]))
        hits += [low <= true <= high for (low, high), true in zip(bounds, [*truth, 0.1 + 0.4 / 16], strict=True)]
    assert np.all(hits / studies >= 0.89), hits / studies


def test_the_right_curve_wins_where_data_can_tell():
    (best, weight), *_ = compare(SIZES, errors("power", exponent=1.0))
    assert best.family is POWER and weight > 0.9
    (best, weight), *_ = compare(SIZES, 0.5 - 0.05 * np.log(SIZES / 4) + errors("line", floor=0, gain=0))
    assert best.family is LOGARITHMIC and weight > 0.5
    winners = [compare(SIZES, errors("nothing", number, gain=0))[0][0].family for number in range(20)]
    assert winners.count(CONSTANT) > 10
    fits = compare(SIZES, errors("sum"))
    assert sum(weight for _, weight in fits) == pytest.approx(1)
    assert [found.aicc for found, _ in fits] == sorted(found.aicc for found, _ in fits)


def test_the_criterion_by_hand():
    observed = errors("criterion")
    n, rss, k = SIZES.size, np.sum((observed - observed.mean()) ** 2), 2
    expected = n * math.log(rss / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    assert fit(CONSTANT, SIZES, observed).aicc == pytest.approx(expected)


def test_nobody_reads_the_curve_far_beyond_the_data():
    found = fit(POWER, SIZES, errors("far"))
    found.predict([1, 1024], 0.95)
    with pytest.raises(ValueError, match=r"n = 1025 is more than 4 times beyond the data, which go from 4 to 256"):
        found.predict([16, 1025], 0.95)
    with pytest.raises(ValueError, match=r"n = 0\.9"):
        found.predict([0.9], 0.95)


def test_errors_that_do_not_fall_have_no_exponent():
    found = fit(POWER, SIZES, 0.2 + 0.01 * np.log(SIZES))
    assert found.values[1] == 0 and math.isnan(found.interval("exponent", 0.95)[1])
    assert any("cannot be told apart" in note for note in found.notes)


def test_intervals_end_at_the_bounds_of_a_parameter():
    found = fit(POWER, SIZES, errors("bound", floor=0.0, exponent=0.1))
    assert found.interval("floor", 0.95)[1] >= 0 and found.interval("exponent", 0.95)[1] >= 0


def test_few_data_are_named_and_too_few_refused():
    few = np.repeat([4, 8, 16, 32], 2)
    assert fit(POWER, few, 0.5 - 0.01 * few).notes[:2] == ("4 sizes, fewer than 6", "2 trainings of a size, fewer than 5")
    assert fit(POWER, SIZES, errors("enough")).notes == ()
    with pytest.raises(ValueError, match="a power curve needs 3 sizes and 6 trainings, got 2 and 6"):
        fit(POWER, np.repeat([4, 8], 3), np.arange(6.0))
    assert {found.family.name for found, _ in compare(np.repeat([4, 8], 3), np.arange(6.0))} == {
        "pure power",
        "logarithmic",
        "constant",
    }


@pytest.mark.parametrize(("sizes", "values"), [([0, 1, 2, 3], [1] * 4), ([1, 2, 3, 4], [1, math.nan, 1, 1]), ([1, 2], [1] * 3)])
def test_senseless_data_are_refused(sizes, values):
    with pytest.raises(ValueError, match="a finite error for each positive size"):
        fit(CONSTANT, sizes, values)
