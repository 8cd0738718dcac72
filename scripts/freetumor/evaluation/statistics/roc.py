"""How well a score tells positives from negatives: ROC areas with DeLong's variances, thresholds, and precision-recall areas.

``truth`` holds one flag per case, ``scores`` one number per case, the higher the more likely positive. Cases are independent:
where one patient gives several, resample patients instead. A case is called positive if its score reaches the threshold.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

TINY = 1e-12


@dataclass(frozen=True)
class Area:
    """An area under the ROC curve, its standard error, and its confidence interval."""

    auc: float
    se: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Contrast:
    """A difference between two areas, its interval, and a two-sided z test; NaN where there is no spread."""

    difference: float
    se: float
    ci_low: float
    ci_high: float
    z: float
    p: float


@dataclass(frozen=True)
class Curve:
    """Operating points from the strictest threshold (infinite: nothing is positive) to the most lenient.

    Attributes:
        thresholds: shape ``(points,)``, descending.
        sensitivity: same shape, ascending.
        specificity: same shape, descending.
    """

    thresholds: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray


def auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the empirical ROC curve: the share of pairs in which the positive scores higher, a tie counting one half.

    Raises:
        ValueError: if either kind of case is missing, or a score is not finite.
    """
    truth, scores = _checked(truth, scores, 1)
    positives, negatives = _placements(truth, scores[None])
    return float((positives.mean() + negatives.mean()) / 2)  # equal up to rounding


def delong(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas of several scores of the same cases, and their covariances.

    Args:
        truth: shape ``(cases,)``.
        scores: shape ``(scores, cases)``.

    Returns:
        Areas ``(scores,)`` and covariances ``(scores, scores)``.

    Raises:
        ValueError: if there are fewer than two cases of either kind, or a score is not finite.

    Reference:
        DeLong, DeLong and Clarke-Pearson 1988; by midranks as in Sun and Xu 2014.
    """
    truth, scores = _checked(truth, scores, 2)
    scores = np.atleast_2d(scores)
    positives, negatives = _placements(truth, scores)
    covariance = np.atleast_2d(np.cov(positives)) / positives.shape[1] + np.atleast_2d(np.cov(negatives)) / negatives.shape[1]
    return positives.mean(axis=1), covariance


def auc_interval(truth: np.ndarray, scores: np.ndarray, confidence: float) -> Area:
    """An area with DeLong's standard error and an interval on the scale of log-odds, which stays between 0 and 1.

    Where the scores separate the cases perfectly, or not at all, that standard error is 0 and says nothing. The interval then
    holds the areas that the observed one does not contradict, with the variance that Hanley and McNeil (1982) give for them.

    Args:
        truth: shape ``(cases,)``.
        scores: shape ``(cases,)``.
        confidence: level of the interval.
    """
    areas, covariance = delong(truth, scores)
    area, se = float(areas[0]), math.sqrt(covariance[0, 0])
    z = float(stats.norm.ppf((1 + confidence) / 2))
    if se < TINY:
        positives = int(np.count_nonzero(truth))
        return Area(area, se, *_score_interval(area, positives, len(np.asarray(truth)) - positives, z))
    center, half = math.log(area / (1 - area)), z * se / (area * (1 - area))
    return Area(area, se, *(1 / (1 + math.exp(-bound)) for bound in (center - half, center + half)))


def auc_interval_plain(truth: np.ndarray, scores: np.ndarray, confidence: float) -> Area:
    """An area with DeLong's standard error and the interval of published programs: area +- z se, which may leave 0 to 1."""
    areas, covariance = delong(truth, scores)
    half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt(covariance[0, 0])
    return Area(float(areas[0]), math.sqrt(covariance[0, 0]), float(areas[0]) - half, float(areas[0]) + half)


def delong_paired(truth: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float) -> Contrast:
    """Difference between the areas of two scores of the same cases (DeLong et al. 1988).

    Args:
        truth: shape ``(cases,)``.
        first: scores, same shape.
        second: scores, same shape.
        confidence: level of the interval.
    """
    areas, covariance = delong(truth, np.stack([first, second]))
    return _contrast(float(areas[0] - areas[1]), covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], confidence)


def delong_unpaired(
    truth: np.ndarray, scores: np.ndarray, other_truth: np.ndarray, other_scores: np.ndarray, confidence: float
) -> Contrast:
    """Difference between the areas of two scores, each of its own cases, none of which is in both."""
    areas, covariance = delong(truth, scores)
    others, other_covariance = delong(other_truth, other_scores)
    return _contrast(float(areas[0] - others[0]), covariance[0, 0] + other_covariance[0, 0], confidence)


