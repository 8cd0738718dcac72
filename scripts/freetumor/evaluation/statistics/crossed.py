"""How sure a difference between two training methods is.

The question is whether one *method* beats another, and a method is a recipe that gives a different network each time it is
followed. So both patients and trainings are random. A test over patients alone asks whether *these networks* differ; with a
seed effect of one or two Dice points it calls a third to a half of null comparisons significant.

Data come as blocks, one per set of patients that was scored by the same trainings (a fold; or all external patients): arrays
of shape ``(patients, trainings)``, every patient with every training. The model inside a block is
``D[c, t] = difference + patient_c + training_t + residual_ct``; variances are the same in all blocks. Training sets of
different folds overlap, and that dependence is not part of the model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from freetumor.evaluation.statistics.paired import equivalence_p

BOTH_RANDOM = "two-sided t, patients and trainings random"
TWO_TRAININGS = "two-sided t, patients and trainings random, but two trainings only"
PATIENTS_ONLY = "two-sided t, patients random, this trained model only"
NONE = "no test: fewer than two patients"


@dataclass(frozen=True)
class Estimate:
    """A difference with its confidence interval and two-sided test; NaN where there is none."""

    difference: float
    ci_low: float
    ci_high: float
    p: float
    degrees: float
    test: str
    error: float = math.nan  # standard error


@dataclass(frozen=True)
class Variance:
    """Variance of the mean of all blocks, and its degrees of freedom."""

    value: float
    degrees: float


def random_effects(blocks: Sequence[np.ndarray], confidence: float) -> Estimate:
    """Estimate the mean of paired differences, with patients and trainings random.

    Blocks are weighted by their number of patients. Where every block has one training only, training cannot be told from
    method: the test falls back to patients alone, and ``test`` says so.

    Args:
        blocks: differences, each of shape ``(patients, trainings)``.
        confidence: level of the interval.
    """
    blocks = [block for block in blocks if block.size]
    patients = np.concatenate([block.mean(axis=1) for block in blocks]) if blocks else np.empty(0)
    mean = float(patients.mean()) if patients.size else math.nan
    if patients.size < 2:
        return Estimate(mean, math.nan, math.nan, math.nan, math.nan, NONE)
    variance = crossed_variance(blocks)
    test = TWO_TRAININGS if sum(block.shape[1] - 1 for block in blocks) == 1 else BOTH_RANDOM
    if variance is None:
        variance = Variance(float(patients.var(ddof=1)) / patients.size, patients.size - 1)
        test = PATIENTS_ONLY
    return _t_estimate(mean, variance, confidence, test)


def equivalent(estimate: Estimate, margin: float) -> float:
    """Two one-sided t tests that a difference lies within ``± margin``: the greater p-value; NaN where there is no test.

    A margin must be fixed before the scores are seen. "Not shown to differ" is not "equal": this is the test that shows it.

    Raises:
        ValueError: if the margin is not positive.

    Reference:
        Schuirmann 1987.
    """
    if math.isnan(estimate.error):
        return math.nan
    return equivalence_p(estimate.difference, estimate.error, estimate.degrees, margin)


def crossed_variance(blocks: Sequence[np.ndarray]) -> Variance | None:
    """Variance of the patient-weighted mean under the crossed model, from ANOVA mean squares pooled over blocks.

    For one block of ``C`` patients and ``S`` trainings this is ``(MS_patient + MS_training - MS_residual) / (C S)``. A mean
    square of patients or trainings that does not exceed the residual one says that its variance component is zero; it is
    then pooled with the residual (the restricted-maximum-likelihood rule), instead of leaving a positive bias. Two trainings of
    one fold alone prove no such thing, and stay apart. The degrees of freedom are Satterthwaite's (1946), for the linear
    combination of mean squares.

    In simulated null studies a nominal 5 % test rejects 2 to 6 % with two trainings in each of three folds, or with six; with
    two trainings of a single fold it rejects 1 to 10 %, the more the trainings differ.

    Returns:
        None if no block has two trainings, or none with two trainings has two patients.
    """
    counts, trainings = np.array([block.shape for block in blocks], float).T
    degrees = np.array([np.sum(counts - 1), np.sum(trainings - 1), np.sum((counts - 1) * (trainings - 1))])
    if not degrees.all():
        return None
    squares = np.array([_sums_of_squares(block) for block in blocks]).sum(axis=0)
    means = squares / degrees
    # The expectation of MS_patient is `replicates[0]` x its component + the residual; likewise for the trainings.
    replicates = np.array([np.sum((counts - 1) * trainings), np.sum((trainings - 1) * counts)]) / degrees[:2]
    weights = counts / counts.sum()
    factors = np.array([np.sum(weights**2 / counts), np.sum(weights**2 / trainings)]) / replicates
    present = np.append(means[:2] > means[2], True)
    present[1] |= degrees[1] < 2
    pooled = np.append(~present[:2], True)
    means[2], degrees[2] = squares[pooled].sum() / degrees[pooled].sum(), degrees[pooled].sum()
    factors = np.append(factors, np.sum(weights**2 / (counts * trainings)) - factors[present[:2]].sum())
    terms = (factors * means)[present]
    # Two trainings may agree by luck: their component is zero then, not negative.
    raised = float(factors[1] * max(means[2] - means[1], 0.0)) if present[1] else 0.0
    value = float(terms.sum()) + raised
    if value <= 0:
        return Variance(0.0, float(degrees[2]))
    return Variance(value, float(value**2 / (np.sum(terms**2 / degrees[present]) + raised**2 / degrees[2])))


def ratio_blocks(totals: Sequence[np.ndarray], counts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Turn a ratio of sums over patients into patient-level values that :func:`random_effects` can take.

    For ``ratio = sum(totals) / sum(counts)``, such as detected lesions over lesions, the values
    ``ratio + (total - ratio * count) / mean(count)`` have the ratio as their mean, and their spread is that of the ratio to
    first order (linearization of a ratio estimator). Lesions of one patient thus count as one cluster.

    Args:
        totals: per block, shape ``(patients, trainings)``; may be differences of two arms.
        counts: per block, shape ``(patients,)``, positive.
    """
    every = np.concatenate(counts) if counts else np.empty(0)
    if not every.size:
        return []
    ratio = sum(block.mean(axis=1).sum() for block in totals) / every.sum()
    return [ratio + (block - ratio * count[:, None]) / every.mean() for block, count in zip(totals, counts, strict=True)]


