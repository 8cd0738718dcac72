"""Several readers judge the same cases: means over readers and differences between arms, with readers and cases as random.

The method of Obuchowski and Rockette: a figure of merit, such as the area under the ROC curve, is computed per arm and reader;
the spread between readers is taken from these values, and what is due to the cases from covariances that DeLong's formula or a
jackknife gives. Pooling all answers as if they were independent rejects a true null in a fifth to a half of studies.

Designs: ``random`` (statements about readers and cases like these), ``fixed_readers`` (about these readers, and cases like
these), ``fixed_cases`` (about readers like these, and these cases).

Reference:
    Obuchowski and Rockette 1995; degrees of freedom: Hillis 2007; one arm: Hillis 2014, as in the worked examples of published
    programs, whose digits the tests repeat.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from .roc import TINY

Design = Literal["random", "fixed_readers", "fixed_cases"]
Merit = Callable[[np.ndarray, np.ndarray], float]  # truth (cases,), ratings (cases,)


@dataclass(frozen=True)
class Components:
    """Mean variances and covariances of the figure of merit that are due to the cases.

    Attributes:
        var: of a reader in an arm.
        cov1: of a reader between two arms.
        cov2: of two readers in an arm.
        cov3: of two readers in two arms.
    """

    var: float
    cov1: float
    cov2: float
    cov3: float


@dataclass(frozen=True)
class Mean:
    """A mean over readers, its standard error, and the degrees of freedom of its t distribution (infinite: normal)."""

    value: float
    se: float
    degrees: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Confidence interval; NaN without any spread."""
        half = float(stats.t.ppf((1 + confidence) / 2, self.degrees)) * self.se if self.se > TINY else math.nan
        return self.value - half, self.value + half

    def test(self, null: float) -> float:
        """Two-sided p-value of the hypothesis that the mean is ``null``; NaN without any spread."""
        return float(2 * stats.t.sf(abs(self.value - null) / self.se, self.degrees)) if self.se > TINY else math.nan

    def equivalence(self, null: float, margin: float) -> float:
        """P-value of two one-sided tests (TOST) of the hypothesis that the mean is ``margin`` or more away from ``null``.

        Below a level alpha exactly if the interval at confidence 1 - 2 alpha lies inside the margin (Schuirmann 1987).
        """
        if self.se <= TINY:
            return math.nan
        return float(stats.t.sf((margin - abs(self.value - null)) / self.se, self.degrees))


@dataclass(frozen=True)
class Comparison:
    """A test that all arms are equal, and the differences between them.

    Attributes:
        statistic: F, or chi-squared with fixed readers.
        degrees: of the numerator and the denominator; the latter infinite for chi-squared.
        p: of the test.
        differences: first minus second arm, by pair of positions; each can be tested against 0.
    """

    statistic: float
    degrees: tuple[float, float]
    p: float
    differences: dict[tuple[int, int], Mean]


def jackknife(truth: np.ndarray, ratings: np.ndarray, merit: Merit) -> tuple[np.ndarray, np.ndarray]:
    """Values of any figure of merit, and covariances by leaving out one case at a time.

    Args:
        truth: shape ``(cases,)``.
        ratings: shape ``(ratings, cases)``, a row per arm and reader.
        merit: the figure of merit; must be defined without any one of the cases.

    Returns:
        Values ``(ratings,)`` and covariances ``(ratings, ratings)``, as ``roc.delong`` gives them for the area.
    """
    truth, ratings = np.asarray(truth, bool), np.atleast_2d(ratings)
    keep = ~np.eye(truth.size, dtype=bool)
    values = np.array([merit(truth, row) for row in ratings])
    without = np.array([[merit(truth[kept], row[kept]) for kept in keep] for row in ratings])
    distances = without - without.mean(axis=1, keepdims=True)
    return values, (truth.size - 1) / truth.size * distances @ distances.T


