"""How far readers agree with each other, and signal detection: how far, and in which direction, they lean.

Ratings are arrays of shape ``(cases, readers)``. Categories are numbered from 0; -1 means not rated. Intervals of agreement
take cases as random and these readers as given, unless stated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special, stats


@dataclass(frozen=True)
class Bounded:
    """A value with its confidence interval; NaN where there is none."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Detection:
    """Signal detection of one reader.

    Attributes:
        sensitivity_index: d', distance between signal and noise in standard deviations; 0 is guessing.
        criterion: c; positive for a reader who needs much to report a signal.
    """

    sensitivity_index: Bounded
    criterion: Bounded


def category_counts(ratings: np.ndarray, categories: int) -> np.ndarray:
    """How many readers put each case into each category, shape ``(cases, categories)``."""
    return np.stack([np.count_nonzero(ratings == category, axis=1) for category in range(categories)], axis=1)


def fleiss_kappa(counts: np.ndarray) -> float:
    """Fleiss' kappa (1971): agreement beyond that of readers who answer at random with the same shares.

    Near 0 however well readers agree if nearly all answers are alike: show :func:`gwet_ac` beside it.

    Args:
        counts: shape ``(cases, categories)``; as many readers in every case.

    Returns:
        NaN if all answers are the same.

    Raises:
        ValueError: if numbers of readers differ, or there is one only.
    """
    from statsmodels.stats import inter_rater

    counts = np.asarray(counts, float)
    readers = counts[0].sum()
    if readers < 2 or not (counts.sum(axis=1) == readers).all():
        raise ValueError("Fleiss' kappa needs the same number of readers, two or more, for every case")
    return float(inter_rater.fleiss_kappa(counts)) if np.count_nonzero(counts.sum(axis=0)) > 1 else math.nan


def cohen_kappa(first: np.ndarray, second: np.ndarray, weights: Literal["linear", "quadratic"] | None = None) -> float:
    """Cohen's kappa (1960) of two readers, or of one reader who saw the cases twice; NaN if all answers are the same.

    Args:
        first: categories, shape ``(cases,)``.
        second: same shape.
        weights: how far apart answers are that differ; all alike if None.
    """
    from sklearn.metrics import cohen_kappa_score

    first, second = np.asarray(first), np.asarray(second)
    if len(np.union1d(first, second)) < 2:
        return math.nan
    return float(cohen_kappa_score(first, second, weights=weights))