def _t_estimate(mean: float, variance: Variance, confidence: float, test: str) -> Estimate:
    """Interval and test from a t distribution.

    Without any spread there is no interval: that all patients agree in a small sample does not make the difference certain. Nor
    is there a test, but if all differences are zero p is 1.
    """
    # Values that are equal up to rounding, such as the same constant in every cell, leave a variance of about 1e-32.
    if variance.value <= (1e-12 * max(abs(mean), 1e-12)) ** 2:
        p = 1.0 if abs(mean) < 1e-12 else math.nan
        return Estimate(mean, math.nan, math.nan, p, math.nan, f"{test}; no spread")
    error = math.sqrt(variance.value)
    half = float(stats.t.ppf((1 + confidence) / 2, variance.degrees)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, variance.degrees))
    return Estimate(mean, mean - half, mean + half, p, variance.degrees, test, error)


def _sums_of_squares(block: np.ndarray) -> np.ndarray:
    """Sums of squares between patients, between trainings, and of the residual."""
    grand, patients, trainings = block.mean(), block.mean(axis=1, keepdims=True), block.mean(axis=0, keepdims=True)
    residual = block - patients - trainings + grand
    return np.array(
        [
            block.shape[1] * np.sum((patients - grand) ** 2),
            block.shape[0] * np.sum((trainings - grand) ** 2),
            np.sum(residual**2),
        ]
    )