def roc_curve(truth: np.ndarray, scores: np.ndarray) -> Curve:
    """Every operating point of the empirical ROC curve.

    Thresholds lie halfway between scores: a threshold that is chosen on some cases is meant for others.
    """
    truth, scores = _checked(truth, scores, 1)
    values = np.unique(scores)[::-1]
    at_least = np.searchsorted(np.sort(scores[truth]), values, side="left")
    above = np.searchsorted(np.sort(scores[~truth]), values, side="left")
    positives, negatives = np.count_nonzero(truth), np.count_nonzero(~truth)
    sensitivity = np.append(0.0, (positives - at_least) / positives)
    specificity = np.append(1.0, above / negatives)
    return Curve(np.concatenate([[math.inf], (values[:-1] + values[1:]) / 2, [-math.inf]]), sensitivity, specificity)


def youden_threshold(truth: np.ndarray, scores: np.ndarray) -> float:
    """The threshold with the greatest sum of sensitivity and specificity; of several the strictest (Youden 1950).

    Choose it on validation data, and report what it does on others: on the same cases the sum is too great.
    """
    curve = roc_curve(truth, scores)
    gains = curve.sensitivity + curve.specificity
    return float(curve.thresholds[np.argmax(gains > gains.max() - TINY)])


def specificity_threshold(truth: np.ndarray, scores: np.ndarray, least: float) -> float:
    """The most lenient threshold whose specificity is at least ``least``, so with the greatest sensitivity."""
    curve = roc_curve(truth, scores)
    return float(curve.thresholds[np.flatnonzero(curve.specificity >= least - TINY)[-1]])


def average_precision_step(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve as a step function: precision weighted by the gain in recall (scikit-learn's)."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*_checked(truth, scores, 1)))


def average_precision_trapezoid(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve with points joined by lines, which flatters: precision is not linear in recall."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(*_checked(truth, scores, 1))
    return float(np.trapezoid(precision[::-1], recall[::-1]))


def _checked(truth: np.ndarray, scores: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, after a look at what would give a wrong number."""
    truth, scores = np.asarray(truth, bool), np.asarray(scores, float)
    positives = int(np.count_nonzero(truth))
    if truth.ndim != 1 or scores.shape[-1:] != truth.shape:
        raise ValueError(f"expected a score per case, got {scores.shape} for {truth.shape}")
    if min(positives, truth.size - positives) < least:
        raise ValueError(f"an ROC curve needs {least} or more of each, got {positives} positive of {truth.size} cases")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not a finite number")
    return truth, scores


def _placements(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the other kind that each positive outranks, and that outranks each negative: ``(scores, cases of a kind)``."""
    ranks = stats.rankdata(scores, axis=1)
    positives, negatives = scores[:, truth], scores[:, ~truth]
    wins = (ranks[:, truth] - stats.rankdata(positives, axis=1)) / negatives.shape[1]
    losses = (ranks[:, ~truth] - stats.rankdata(negatives, axis=1)) / positives.shape[1]
    return wins, 1 - losses


def _contrast(difference: float, variance: float, confidence: float) -> Contrast:
    se = math.sqrt(max(float(variance), 0.0))
    if se < TINY:
        equal = abs(difference) < TINY
        bound = difference if equal else math.nan
        return Contrast(difference, 0.0, bound, bound, math.nan, 1.0 if equal else math.nan)
    half, z = float(stats.norm.ppf((1 + confidence) / 2)) * se, difference / se
    return Contrast(difference, se, difference - half, difference + half, z, float(2 * stats.norm.sf(abs(z))))


def _score_interval(area: float, positives: int, negatives: int, z: float) -> tuple[float, float]:
    """Areas whose distance from the observed one is at most ``z`` of their own standard errors."""

    def excess(true: float) -> float:
        spread = 1 + (positives - 1) * (1 - true) / (2 - true) + (negatives - 1) * true / (1 + true)
        return (area - true) ** 2 - z**2 * true * (1 - true) * spread / (positives * negatives)

    inside = min(max(area, TINY), 1 - TINY)  # 0 and 1 are roots of their own
    low = optimize.brentq(excess, TINY, inside) if area > TINY else 0.0
    high = optimize.brentq(excess, inside, 1 - TINY) if area < 1 - TINY else 1.0
    return float(low), float(high)
