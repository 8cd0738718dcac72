"""Paired differences of patients: what these trained models do on other patients.

All functions take one difference per patient, shape ``(patients,)``: scans of a patient and trainings are averaged before. What
they say holds for the networks that were trained; for the method that trained them see ``statistics/crossed.py``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from freetumor.evaluation.statistics.proportions import wilson_interval

EXACT_PAIRS = 32  # of any numbers: 2 x 2^16 sums of halves are combined in milliseconds
EXACT_SUM = 200_000  # of whole numbers: length of the convolved distribution
RESAMPLED = 2_000_000  # numbers held at once by a bootstrap or a Monte Carlo test


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RankTest:
    """Wilcoxon's signed-rank test.

    Attributes:
        statistic: sum of the ranks of positive differences.
        p: two-sided p-value.
        p_greater: one-sided p-value, for positive differences.
        pairs: differences that are not zero; zeros are left out, as Wilcoxon did.
        ties: whether some of their sizes are equal; they share mean ranks, and exact p-values stay exact.
        exact: whether the p-values are exact; else they are those of the normal approximation, corrected for ties.
    """

    statistic: float
    p: float
    p_greater: float
    pairs: int
    ties: bool
    exact: bool


@dataclass(frozen=True)
class PublishedTest:
    """A test as a paper makes it, with the paper's name for it."""

    t: float
    p: float
    threshold: float
    significant: bool
    test: str


def bca_interval(
    values: np.ndarray,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
    statistic: Callable[..., np.ndarray] = np.mean,
) -> Interval:
    """Bootstrap interval of a statistic, corrected for bias and acceleration (BCa); no interval if all values are equal.

    Args:
        values: one per patient.
        confidence: level of the interval.
        resamples: number of draws.
        rng: where randomness comes from.
        statistic: takes values and ``axis``. A smooth one: intervals of the median can be far off.

    Reference:
        Efron 1987.
    """
    values = np.asarray(values, float)
    value = float(statistic(values, axis=-1)) if values.size else math.nan
    if values.size < 2 or np.ptp(values) == 0:
        return Interval(value, math.nan, math.nan)
    batch = max(1, RESAMPLED // values.size)
    found = stats.bootstrap(
        (values,), statistic, n_resamples=resamples, batch=batch, confidence_level=confidence, method="BCa", rng=rng
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high))