def components(covariance: np.ndarray, arms: int) -> Components:
    """Average a covariance matrix whose rows go through the readers of the first arm, then of the second, and so on.

    Args:
        covariance: shape ``(arms * readers, arms * readers)``.
        arms: number of arms.

    Returns:
        Components; NaN where there is no such pair.
    """
    readers = len(covariance) // arms
    blocks = np.asarray(covariance).reshape(arms, readers, arms, readers)
    same_arm = np.eye(arms, dtype=bool)[:, None, :, None]
    same_reader = np.eye(readers, dtype=bool)[None, :, None, :]
    masks = (same_arm & same_reader, ~same_arm & same_reader, same_arm & ~same_reader, ~same_arm & ~same_reader)
    chosen = (blocks[np.broadcast_to(mask, blocks.shape)] for mask in masks)
    return Components(*(float(found.mean()) if found.size else math.nan for found in chosen))


def single_arm(values: np.ndarray, parts: Components, design: Design = "random") -> Mean:
    """Mean over readers of one arm.

    With random readers and cases the variance is ``(MS + R max(cov2, 0)) / R``, with MS the variance of the readers' values.

    Args:
        values: figure of merit of each reader, shape ``(readers,)``.
        parts: components of this arm.
        design: what is random.

    Raises:
        ValueError: if readers are random and there is only one.
    """
    values = np.asarray(values, float)
    readers, shared = values.size, max(parts.cov2, 0.0) if values.size > 1 else 0.0
    if design == "fixed_readers":
        return Mean(float(values.mean()), math.sqrt((parts.var + (readers - 1) * shared) / readers), math.inf)
    _need("readers", readers)
    spread = float(values.var(ddof=1))
    added = readers * shared if design == "random" else 0.0
    return Mean(float(values.mean()), math.sqrt((spread + added) / readers), _degrees(spread, added, readers - 1))


def compare_arms(values: np.ndarray, parts: Components, design: Design = "random") -> Comparison:
    """Compare arms that the same readers read on the same cases.

    Args:
        values: figure of merit, shape ``(arms, readers)``.
        parts: components over all arms.
        design: what is random.

    Raises:
        ValueError: if there is one arm only, or one reader only and readers are random.
    """
    values = np.asarray(values, float)
    arms, readers = values.shape
    _need("arms", arms)
    of_arms = values.mean(axis=1)
    between = readers * float(of_arms.var(ddof=1))
    shared = max(parts.cov2 - parts.cov3, 0.0) if readers > 1 else 0.0
    if design == "fixed_readers":
        error, degrees = parts.var - parts.cov1 + (readers - 1) * shared, math.inf
        statistic = _ratio((arms - 1) * between, error)
        p = float(stats.chi2.sf(statistic, arms - 1))
    else:
        _need("readers", readers)
        rest = values - of_arms[:, None] - values.mean(axis=0) + values.mean()
        own = (arms - 1) * (readers - 1)
        interaction, added = float(np.sum(rest**2)) / own, readers * shared if design == "random" else 0.0
        error, degrees = interaction + added, _degrees(interaction, added, own)
        statistic = _ratio(between, error)
        # Where readers do not differ the denominator is known, and F a chi-squared per degree of freedom.
        chi = stats.chi2.sf(statistic * (arms - 1), arms - 1)
        p = float(chi if math.isinf(degrees) else stats.f.sf(statistic, arms - 1, degrees))
    se = math.sqrt(2 * max(error, 0.0) / readers)
    pairs = [(i, j) for i in range(arms) for j in range(i + 1, arms)]
    differences = {(i, j): Mean(float(of_arms[i] - of_arms[j]), se, degrees) for i, j in pairs}
    return Comparison(statistic, (arms - 1, degrees), p, differences)


def _degrees(spread: float, added: float, own: int) -> float:
    """Hillis' degrees of freedom; infinite where readers do not differ at all."""
    return (spread + added) ** 2 / (spread**2 / own) if spread > TINY**2 else math.inf


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > TINY**2 else math.nan


def _need(what: str, count: int) -> None:
    if count < 2:
        raise ValueError(f"expected two {what} or more, got {count}")
