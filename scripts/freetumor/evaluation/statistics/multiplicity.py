"""Many hypotheses at once: adjusted p-values, and ranks of many methods on many data sets.

A p-value that could not be computed (NaN) stays undefined and still counts as a hypothesis: dropping it would make the family
smaller, and all other tests easier, for no good reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


def bonferroni(p_values: Sequence[float]) -> np.ndarray:
    """Bonferroni's adjusted p-values of a family."""
    p_values = _checked(p_values)
    return np.minimum(p_values * len(p_values), 1.0)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's (1979) adjusted p-values of a family, which bound the chance of any false rejection."""
    p_values = _checked(p_values)
    filled = np.where(np.isnan(p_values), 1.0, p_values)
    order = np.argsort(filled, kind="stable")
    steps = np.minimum(filled[order] * np.arange(len(filled), 0, -1), 1.0)
    adjusted = np.empty(len(filled))
    adjusted[order] = np.maximum.accumulate(steps)
    return np.where(np.isnan(p_values), np.nan, adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values that bound the share of false rejections, for screens of independent or positively dependent tests.

    Reference:
        Benjamini and Hochberg 1995.
    """
    return _false_discovery(p_values, "bh")


def benjamini_yekutieli(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values that bound the share of false rejections under any dependence (Benjamini and Yekutieli 2001)."""
    return _false_discovery(p_values, "by")


@dataclass(frozen=True)
class Friedman:
    """Friedman's test that several methods are equal.

    Attributes:
        chi2: Friedman's statistic of the mean ranks, without a correction for ties.
        p: its p-value.
        f: the less conservative statistic of Iman and Davenport (1980); infinite if all data sets agree.
        p_f: its p-value.
    """

    chi2: float
    p: float
    f: float
    p_f: float


def mean_ranks(scores: np.ndarray) -> np.ndarray:
    """Mean rank of each method; 1 is the best, that is the highest score, and ties share their mean rank.

    Args:
        scores: shape ``(data sets, methods)``; negate scores of which lower is better.

    Returns:
        Shape ``(methods,)``.
    """
    return stats.rankdata(-np.asarray(scores, float), axis=1).mean(axis=0)


def friedman(ranks: Sequence[float], n: int) -> Friedman:
    """Test mean ranks of methods on ``n`` data sets.

    Args:
        ranks: mean rank of each method, shape ``(methods,)``; see :func:`mean_ranks`.
        n: number of data sets.

    Raises:
        ValueError: if there are fewer than two methods or data sets.

    Reference:
        Friedman 1937; Demsar 2006, section 3.2.2.
    """
    k = len(ranks)
    if k < 2 or n < 2:
        raise ValueError(f"expected at least two methods on two data sets, got {k} on {n}")
    chi2 = 12 * n / (k * (k + 1)) * (float(np.sum(np.square(ranks))) - k * (k + 1) ** 2 / 4)
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-12 * n else math.inf
    p, p_f = stats.chi2.sf(chi2, k - 1), stats.f.sf(f, k - 1, (k - 1) * (n - 1))
    return Friedman(chi2, float(p), f, float(p_f))


def nemenyi_difference(methods: int, n: int, confidence: float) -> float:
    """Critical difference of two mean ranks: what two of ``methods`` must differ by, all pairs considered (Nemenyi 1963)."""
    return nemenyi_quantile(methods, confidence) * math.sqrt(methods * (methods + 1) / (6 * n))


def nemenyi_quantile(methods: int, confidence: float) -> float:
    """The studentized range over the square root of 2, as Demsar (2006, table 5) gives it."""
    return float(stats.studentized_range.ppf(confidence, methods, np.inf)) / math.sqrt(2)


def _false_discovery(p_values: Sequence[float], method: str) -> np.ndarray:
    p_values = _checked(p_values)
    filled = np.where(np.isnan(p_values), 1.0, p_values)
    adjusted = stats.false_discovery_control(filled, method=method) if len(filled) else filled
    return np.where(np.isnan(p_values), np.nan, adjusted)


def _checked(p_values: Sequence[float]) -> np.ndarray:
    p_values = np.asarray(p_values, float)
    if np.any((p_values < 0) | (p_values > 1)):
        raise ValueError("expected p-values from 0 to 1")
    return p_values