def sign_flip(differences: np.ndarray, resamples: int, rng: np.random.Generator) -> float:
    """Two-sided p-value of the permutation test in which the two arms of each patient change places.

    Exact for up to 32 patients, and for whole numbers of a bounded sum; else by Monte Carlo, where the observed
    signs count as one draw, so that the test keeps its level and no p-value is 0.

    Args:
        differences: one per patient; the statistic is their sum.
        resamples: draws, if Monte Carlo is needed.
        rng: where its randomness comes from.

    Reference:
        Fisher 1935; Phipson and Smyth 2010 for the correction.
    """
    sizes = np.abs(np.asarray(differences, float))
    observed = abs(float(np.sum(differences)))
    observed -= 1e-9 * float(sizes.sum())  # sums that are equal but for rounding count as equal
    sizes = sizes[sizes > 0]
    if observed <= 0:
        return 1.0
    if np.all(sizes == np.rint(sizes)) and sizes.sum() <= EXACT_SUM:
        return _at_least(_signed_sums(sizes.astype(int)), sizes.sum() + observed)
    if sizes.size <= EXACT_PAIRS:
        return _halves(sizes, observed)
    drawn, chunk = 0, max(1, RESAMPLED // sizes.size)
    for start in range(0, resamples, chunk):
        bits = rng.integers(0, 2, (min(chunk, resamples - start), sizes.size), dtype=np.int8)
        drawn += int(np.count_nonzero(np.abs(2 * (bits @ sizes) - sizes.sum()) >= observed))
    return (1 + drawn) / (1 + resamples)


def wilcoxon(differences: np.ndarray) -> RankTest:
    """Wilcoxon's signed-rank test (1945), exact with ties as well if there are fewer than about 450 pairs."""
    differences = np.asarray(differences, float)
    differences = differences[differences != 0]
    if not differences.size:
        return RankTest(0.0, 1.0, 1.0, 0, False, True)
    ranks = stats.rankdata(np.abs(differences))
    statistic = float(ranks[differences > 0].sum())
    ties = np.unique(ranks).size < ranks.size
    if 2 * ranks.sum() <= EXACT_SUM:
        sums = _signed_sums(np.rint(2 * ranks).astype(int), signed=False)  # mean ranks are halves
        greater = float(sums[round(2 * statistic) :].sum())
        less = float(sums[: round(2 * statistic) + 1].sum())
        return RankTest(statistic, min(2 * min(greater, less), 1.0), min(greater, 1.0), differences.size, ties, True)
    p, p_greater = (
        float(stats.wilcoxon(differences, method="asymptotic", alternative=side).pvalue) for side in ("two-sided", "greater")
    )
    return RankTest(statistic, p, p_greater, differences.size, ties, False)


def hodges_lehmann(differences: np.ndarray, confidence: float) -> Interval:
    """Median of the means of all pairs of differences, with the interval that belongs to Wilcoxon's test.

    Without ties the interval is exact for differences of symmetric distribution. NaN bounds if there are too few.

    Reference:
        Hodges and Lehmann 1963.
    """
    values = np.sort(np.asarray(differences, float))
    n = values.size
    if not n:
        return Interval(math.nan, math.nan, math.nan)
    first, second = np.triu_indices(n)
    walsh = np.sort((values[first] + values[second]) / 2)
    if walsh.size <= EXACT_SUM:
        below = np.cumsum(_signed_sums(np.arange(1, n + 1), signed=False))
        cut = int(np.searchsorted(below, (1 - confidence) / 2, side="right"))  # P(statistic < cut) is at most the tail
    else:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        cut = math.floor(walsh.size / 2 - stats.norm.ppf((1 + confidence) / 2) * spread)
    bounds = (float(walsh[cut - 1]), float(walsh[-cut])) if cut > 0 else (math.nan, math.nan)
    return Interval(float(np.median(walsh)), *bounds)


def standardized_effect(differences: np.ndarray, confidence: float) -> Interval:
    """Mean difference over the standard deviation of the differences (Cohen's d_z), with Hedges' correction for few patients.

    The interval inverts the noncentral t distribution: it is exact if differences are normal. NaN without any spread.

    Reference:
        Cohen 1988, section 2.3.5; Hedges 1981; Steiger and Fouladi 1997 for the interval.
    """
    differences = np.asarray(differences, float)
    n = differences.size
    if n < 2 or differences.std() <= 1e-12 * max(float(np.abs(differences).max()), 1e-12):
        return Interval(math.nan, math.nan, math.nan)
    t = float(differences.mean() / differences.std(ddof=1)) * math.sqrt(n)
    low, high = (_noncentrality(t, n - 1, (1 + side * confidence) / 2) / math.sqrt(n) for side in (1, -1))
    return Interval(t / math.sqrt(n) * _hedges(n - 1), low, high)


def probability_of_superiority(differences: np.ndarray, confidence: float) -> Interval:
    """Share of patients with a positive difference; a difference of zero counts half. With Wilson's interval.

    The interval is a little too wide where there are zeros, since halves vary less than ones and zeros.
    """
    differences = np.asarray(differences, float)
    if not differences.size:
        return Interval(math.nan, math.nan, math.nan)
    wins = float(np.count_nonzero(differences > 0) + np.count_nonzero(differences == 0) / 2)
    return Interval(wins / differences.size, *wilson_interval(wins, differences.size, confidence))


def equivalence(differences: np.ndarray, margin: float) -> float:
    """Two one-sided t tests that the mean difference lies within ``± margin``: the greater p-value.

    A small p-value shows that the two are equal up to the margin; a large one shows nothing. The margin is in the unit of the
    differences and must be fixed before they are seen.

    Reference:
        Schuirmann 1987.
    """
    differences = np.asarray(differences, float)
    n = differences.size
    if n < 2:
        return math.nan
    return equivalence_p(float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(n), n - 1, margin)


def equivalence_p(mean: float, error: float, degrees: float, margin: float) -> float:
    """:func:`equivalence` of a mean with a known standard error and its degrees of freedom.

    Raises:
        ValueError: if the margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"expected a positive margin, got {margin}")
    if error == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(max(stats.t.sf((mean + margin) / error, degrees), stats.t.cdf((mean - margin) / error, degrees)))


def published_paired_t(differences: Sequence[float], hypotheses: int, alpha: float = 0.05) -> PublishedTest:
    """The test of the FreeTumor paper: a two-sided paired t test, Bonferroni-corrected. It takes all trainings as fixed.

    Args:
        differences: one per unit; whether the paper's unit is a case, a fold or a data set is not stated in its captions.
        hypotheses: how many are tested: 12 data sets, or 6 out-of-domain experiments.
        alpha: level that is divided among them.

    Reference:
        Wu et al. 2025, captions of figures 3 and 4.
    """
    differences = np.asarray(differences, float)
    name = f"paired t of Wu et al. 2025, Bonferroni for {hypotheses}; trainings taken as fixed"
    if differences.size < 2 or np.ptp(differences) == 0:
        p = 1.0 if differences.size > 1 and not differences.any() else math.nan
        return PublishedTest(math.nan, p, alpha / hypotheses, False, name)
    found = stats.ttest_1samp(differences, 0)
    threshold = alpha / hypotheses
    return PublishedTest(float(found.statistic), float(found.pvalue), threshold, bool(found.pvalue < threshold), name)


def _signed_sums(sizes: np.ndarray, signed: bool = True) -> np.ndarray:
    """Distribution of the sum of whole numbers that are each taken or not, with equal chance.

    Returns:
        Probabilities of the sums 0, 1, ...; if ``signed``, of the sums of numbers with random signs plus their total, where
        only every second one can occur.
    """
    steps = 2 * sizes if signed else sizes
    chances = np.zeros(int(steps.sum()) + 1)
    chances[0], filled = 1.0, 1
    for step in steps:
        taken = chances[:filled] / 2
        chances[:filled] = taken
        chances[step : filled + step] += taken
        filled += int(step)
    return chances


def _at_least(sums: np.ndarray, bound: float) -> float:
    """Two-sided p-value from a symmetric distribution over 0, 1, ...: twice the upper tail."""
    return min(2 * float(sums[math.ceil(bound) :].sum()), 1.0)


def _halves(sizes: np.ndarray, observed: float) -> float:
    """Exact two-sided p-value: all signed sums of two halves, of which pairs are counted that are far from zero together."""
    left, right = (_all_sums(half) for half in (sizes[::2], sizes[1::2]))
    right.sort()
    high = right.size - np.searchsorted(right, observed - left, side="left")
    return min(2 * int(high.sum()) / (left.size * right.size), 1.0)


def _all_sums(sizes: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def _hedges(degrees: int) -> float:
    """The factor that makes the standardized mean unbiased."""
    return math.exp(special.gammaln(degrees / 2) - special.gammaln((degrees - 1) / 2)) / math.sqrt(degrees / 2)


def _noncentrality(t: float, degrees: int, tail: float) -> float:
    """The noncentrality parameter under which a t statistic up to ``t`` has the probability ``tail``."""
    reach = 6 * math.sqrt(1 + t * t / (2 * degrees)) + 6

    def excess(center: float) -> float:
        below = float(stats.nct.cdf(t, degrees, center))
        return (float(center < t) if math.isnan(below) else below) - tail  # scipy has no value in the far tails

    while excess(t - reach) < 0 or excess(t + reach) > 0:
        reach *= 2
    return float(optimize.brentq(excess, t - reach, t + reach))
