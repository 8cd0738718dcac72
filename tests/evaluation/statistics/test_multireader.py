"""Multi-reader analysis: published worked examples, brute force, and simulated readers and cases."""

import math

import numpy as np
import pytest
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.evaluation.statistics.multireader import Components, Mean, compare_arms, components, jackknife, single_arm
from freetumor.evaluation.statistics.roc import auc, delong

ROWS = (
    "14323112243423113544", "23321212243333233454", "23112312352531123533",  # arm 1, a row per reader
    "31532311143432424425", "32421221134633436655", "32422221134322445422",
)  # fmt: skip
RATINGS = np.array([[int(digit) for digit in row] for row in ROWS], float)
TRUTH = np.arange(20) >= 10

# Areas of the five readers of Van Dyke et al. 1993 with both methods, and their mean covariances: published results, no data.
VAN_DYKE = np.array(
    [
        [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
        [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
    ]
)
BY_DELONG = Components(0.00079213, 0.00034201, 0.00033953, 0.00023585)
BY_JACKKNIFE = Components(0.00080228827, 0.00034661371, 0.00034407483, 0.00023902837)
FIRST_ARM = Components(0.00101410277, math.nan, 0.00048396180, math.nan)  # by jackknife
SECOND_ARM = Components(0.00059047376, math.nan, 0.00020418785, math.nan)
# Five treatments and four readers of Zanca et al. 2009, likewise.
ZANCA = np.array(
    [
        [0.90425, 0.79820, 0.81175, 0.86645],
        [0.86425, 0.84470, 0.82050, 0.87160],
        [0.81295, 0.81635, 0.75275, 0.85730],
        [0.90235, 0.83150, 0.78865, 0.87980],
        [0.84140, 0.77300, 0.77115, 0.84800],
    ]
)
OF_ZANCA = Components(7.8911924e-4, 2.9480096e-4, 2.3331406e-4, 2.1212789e-4)


def drawn(number, arms=2, readers=3, cases=16):
    """Ratings of random readers and cases in steps, with positives that look a little different."""
    rng = generator("test", "readers", number)
    truth = rng.permutation(np.repeat([True, False], cases // 2))
    signal = rng.normal(size=cases) + truth
    ratings = signal + rng.normal(size=(arms, 1, cases)) * 0.5 + rng.normal(size=(arms, readers, cases))
    return truth, np.rint(ratings * 1.2).reshape(arms * readers, cases)


def brute_area(truth, scores):
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[truth] for n in scores[~truth]]
    return sum(pairs) / len(pairs)


def brute_test(values, covariance):
    """Obuchowski's and Rockette's F, its degrees of freedom and p, by loops over arms and readers."""
    arms, readers = values.shape
    kinds = {"var": [], "cov1": [], "cov2": [], "cov3": []}
    for i in range(arms):
        for j in range(readers):
            for k in range(arms):
                for l in range(readers):  # noqa: E741
                    name = "cov3" if i != k and j != l else "cov2" if i == k and j != l else "cov1" if i != k else "var"
                    kinds[name].append(covariance[i * readers + j, k * readers + l])
    mean = {name: sum(found) / len(found) for name, found in kinds.items()}
    grand = values.mean()
    treatment = readers * sum((values[i].mean() - grand) ** 2 for i in range(arms)) / (arms - 1)
    interaction = sum(
        (values[i, j] - values[i].mean() - values[:, j].mean() + grand) ** 2 for i in range(arms) for j in range(readers)
    ) / ((arms - 1) * (readers - 1))
    error = interaction + readers * max(mean["cov2"] - mean["cov3"], 0)
    own = (arms - 1) * (readers - 1)
    degrees = error**2 / (interaction**2 / own) if interaction > 1e-20 else math.inf
    return treatment / error, degrees, stats.f.sf(treatment / error, arms - 1, min(degrees, 1e12))


def test_the_license_free_study_gives_the_reference_values_to_the_printed_digits():
    values, covariance = delong(TRUTH, RATINGS)
    np.testing.assert_allclose(values, [0.655, 0.815, 0.610, 0.700, 0.930, 0.740], atol=1e-12)
    parts = components(covariance, 2)
    expected = (0.01162593, 0.00150185, 0.0068713, 0.00181019)
    assert (parts.var, parts.cov1, parts.cov2, parts.cov3) == pytest.approx(expected, abs=5e-9)
    found = compare_arms(values.reshape(2, 3), parts)
    assert found.statistic == pytest.approx(0.86455924, abs=5e-9)
    assert found.degrees == (1, pytest.approx(496.3163, abs=5e-5))
    assert found.p == pytest.approx(0.35291797, abs=5e-9)
    arm = single_arm(values[:3], components(covariance[:3, :3], 1))
    assert (arm.value, arm.se, arm.degrees) == pytest.approx((0.6933333, 0.11095962, 20.24849), abs=5e-6)
    assert arm.interval(0.95) == pytest.approx((0.46206, 0.92461), abs=5e-6)


def test_the_same_study_by_jackknife():
    values, covariance = jackknife(TRUTH, RATINGS, auc)
    found = compare_arms(values.reshape(2, 3), components(covariance, 2))
    assert (found.statistic, found.p) == pytest.approx((0.8218018, 0.36505137), abs=5e-8)


def test_van_dykes_study_gives_the_published_values_to_the_printed_digits():
    found = compare_arms(VAN_DYKE, BY_DELONG)
    # The covariances are printed with five digits, so that F has about four.
    assert found.statistic == pytest.approx(4.484854, rel=5e-5)
    assert found.degrees[1] == pytest.approx(15.06611, rel=5e-5)
    assert found.p == pytest.approx(0.05123303, rel=5e-5)
    difference = found.differences[0, 1]
    assert (difference.value, difference.se) == pytest.approx((-0.0438003, 0.0206825), abs=5e-7)
    assert difference.test(0) == pytest.approx(found.p)


@pytest.mark.parametrize(
    ("design", "statistic", "degrees", "p", "se"),
    [
        ("random", 4.4563187, 15.259675, 0.051665686, 0.020748618),
        ("fixed_readers", 5.4759532, math.inf, 0.019279843, 0.018717483),
        ("fixed_cases", 8.704, 4, 0.041958752, 0.014846287),
    ],
)
def test_van_dykes_study_in_all_designs(design, statistic, degrees, p, se):
    found = compare_arms(VAN_DYKE, BY_JACKKNIFE, design)
    assert found.statistic == pytest.approx(statistic, rel=5e-7)
    assert found.degrees[1] == pytest.approx(degrees, rel=5e-7)
    assert found.p == pytest.approx(p, rel=1e-6)
    assert found.differences[0, 1].se == pytest.approx(se, rel=5e-7)


@pytest.mark.parametrize(
    ("arm", "parts", "se", "degrees", "low", "high"),
    [
        (0, FIRST_ARM, 0.033173597, 12.744648, 0.82522360, 0.96885048),
        (1, SECOND_ARM, 0.021566368, 12.710190, 0.89413783, 0.98753689),
    ],
)
def test_single_arms_of_van_dykes_study(arm, parts, se, degrees, low, high):
    found = single_arm(VAN_DYKE[arm], parts)
    assert found.se == pytest.approx(se, rel=5e-7) and found.degrees == pytest.approx(degrees, rel=5e-7)
    assert found.interval(0.95) == pytest.approx((low, high), abs=5e-8)


@pytest.mark.parametrize(
    ("arm", "se", "degrees", "low", "high"),
    [(0, 0.0330764, 12.59597, 0.825346, 0.968728), (1, 0.0215046, 12.56530, 0.894216, 0.987459)],
)
def test_single_arms_with_delongs_covariances(arm, se, degrees, low, high):
    """The covariance of each arm is not printed; it follows from the standard error, and the rest from it."""
    cov2 = (5 * se**2 - VAN_DYKE[arm].var(ddof=1)) / 5
    found = single_arm(VAN_DYKE[arm], Components(math.nan, math.nan, cov2, math.nan))
    assert found.degrees == pytest.approx(degrees, rel=2e-5)
    assert found.interval(0.95) == pytest.approx((low, high), abs=1e-6)


def test_a_single_arm_in_the_other_designs():
    fixed_readers = single_arm(VAN_DYKE[0], FIRST_ARM, "fixed_readers")
    assert fixed_readers.se == pytest.approx(0.024289710, rel=5e-7) and fixed_readers.degrees == math.inf
    fixed_cases = single_arm(VAN_DYKE[0], FIRST_ARM, "fixed_cases")
    assert fixed_cases.interval(0.95) == pytest.approx((0.82809808, 0.96597599), abs=5e-8)


def test_five_arms_give_the_published_values():
    found = compare_arms(ZANCA, OF_ZANCA)
    assert (found.statistic, found.degrees[1], found.p) == pytest.approx((3.4682364, 16.803749, 0.030544556), rel=5e-7)
    pair = found.differences[0, 2]
    assert (pair.value, pair.se, pair.test(0)) == pytest.approx((0.0353250, 0.016537103, 0.047689094), rel=1e-6)
    assert len(found.differences) == 10
    fixed = compare_arms(ZANCA, OF_ZANCA, "fixed_readers")
    assert (fixed.statistic, fixed.p) == pytest.approx((13.601264, 0.0086826618), rel=5e-7)


def test_the_test_equals_brute_force_on_200_random_studies():
    for number in range(200):
        arms, readers = 2 + number % 2, 2 + number % 3
        truth, ratings = drawn(number, arms, readers)
        values, covariance = delong(truth, ratings)
        np.testing.assert_allclose(values, [brute_area(truth, row) for row in ratings], atol=1e-12)
        found = compare_arms(values.reshape(arms, readers), components(covariance, arms))
        expected = brute_test(values.reshape(arms, readers), covariance)
        assert (found.statistic, found.degrees[1], found.p) == pytest.approx(expected, rel=1e-9)


def test_the_jackknife_of_a_mean_is_the_textbook_covariance():
    ratings = generator("test", "mean").normal(size=(3, 12))
    values, covariance = jackknife(np.arange(12) % 2 == 0, ratings, lambda truth, row: float(row.mean()))
    np.testing.assert_allclose(values, ratings.mean(axis=1))
    np.testing.assert_allclose(covariance, np.cov(ratings) / 12)


def test_sensitivity_at_a_rating_is_a_figure_of_merit():
    def sensitivity(truth, row):
        return float(np.mean(row[truth] >= 3))

    values, covariance = jackknife(TRUTH, RATINGS, sensitivity)
    assert values[0] == pytest.approx(np.mean(RATINGS[0, 10:] >= 3))
    assert covariance.shape == (6, 6) and np.linalg.eigvalsh(covariance).min() > -1e-12
    # Of a share p of n cases: p (1 - p) / (n - 1), times (N - 1) / N for the negatives that are left out to no effect.
    share = values[0]
    assert covariance[0, 0] == pytest.approx(share * (1 - share) / 9 * (19 / 20) * (10 / 9), rel=0.12)


def test_equivalence_is_that_the_shorter_interval_lies_within_the_margin():
    for value in np.linspace(0.35, 0.65, 31):
        mean = Mean(value, 0.04, 11.0)
        low, high = mean.interval(0.90)
        assert (mean.equivalence(0.5, 0.1) < 0.05) == (low > 0.4 and high < 0.6)
    assert Mean(0.7, 0.01, 11.0).equivalence(0.5, 0.1) > 0.99


def test_readers_without_any_spread_leave_the_cases():
    found = single_arm(np.full(4, 0.6), Components(0.01, math.nan, 0.004, math.nan))
    assert found.degrees == math.inf and found.se == pytest.approx(math.sqrt(0.004))
    nothing = single_arm(np.full(4, 1.0), Components(0.0, math.nan, 0.0, math.nan))
    assert math.isnan(nothing.test(0.5)) and math.isnan(nothing.interval(0.95)[0])


def test_one_reader_is_no_sample_of_readers():
    parts = Components(0.01, math.nan, math.nan, math.nan)
    with pytest.raises(ValueError, match="two readers or more"):
        single_arm(np.array([0.6]), parts)
    assert single_arm(np.array([0.6]), parts, "fixed_readers").se == pytest.approx(0.1)
    with pytest.raises(ValueError, match="two arms or more"):
        compare_arms(np.array([[0.6, 0.7]]), parts)


def null_study(rng, readers=8, cases=60, lean=0.35):
    """Binary answers of readers who cannot tell, but who lean, and whom each case leans."""
    truth = rng.permutation(np.repeat([True, False], cases // 2))
    pull = rng.normal(0, 0.6, cases)
    answers = pull + rng.normal(0, lean, (readers, 1)) + rng.normal(size=(readers, cases))
    return truth, np.digitize(answers, [-1.2, -0.5, 0, 0.5, 1.2])


def test_readers_who_cannot_tell_are_called_so_at_the_nominal_rate_but_not_by_pooling():
    """300 null studies. Pooled answers, taken as independent, reject far too often."""
    rng, studies = generator("test", "type one", "readers"), 300
    honest, covered, naive = [], [], []
    for _ in range(studies):
        truth, ratings = null_study(rng)
        values, covariance = delong(truth, ratings)
        mean = single_arm(values, components(covariance, 1))
        low, high = mean.interval(0.95)
        honest.append(mean.test(0.5) < 0.05)
        covered.append(low <= 0.5 <= high)
        right = int(np.sum((ratings >= 3) == truth))
        naive.append(stats.binomtest(right, ratings.size).pvalue < 0.05)
    assert 0.02 <= np.mean(honest) <= 0.08
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean(naive) > 0.15
