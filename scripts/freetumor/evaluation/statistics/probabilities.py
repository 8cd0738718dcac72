"""How far predicted probabilities can be taken at their word: calibration in bins, and Brier's score with its parts.

``probabilities`` are between 0 and 1, ``outcomes`` say whether the thing came true: of a binary prediction the positive class,
of several categories the greatest probability and whether that category was right.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram; empty bins are left out.

    Attributes:
        edges: bounds of the bins, shape ``(bins, 2)``.
        counts: predictions in each bin, shape ``(bins,)``.
        predicted: mean probability, same shape.
        observed: share of predictions that came true, same shape.
    """

    edges: np.ndarray
    counts: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (ECE): mean distance between predicted and observed, weighted by the counts."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.counts))

    @property
    def greatest_error(self) -> float:
        """Maximum calibration error (MCE): the distance in the worst bin."""
        return float(np.abs(self.predicted - self.observed).max())


@dataclass(frozen=True)
class Brier:
    """Brier's score and its parts: ``score = reliability - resolution + uncertainty + within``.

    Attributes:
        score: mean squared distance between probability and outcome.
        reliability: squared distance between predicted and observed in the bins; 0 if calibrated.
        resolution: how far the observed shares of the bins lie from that of all.
        uncertainty: variance of the outcome.
        within: what is lost because predictions of a bin are not equal; 0 with a bin for every value.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def width_edges(bins: int) -> np.ndarray:
    """Inner bounds of bins of equal width on 0 to 1, shape ``(bins - 1,)``."""
    return np.arange(1, bins) / bins


def mass_edges(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Inner bounds of bins that hold about equally many predictions; fewer bins where many are equal."""
    return np.unique(np.quantile(probabilities, np.arange(1, bins) / bins))


def reliability(probabilities: np.ndarray, outcomes: np.ndarray, edges: np.ndarray) -> Reliability:
    """Predicted and observed shares in bins; a probability on a bound belongs to the upper bin.

    The error of few predictions in many bins is too great, even if calibration is perfect: show the counts.

    Args:
        probabilities: shape ``(predictions,)``.
        outcomes: flags, same shape.
        edges: inner bounds of the bins, ascending; see :func:`width_edges` and :func:`mass_edges`.

    Raises:
        ValueError: if there is no prediction, or a probability is outside 0 to 1.

    Reference:
        Guo, Pleiss, Sun and Weinberger 2017 (ECE, equal width); Nguyen and O'Connor 2015 (equal mass).
    """
    probabilities, outcomes = _checked(probabilities, outcomes)
    place = np.searchsorted(edges, probabilities, side="right")
    counts = np.bincount(place, minlength=len(edges) + 1)
    used = counts > 0
    sums = (np.bincount(place, values, minlength=len(counts))[used] for values in (probabilities, outcomes))
    predicted, observed = (total / counts[used] for total in sums)
    bounds = np.concatenate([[0.0], edges, [1.0]])
    return Reliability(np.stack([bounds[:-1], bounds[1:]], axis=1)[used], counts[used], predicted, observed)


def brier(probabilities: np.ndarray, outcomes: np.ndarray, edges: np.ndarray) -> Brier:
    """Brier's score (1950) and its exact decomposition in bins.

    Args:
        probabilities: shape ``(predictions,)``.
        outcomes: flags, same shape.
        edges: inner bounds of the bins, ascending.

    Reference:
        Murphy 1973; the part within bins: Stephenson, Coelho and Jolliffe 2008.
    """
    bins = reliability(probabilities, outcomes, edges)
    probabilities, outcomes = _checked(probabilities, outcomes)
    score, share = float(np.mean((probabilities - outcomes) ** 2)), outcomes.mean()
    parts = [
        float(np.average(distance**2, weights=bins.counts))
        for distance in (bins.predicted - bins.observed, bins.observed - share)
    ]
    uncertainty = float(share * (1 - share))
    return Brier(score, *parts, uncertainty, score - (parts[0] - parts[1] + uncertainty))


def _checked(probabilities: np.ndarray, outcomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, outcomes = np.asarray(probabilities, float), np.asarray(outcomes, float)
    if probabilities.ndim != 1 or probabilities.shape != outcomes.shape or not probabilities.size:
        raise ValueError(f"expected a probability per outcome, got {probabilities.shape} for {outcomes.shape}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability is outside 0 to 1")
    return probabilities, outcomes
