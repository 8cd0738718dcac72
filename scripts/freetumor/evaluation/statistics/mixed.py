"""A crossed mixed model of scores: ``score ~ arm + case + case:arm + arm:training``, for data with gaps.

Where every case was scored by every training, the mean squares of ``statistics/crossed.py`` say the same at once. This
model also takes tables in which values are missing, and several arms together. Its variances are estimated by restricted
maximum likelihood (REML). The likelihood is that of lme4 (Bates et al. 2015, section 3.4); effects of cases are eliminated
first: they are many, but those of two cases do not touch each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from freetumor.evaluation.statistics.crossed import Estimate

CASE, CASE_BY_ARM, TRAINING, RESIDUAL = "case", "case:arm", "training", "residual"
MIXED = "two-sided t of a mixed model (REML, Satterthwaite), cases and trainings random"
ABSENT = 1e-6  # a standard deviation below this share of the residual one counts as zero


@dataclass(frozen=True)
class MixedFit:
    """A fitted model.

    Attributes:
        means: of each arm, shape ``(arms,)``.
        covariance: of the means, shape ``(arms, arms)``.
        components: variances by name: ``case``, ``case:arm`` (of several arms), ``training`` and ``residual``.
        deviance: -2 x the restricted log-likelihood.
    """

    means: np.ndarray
    covariance: np.ndarray
    components: dict[str, float]
    deviance: float
    problem: "_Problem"

    def contrast(self, weights: Sequence[float], confidence: float) -> Estimate:
        """Estimate a weighted sum of the means, such as ``(-1, 1)`` for the second arm minus the first.

        The degrees of freedom are Satterthwaite's, from the curvature of the likelihood; variances of zero are taken as known.
        """
        weights = np.asarray(weights, float)
        value, variance = float(weights @ self.means), float(weights @ self.covariance @ weights)
        degrees = self._degrees(weights, variance)
        error = math.sqrt(variance)
        half = float(stats.t.ppf((1 + confidence) / 2, degrees)) * error
        p = float(2 * stats.t.sf(abs(value) / error, degrees))
        return Estimate(value, value - half, value + half, p, degrees, MIXED, error)

    def _degrees(self, weights: np.ndarray, variance: float) -> float:
        logs = np.log([max(component, 1e-300) for component in self.components.values()])
        free = np.exp(logs) > ABSENT**2 * self.components[RESIDUAL]

        def at(move: np.ndarray) -> tuple[float, float]:
            shifted = logs.copy()
            shifted[free] += move
            solved = self.problem.solve(np.where(free, np.exp(shifted), 0.0))
            return solved.deviance, float(weights @ solved.covariance @ weights)

        steps = 1e-2 * np.eye(int(free.sum()))
        gradient = np.array([at(step)[1] - at(-step)[1] for step in steps]) / 2e-2
        curvature = np.array(
            [
                [at(a + b)[0] - at(a - b)[0] - at(b - a)[0] + at(-a - b)[0] for b in steps]
                for a in steps
            ]
        ) / 4e-4  # fmt: skip
        spread = float(gradient @ np.linalg.solve(curvature, gradient)) * 2
        return 2 * variance**2 / spread if spread > 0 else math.inf


def fit_mixed(values: np.ndarray, arms: Sequence, cases: Sequence, trainings: Sequence) -> MixedFit:
    """Fit the model; with one arm, it is ``score ~ 1 + case + training``.

    To compare arms that share their trainings' seeds and batches, give their differences as one arm: what they share cancels.

    Args:
        values: one per case, arm and training; any of them may be missing.
        arms: label of each value's arm; means come in the sorted order of the labels.
        cases: label of each value's case, or patient.
        trainings: label of each value's training. Trainings of two arms are different networks, whatever they are called.

    Raises:
        ValueError: if there are fewer than two cases, or an arm has fewer than two trainings.
    """
    codes = [np.unique(labels, return_inverse=True)[1] for labels in (arms, cases, trainings)]
    problem = _Problem(np.asarray(values, float), *codes)
    found = optimize.minimize(
        lambda ratios: problem.profile(ratios)[0],
        np.ones(problem.random),
        method="Nelder-Mead",
        bounds=[(0, 1e4)] * problem.random,
        options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000},
    )
    ratios = np.where(found.x < ABSENT, 0.0, found.x)
    deviance, residual = problem.profile(ratios)
    variances = np.append(ratios**2 * residual, residual)
    solved = problem.solve(variances)
    names = (CASE, CASE_BY_ARM, TRAINING, RESIDUAL) if problem.arms > 1 else (CASE, TRAINING, RESIDUAL)
    return MixedFit(solved.means, solved.covariance, dict(zip(names, map(float, variances), strict=True)), deviance, problem)


@dataclass(frozen=True)
class _Solved:
    means: np.ndarray
    covariance: np.ndarray
    deviance: float


class _Problem:
    """Cross products of the design, from which the likelihood follows for any variances."""

    def __init__(self, values: np.ndarray, arms: np.ndarray, cases: np.ndarray, trainings: np.ndarray) -> None:
        self.n, self.arms = values.size, int(arms.max()) + 1
        self.random = 3 if self.arms > 1 else 2  # variances beside the residual one
        pairs, training = np.unique(np.column_stack([arms, trainings]), axis=0, return_inverse=True)
        if cases.max() < 1 or np.bincount(pairs[:, 0]).min() < 2:
            raise ValueError("expected at least two cases, and two trainings of each arm")
        self.trained = len(pairs)
        self.center = float(values.mean())
        columns = [training, self.trained + arms, np.full(self.n, self.trained + self.arms)]
        shape = (int(cases.max()) + 1, self.arms, self.trained + self.arms + 1)
        by_arm = np.zeros(shape)  # sums of the columns (trainings, arms, value) over the values of a case in an arm
        for column, amount in zip(columns, (1.0, 1.0, values - self.center), strict=True):
            np.add.at(by_arm, (cases, arms, column), amount)
        self.sums = np.concatenate([by_arm.sum(axis=1, keepdims=True), by_arm], axis=1) if self.arms > 1 else by_arm
        counts = by_arm[:, np.arange(self.arms), self.trained + np.arange(self.arms)]
        self.counts = counts[:, :1, None] if self.arms == 1 else _case_products(counts)
        design = np.zeros((self.n, shape[2]))
        for column, amount in zip(columns, (1.0, 1.0, values - self.center), strict=True):
            design[np.arange(self.n), column] = amount
        self.products = design.T @ design

    def reduce(self, ratios: np.ndarray) -> tuple[float, np.ndarray]:
        """Eliminate all random effects: log-determinant, and the products of arms and values that are left.

        Args:
            ratios: standard deviations of the random effects over the residual one.
        """
        scale = ratios[:1] if self.arms == 1 else np.append(ratios[0], np.full(self.arms, ratios[1]))
        inner = np.eye(scale.size) + self.counts * scale[:, None] * scale
        scaled = self.sums * scale[:, None]
        rest = self.products - np.einsum("crm,crn->mn", scaled, np.linalg.solve(inner, scaled), optimize=True)
        t = self.trained
        block = np.eye(t) + ratios[-1] ** 2 * rest[:t, :t]
        left = ratios[-1] * rest[:t, t:]
        log_det = float(np.linalg.slogdet(inner)[1].sum() + np.linalg.slogdet(block)[1])
        return log_det, rest[t:, t:] - left.T @ np.linalg.solve(block, left)

    def profile(self, ratios: np.ndarray) -> tuple[float, float]:
        """Restricted deviance for the best residual variance, and that variance."""
        log_det, rest = self.reduce(ratios)
        fixed, right = rest[:-1, :-1], rest[:-1, -1]
        squares = float(rest[-1, -1] - right @ np.linalg.solve(fixed, right))
        degrees = self.n - self.arms
        residual = max(squares, 1e-300) / degrees
        log_det += float(np.linalg.slogdet(fixed)[1])
        return log_det + degrees * (1 + math.log(2 * math.pi * residual)), residual

    def solve(self, variances: np.ndarray) -> _Solved:
        """Means, their covariance and the restricted deviance for given variances, the residual one last."""
        residual = variances[-1]
        log_det, rest = self.reduce(np.sqrt(variances[:-1] / residual))
        fixed, right = rest[:-1, :-1], rest[:-1, -1]
        means = np.linalg.solve(fixed, right)
        squares = float(rest[-1, -1] - right @ means)
        degrees = self.n - self.arms
        log_det += float(np.linalg.slogdet(fixed)[1])
        deviance = log_det + degrees * math.log(2 * math.pi * residual) + squares / residual
        return _Solved(means + self.center, residual * np.linalg.inv(fixed), deviance)


def _case_products(counts: np.ndarray) -> np.ndarray:
    """Cross products of the columns (case, case:arm, ...) of each case: shape ``(cases, 1 + arms, 1 + arms)``."""
    products = np.zeros((len(counts), counts.shape[1] + 1, counts.shape[1] + 1))
    products[:, 0, 0] = counts.sum(axis=1)
    products[:, 0, 1:] = products[:, 1:, 0] = counts
    places = np.arange(1, counts.shape[1] + 1)
    products[:, places, places] = counts
    return products
