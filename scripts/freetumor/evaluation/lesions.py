"""Lesions as separate things: connected components, matched one to one.

A lesion is a 26-connected component of at least a minimum volume. A reference lesion is detected if a predicted lesion is
matched to it; no predicted lesion serves two reference lesions. Predicted lesions that overlap only a reference component below
the minimum volume are neither hits nor false positives.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class Matching:
    """The lesions of one structure of one scan.

    Attributes:
        volumes: of the reference lesions, in ml.
        ious: intersection over union of each reference lesion with its match; 0 if it has none.
        false_positives: predicted lesions without a match.
    """

    volumes: np.ndarray
    ious: np.ndarray
    false_positives: int

    @property
    def detected(self) -> np.ndarray:
        """Whether each reference lesion has a match."""
        return self.ious > 0


def match_lesions(
    reference: np.ndarray, prediction: np.ndarray, voxel_ml: float, min_lesion_ml: float, match_iou: float
) -> Matching:
    """Match predicted to reference lesions so that the sum of IoU over matches is greatest.

    Args:
        reference: boolean mask, (z, y, x).
        prediction: boolean mask of the same shape.
        voxel_ml: volume of a voxel.
        min_lesion_ml: smaller components are not lesions.
        match_iou: least IoU of a match; 0 means any overlap.
    """
    true_labels, true_sizes = _components(reference)
    found_labels, found_sizes = _components(prediction)
    least = min_lesion_ml * (1 - 1e-9)
    true_lesions = np.flatnonzero(true_sizes * voxel_ml >= least)
    found_lesions = np.flatnonzero(found_sizes * voxel_ml >= least)
    iou = _overlaps(true_labels, found_labels, true_sizes, found_sizes, found_lesions)
    iou[iou < match_iou] = 0
    lesion_iou = iou[true_lesions]
    rows, columns = linear_sum_assignment(lesion_iou, maximize=True)
    hit = lesion_iou[rows, columns] > 0
    ious = np.zeros(len(true_lesions))
    ious[rows[hit]] = lesion_iou[rows[hit], columns[hit]]
    unmatched = np.setdiff1d(np.arange(len(found_lesions)), columns[hit])
    below_minimum = np.setdiff1d(np.arange(len(true_sizes)), true_lesions)
    ignored = iou[np.ix_(below_minimum, unmatched)].max(axis=0, initial=0) > 0
    return Matching(true_sizes[true_lesions] * voxel_ml, ious, int(np.count_nonzero(~ignored)))


def ball_diameter(volume_ml: np.ndarray | float) -> np.ndarray | float:
    """Diameter in mm of the ball of a volume in ml."""
    return np.cbrt(6000.0 * volume_ml / np.pi)


def size_bin_names(bounds: Sequence[float]) -> list[str]:
    """Names of the size bins between bounds in mm: ``[10, 20]`` → ``["<=10", "10-20", ">20"]``."""
    text = [f"{bound:g}" for bound in sorted(bounds)]
    if not text:
        return ["all"]
    return [f"<={text[0]}", *(f"{a}-{b}" for a, b in itertools.pairwise(text)), f">{text[-1]}"]


def size_bin(diameter: float, bounds: Sequence[float]) -> str:
    """The bin of a diameter in mm; a bound belongs to the bin below it."""
    return size_bin_names(bounds)[int(np.searchsorted(sorted(bounds), diameter, side="left"))]


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels from 1 in the order of each component's first voxel (0 outside), and the number of voxels of each label.

    This order does not depend on how the image is cropped, so a lesion has one number in all predictions of its scan.
    """
    labels = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=26)
    names, first, sizes = np.unique(labels[mask], return_index=True, return_counts=True)
    order = np.argsort(first)
    numbers = np.zeros(int(names.max(initial=0)) + 1, np.int64)
    numbers[names[order]] = np.arange(1, len(names) + 1)
    return numbers[labels], sizes[order]


def _overlaps(
    true_labels: np.ndarray,
    found_labels: np.ndarray,
    true_sizes: np.ndarray,
    found_sizes: np.ndarray,
    found_lesions: np.ndarray,
) -> np.ndarray:
    """IoU of every reference component with every predicted lesion."""
    both = (true_labels > 0) & (found_labels > 0)
    pairs, counts = np.unique(np.stack([true_labels[both], found_labels[both]]) - 1, axis=1, return_counts=True)
    iou = np.zeros((len(true_sizes), len(found_lesions)))
    column = np.full(len(found_sizes), -1)
    column[found_lesions] = np.arange(len(found_lesions))
    for (row, label), common in zip(pairs.T, counts, strict=True):
        if column[label] >= 0:
            iou[row, column[label]] = common / (true_sizes[row] + found_sizes[label] - common)
    return iou
