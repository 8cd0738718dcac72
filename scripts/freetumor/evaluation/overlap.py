"""Overlap and volume of two masks."""

import numpy as np


def dice(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Dice similarity coefficient ``2 |A ∩ B| / (|A| + |B|)`` of two masks of one shape.

    Empty masks are no business of this function (see :mod:`freetumor.evaluation.empty`): at least one must hold a voxel.
    """
    overlap = np.count_nonzero(reference & prediction)
    return 2.0 * overlap / (np.count_nonzero(reference) + np.count_nonzero(prediction))


def iou(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Intersection over union ``|A ∩ B| / |A ∪ B|`` (Jaccard index) of two masks, of which one at least holds a voxel."""
    return np.count_nonzero(reference & prediction) / np.count_nonzero(reference | prediction)


def volume_error(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Volume error ``|V_A - V_B| / (V_A + V_B)``, from 0 (equal volumes) to 1 (one of them empty).

    One minus the volumetric similarity of Taha and Hanbury (2015). Unlike a difference relative to the reference it is
    bounded, so that missing a lesion is never better than exaggerating it.
    """
    volumes = np.count_nonzero(reference), np.count_nonzero(prediction)
    return abs(volumes[0] - volumes[1]) / sum(volumes)
