"""Bootstrap over two levels: trainings, and patients.

Of ``S`` trainings ``S - 1`` are drawn, and likewise of the patients: drawing all of them would understate the variance by
``(S - 1) / S``, which is one half for two trainings (Rao and Wu 1988). Rows and columns are drawn independently, which
overstates the residual part a little (Owen 2007). All arms see the same draws, so that differences of arms are paired.
"""

import math
from collections.abc import Sequence

import numpy as np

DRAWN = 1_000_000  # patients drawn at once: bounds the memory


def two_level_bootstrap(
    totals: Sequence[np.ndarray], counts: Sequence[np.ndarray], resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Resample ratios of sums, such as means or shares, of several arms.

    Args:
        totals: per block (a fold, or all external patients), shape ``(patients, arms, trainings)``.
        counts: per block, units of each patient, shape ``(patients,)``; ones for a mean over patients.
        resamples: number of draws.
        rng: where randomness comes from.

    Returns:
        Shape ``(resamples, arms)``; NaN where a draw holds no count.
    """
    arms = totals[0].shape[1] if totals else 0
    numerator, denominator = np.zeros((resamples, arms)), np.zeros(resamples)
    for block, count in zip(totals, counts, strict=True):
        patients, _, trainings = block.shape
        columns = np.column_stack([block.reshape(patients, -1), count])
        weights = _multiplicities(trainings, resamples, rng) / trainings
        chunk = max(1, DRAWN // patients)
        for start in range(0, resamples, chunk):
            rows = slice(start, min(start + chunk, resamples))
            sums = _multiplicities(patients, rows.stop - start, rng) @ columns
            by_training = sums[:, :-1].reshape(-1, arms, trainings)
            numerator[rows] += np.einsum("rat,rt->ra", by_training, weights[rows])
            denominator[rows] += sums[:, -1]
    filled = (denominator > 0)[:, None] & np.ones(arms, bool)
    return np.divide(numerator, denominator[:, None], out=np.full((resamples, arms), np.nan), where=filled)


def ratio_bootstrap(
    totals: Sequence[np.ndarray], counts: Sequence[np.ndarray], resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """:func:`two_level_bootstrap` of one arm: totals have shape ``(patients, trainings)``, the result ``(resamples,)``."""
    return two_level_bootstrap([block[:, None] for block in totals], counts, resamples, rng).reshape(-1)


def percentile_interval(draws: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval of bootstrap draws; NaN if there are none."""
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return math.nan, math.nan
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _multiplicities(units: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of each unit in each draw of ``units - 1`` units with replacement; their sum is ``units``."""
    if units == 1:
        return np.ones((resamples, 1))
    drawn = rng.integers(0, units, (resamples, units - 1)) + np.arange(0, resamples * units, units)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * units).reshape(resamples, units) * (units / (units - 1))
