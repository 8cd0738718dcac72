"""Fidelity and diversity apart: how densely synthetic samples lie among real ones, and how many real ones they reach.

Around every real sample lies the ball that reaches its k-th nearest real neighbor. *Density* is the mean number of balls that
hold a synthetic sample, divided by k: below 1 where samples are unlike any real one. *Coverage* is the share of balls that
hold a synthetic sample: low where a generator has collapsed to few kinds.

Reference:
    Naeem et al. 2020 (Reliable fidelity and diversity metrics for generative models).
"""

import math

import numpy as np

NEAREST = 3  # neighbors that a ball reaches; few, because there are few lesions


def radii(real: np.ndarray, nearest: int = NEAREST) -> np.ndarray:
    """Distance of each real sample to its ``nearest``-th neighbor, from distances between them (m, m).

    Raises:
        ValueError: if there are not more samples than neighbors.
    """
    if len(real) <= nearest:
        raise ValueError(f"{len(real)} samples have no {nearest} neighbors")
    apart = np.where(np.eye(len(real), dtype=bool), np.inf, real)
    return np.partition(apart, nearest - 1, axis=1)[:, nearest - 1]


def density_and_coverage(apart: np.ndarray, real: np.ndarray, nearest: int = NEAREST) -> tuple[float, float]:
    """Density and coverage of synthetic samples.

    Args:
        apart: distances (n, m) of synthetic from real samples.
        real: distances (m, m) between real samples.
        nearest: k.

    Returns:
        Density, 1 in the mean if both come from one distribution, and coverage, at most 1; NaN without synthetic samples.
    """
    if not len(apart):
        return math.nan, math.nan
    within = apart <= radii(real, nearest)
    return float(within.sum() / (nearest * len(apart))), float(within.any(axis=0).mean())


def expected_coverage(synthetic: int, real: int, nearest: int = NEAREST) -> float:
    """Coverage of samples of the same distribution as the real ones, whatever it is.

    Reference:
        Naeem et al. 2020, lemma 2: ``1 - prod((real - j) / (real + synthetic - j))`` over j = 1 ... k.
    """
    steps = np.arange(1, nearest + 1)
    return 1 - float(np.prod((real - steps) / (real + synthetic - steps)))