def gwet_ac(counts: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Gwet's AC1, or AC2 with weights: agreement beyond chance that does not collapse when nearly all answers are alike.

    Args:
        counts: shape ``(cases, categories)``, with a column for each possible category; cases that fewer than two readers
            rated count for the shares of the categories only.
        weights: agreement of each two categories, 1 on the diagonal; see :func:`quadratic_weights`. None gives AC1.

    Reference:
        Gwet 2008; with weights and missing ratings: Gwet 2014, chapter 5.
    """
    counts = np.asarray(counts, float)
    size = counts.shape[1]
    weights = np.eye(size) if weights is None else np.asarray(weights, float)
    readers = counts.sum(axis=1)
    counts, readers = counts[readers > 0], readers[readers > 0]
    several = readers > 1
    if not several.any():
        return math.nan
    pairs = np.sum(counts * (counts @ weights - 1), axis=1)[several] / (readers * (readers - 1))[several]
    shares = np.mean(counts / readers[:, None], axis=0)
    chance = weights.sum() / (size * (size - 1)) * np.sum(shares * (1 - shares))
    return float((pairs.mean() - chance) / (1 - chance))


def quadratic_weights(categories: int) -> np.ndarray:
    """Agreement of ordered categories: 1 if equal, falling with the squared distance to 0 between the ends."""
    places = np.arange(categories)
    return 1 - ((places[:, None] - places) / (categories - 1)) ** 2


def jackknife_interval(statistic: Callable[[np.ndarray], float], cases: np.ndarray, confidence: float) -> Bounded:
    """Interval of a statistic by leaving out one case at a time, with a t distribution (Tukey 1958).

    Args:
        statistic: of an array whose rows are cases.
        cases: the rows.
        confidence: level of the interval.
    """
    value, n = statistic(cases), len(cases)
    if n < 3:
        return Bounded(value, math.nan, math.nan)
    without = np.array([statistic(np.delete(cases, place, axis=0)) for place in range(n)])
    error = math.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return Bounded(value, value - half, value + half)


def intraclass(ratings: np.ndarray, confidence: float) -> dict[str, Bounded]:
    """The six intraclass correlations, which differ in what a reader is.

    ``ICC(1,1)``: each case has readers of its own; ``ICC(2,1)``: readers are a sample, agreement in value; ``ICC(3,1)``: these
    readers, consistency only. With ``k`` in place of the second 1: of the mean of all readers.

    Args:
        ratings: shape ``(cases, readers)``, complete.
        confidence: level of the intervals.

    Reference:
        Shrout and Fleiss 1979; intervals as in McGraw and Wong 1996.
    """
    ratings = np.asarray(ratings, float)
    n, k = ratings.shape
    if n < 2 or k < 2 or np.isnan(ratings).any():
        raise ValueError("an intraclass correlation needs complete ratings of two cases and readers or more")
    rows, columns, grand = ratings.mean(axis=1), ratings.mean(axis=0), ratings.mean()
    rest = n * k - n - k + 1
    between = k * np.sum((rows - grand) ** 2) / (n - 1)
    readers = n * np.sum((columns - grand) ** 2) / (k - 1)
    within = np.sum((ratings - rows[:, None]) ** 2) / (n * (k - 1))
    residual = np.sum((ratings - rows[:, None] - columns + grand) ** 2) / rest
    upper = (1 + confidence) / 2
    found = {"ICC(1,1)": _one_way(between, within, n * (k - 1), n, k, upper)}
    value = _divided(between - residual, between + (k - 1) * residual + k * (readers - residual) / n)
    found["ICC(2,1)"] = Bounded(value, *_two_way_bounds(value, between, readers, residual, n, k, upper))
    found["ICC(3,1)"] = _one_way(between, residual, rest, n, k, upper)
    for number in (1, 2, 3):
        single = found[f"ICC({number},1)"]
        found[f"ICC({number},k)"] = Bounded(*(_of_mean(bound, k) for bound in (single.value, single.ci_low, single.ci_high)))
    return found


def d_prime(hits: int, signals: int, false_alarms: int, noises: int) -> float:
    """d' of yes-or-no answers; see :func:`detection`."""
    places = _places(hits, signals, false_alarms, noises)
    return float(places[0] - places[1])


def criterion(hits: int, signals: int, false_alarms: int, noises: int) -> float:
    """Criterion c of yes-or-no answers; see :func:`detection`."""
    return float(0.0 - _places(hits, signals, false_alarms, noises).mean())


def detection(hits: int, signals: int, false_alarms: int, noises: int, confidence: float) -> Detection:
    """d' and criterion from yes-or-no answers, with the log-linear correction.

    Each kind gets one case more, half of it reported. Without this, a reader who misses nothing or raises no false alarm
    would be infinitely good.

    Args:
        hits: signals that were reported.
        signals: cases with signal.
        false_alarms: noise that was reported as signal.
        noises: cases without signal.
        confidence: level of the intervals; normal, with the reader given and cases random.

    Raises:
        ValueError: if there is no signal or no noise, or more answers than cases.

    Reference:
        Hautus 1995 (correction); Gourevitch and Galanter 1967 (variance).
    """
    counts = hits, signals, false_alarms, noises
    places = _places(*counts)
    rates = stats.norm.cdf(places)
    variance = float(np.sum(rates * (1 - rates) / (np.array([signals, noises]) * stats.norm.pdf(places) ** 2)))
    half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(variance)
    return Detection(
        *(
            Bounded(value, value - width, value + width)
            for value, width in ((d_prime(*counts), half), (criterion(*counts), half / 2))
        )
    )


def _places(hits: int, signals: int, false_alarms: int, noises: int) -> np.ndarray:
    """Normal quantiles of the corrected rates of hits and of false alarms."""
    if not (0 <= hits <= signals and 0 <= false_alarms <= noises and signals and noises):
        raise ValueError(f"expected {hits} of {signals} and {false_alarms} of {noises} to be shares of something")
    return special.ndtri([(hits + 0.5) / (signals + 1), (false_alarms + 0.5) / (noises + 1)])


def _divided(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else math.nan


def _of_mean(correlation: float, k: int) -> float:
    """Reliability of the mean of ``k`` readers from that of one (Spearman and Brown)."""
    return _divided(k * correlation, 1 + (k - 1) * correlation)


def _one_way(between: float, error: float, degrees: int, n: int, k: int, upper: float) -> Bounded:
    """``(F - 1) / (F + k - 1)`` of the ratio of mean squares, and of its bounds."""
    if not error:
        return Bounded(1.0 if between else math.nan, math.nan, math.nan)
    ratio = between / error
    bounds = (ratio, ratio / stats.f.ppf(upper, n - 1, degrees), ratio * stats.f.ppf(upper, degrees, n - 1))
    return Bounded(*(float((value - 1) / (value + k - 1)) for value in bounds))


def _two_way_bounds(
    value: float, between: float, readers: float, residual: float, n: int, k: int, upper: float
) -> tuple[float, float]:
    """Interval of ICC(2,1), with Satterthwaite's degrees of freedom for readers and residual together."""
    if not residual or math.isnan(value):
        return math.nan, math.nan
    share, rest = k * value * readers / residual, n * (1 + (k - 1) * value) - k * value
    degrees = (k - 1) * (n - 1) * (share + rest) ** 2 / ((n - 1) * share**2 + rest**2)
    error = k * readers + (k * n - k - n) * residual
    strict, lenient = stats.f.ppf(upper, n - 1, degrees), stats.f.ppf(upper, degrees, n - 1)
    low = n * (between - strict * residual) / (strict * error + n * between)
    high = n * (lenient * between - residual) / (error + n * lenient * between)
    return float(low), float(high)
