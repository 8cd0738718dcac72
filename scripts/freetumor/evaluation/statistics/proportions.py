"""Proportions: intervals, differences, and tests.

Counts are of independent units. Lesions of one patient are not: for them see ``statistics/bootstrap.py`` and ``ratio_blocks``.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats


def wilson_interval(successes: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    z = stats.norm.ppf((1 + confidence) / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(float(center - half), 0.0), min(float(center + half), 1.0)


def clopper_pearson_interval(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Exact interval of a proportion: never covers less than it says, often more; for 0 of n and n of n beside Wilson's.

    Reference:
        Clopper and Pearson 1934.
    """
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, successes, n - successes + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def newcombe_interval(successes: int, n: int, successes_2: int, n_2: int, confidence: float) -> tuple[float, float]:
    """Interval of the difference of two independent proportions, from their Wilson intervals.

    Reference:
        Newcombe 1998, Statistics in Medicine 17:873, method 10.
    """
    share, share_2 = successes / n, successes_2 / n_2
    (low, high), (low_2, high_2) = wilson_interval(successes, n, confidence), wilson_interval(successes_2, n_2, confidence)
    difference = share - share_2
    return difference - math.hypot(share - low, high_2 - share_2), difference + math.hypot(high - share, share_2 - low_2)


def newcombe_paired_interval(both: int, first: int, second: int, neither: int, confidence: float) -> tuple[float, float]:
    """Interval of the difference of two proportions of the same units.

    Args:
        both: units with success in both.
        first: units with success in the first alone.
        second: units with success in the second alone.
        neither: units with success in none.
        confidence: level of the interval.

    Reference:
        Newcombe 1998, Statistics in Medicine 17:2635, method 10.
    """
    n = both + first + second + neither
    share, share_2 = (both + first) / n, (both + second) / n
    low, high = wilson_interval(both + first, n, confidence)
    low_2, high_2 = wilson_interval(both + second, n, confidence)
    phi = _corrected_phi(both, first, second, neither)
    below, below_2, above, above_2 = share - low, share_2 - low_2, high - share, high_2 - share_2
    down = math.sqrt(max(below**2 - 2 * phi * below * above_2 + above_2**2, 0.0))
    up = math.sqrt(max(below_2**2 - 2 * phi * below_2 * above + above**2, 0.0))
    return share - share_2 - down, share - share_2 + up


@dataclass(frozen=True)
class McNemar:
    """McNemar's test (1947) of two proportions of the same units; p-values are two-sided.

    Attributes:
        first: units with success in the first alone.
        second: units with success in the second alone.
        p: exact, from the binomial distribution; with few units that differ it rejects less often than it may.
        p_mid: the same with half the chance of the observed counts, which is closer to its level (Fagerland et al. 2013).
        chi2: the asymptotic statistic; NaN if no unit differs.
        p_asymptotic: its p-value.
        chi2_corrected: with Edwards' (1948) correction for continuity.
        p_corrected: its p-value.
    """

    first: int
    second: int
    p: float
    p_mid: float
    chi2: float
    p_asymptotic: float
    chi2_corrected: float
    p_corrected: float


def mcnemar(first: int, second: int) -> McNemar:
    """McNemar's test from the counts of units that differ. Without any the p-values are 1.

    Args:
        first: units with success in the first alone.
        second: units with success in the second alone.
    """
    total = first + second
    if not total:
        return McNemar(0, 0, 1.0, 1.0, math.nan, 1.0, math.nan, 1.0)
    gap = abs(first - second)
    chi2, corrected = gap**2 / total, max(gap - 1, 0) ** 2 / total
    p_values = [float(stats.chi2.sf(value, 1)) for value in (chi2, corrected)]
    exact = float(stats.binomtest(first, total).pvalue)
    least = min(first, second)
    middle = float(2 * stats.binom.cdf(least, total, 0.5) - stats.binom.pmf(least, total, 0.5))
    return McNemar(first, second, exact, middle, chi2, p_values[0], corrected, p_values[1])


def mcnemar_of(right: np.ndarray, right_baseline: np.ndarray) -> McNemar:
    """McNemar's test of two classifiers on the same cases.

    Args:
        right: whether each case is classified correctly, shape ``(cases,)``.
        right_baseline: the same for the baseline.
    """
    right, right_baseline = np.asarray(right, bool), np.asarray(right_baseline, bool)
    return mcnemar(int(np.count_nonzero(right & ~right_baseline)), int(np.count_nonzero(right_baseline & ~right)))


def two_proportions(successes: int, n: int, successes_2: int, n_2: int) -> tuple[float, float]:
    """The z test with pooled variance that two independent proportions are equal: z and the two-sided p-value.

    To compare a proportion with a constant, use ``scipy.stats.binomtest``: a second sample that was never drawn adds variance.
    """
    pooled = (successes + successes_2) / (n + n_2)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_2))
    if not error:
        return 0.0, 1.0
    z = (successes / n - successes_2 / n_2) / error
    return z, float(2 * stats.norm.sf(abs(z)))


def binomial_equivalence(successes: int, n: int, reference: float, margin: float) -> float:
    """Exact test that a proportion lies within ``reference ± margin``: the greater of two one-sided binomial p-values.

    A small p-value shows equivalence; a large one shows nothing.

    Raises:
        ValueError: if the margins leave 0 to 1.
    """
    low, high = _margins(reference, margin)
    return float(max(stats.binom.sf(successes - 1, n, low), stats.binom.cdf(successes, n, high)))


def equivalence_power(n: int, reference: float, margin: float, alpha: float, truth: float) -> float:
    """Chance that :func:`binomial_equivalence` of ``n`` units is at most ``alpha`` if the true proportion is ``truth``."""
    low, high = _margins(reference, margin)
    first = int(stats.binom.isf(alpha, n, low)) + 1  # least count of which the upper tail under `low` is at most alpha
    last = int(stats.binom.ppf(alpha, n, high))
    last -= int(stats.binom.cdf(last, n, high) > alpha)
    if last < first:
        return 0.0
    return float(stats.binom.cdf(last, n, truth) - stats.binom.cdf(first - 1, n, truth))


def equivalence_size(power: float, reference: float, margin: float, alpha: float, multiple: int = 1) -> int:
    """Least number of units with which equivalence is shown with chance ``power`` if the true proportion is ``reference``.

    Counts are whole, so that the power of a greater number can fall short of ``power`` again, by little.

    Args:
        power: the chance wanted.
        reference: the true proportion, and the center of the margins.
        margin: half their width.
        alpha: level of the test.
        multiple: only multiples of it are considered, such as 2 for decks of which one half is real.

    Raises:
        ValueError: if no number up to 100,000 is enough.
    """
    for n in range(multiple, 100_001, multiple):
        if equivalence_power(n, reference, margin, alpha, reference) >= power:
            return n
    raise ValueError(f"no number of units up to 100,000 shows equivalence within {margin} with power {power}")


def _margins(reference: float, margin: float) -> tuple[float, float]:
    low, high = reference - margin, reference + margin
    if not 0 <= low < high <= 1:
        raise ValueError(f"expected margins within 0 and 1, got {reference} ± {margin}")
    return low, high


def _corrected_phi(both: int, first: int, second: int, neither: int) -> float:
    """Correlation of the two successes, with Newcombe's correction for continuity."""
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not product:
        return 0.0
    excess = both * neither - first * second
    n = both + first + second + neither
    return (max(excess - n / 2, 0.0) if excess > 0 else excess) / math.sqrt(product)
