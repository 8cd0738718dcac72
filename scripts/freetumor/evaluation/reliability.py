"""Predicted probabilities and what became of them, counted in ten equal bins."""

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 10
LEVELS = 255  # a probability of 1 in a stored map
VOXEL, CANDIDATE, EACH_CATEGORY, TOP_CATEGORY = "voxel", "candidate", "category", "top_category"
KINDS = (VOXEL, CANDIDATE, EACH_CATEGORY, TOP_CATEGORY)
SUMS = ["count", "positives", "confidence", "squared_error"]


def bins(kind: str, probabilities: Sequence[float], outcomes: np.ndarray) -> list[dict[str, Any]]:
    """Counts and sums in the bins that hold a prediction.

    Args:
        kind: of the probabilities.
        probabilities: between 0 and 1, shape ``(predictions,)``; one on a bound belongs to the upper bin.
        outcomes: flags, same shape.
    """
    p, came_true = np.asarray(probabilities, float), np.asarray(outcomes, float)
    return _binned(kind, p, np.ones(len(p)), came_true, p, (p - came_true) ** 2)


def voxel_bins(levels: np.ndarray, outcomes: np.ndarray) -> list[dict[str, Any]]:
    """Like :func:`bins`, for voxels of a stored map.

    Args:
        levels: ``uint8`` in steps of 1/255, shape ``(voxels,)``.
        outcomes: flags, same shape.
    """
    counts = np.bincount(levels.astype(np.int16) + np.int16(LEVELS + 1) * outcomes, minlength=2 * (LEVELS + 1))
    negatives, positives = counts.reshape(2, LEVELS + 1).astype(float)
    p = np.arange(LEVELS + 1) / LEVELS
    total = negatives + positives
    return _binned(VOXEL, p, total, positives, p * total, p**2 * negatives + (1 - p) ** 2 * positives)


def _binned(kind: str, probabilities: np.ndarray, *sums: np.ndarray) -> list[dict[str, Any]]:
    place = np.minimum((probabilities * BINS + 1e-9).astype(int), BINS - 1)
    totals = np.array([np.bincount(place, values, minlength=BINS) for values in sums])
    rows = ((number, totals[:, number].tolist()) for number in np.flatnonzero(totals[0]).tolist())
    return [{"kind": kind, "bin": number} | dict(zip(SUMS, map(_whole, values), strict=True)) for number, values in rows]


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value
