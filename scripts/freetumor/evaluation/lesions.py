"""Lesions as separate things: connected components, matched one to one.

A lesion is a 26-connected component of at least a minimum volume. A reference lesion is detected if a predicted lesion is
matched to it; no predicted lesion serves two reference lesions. Predicted lesions that overlap only a reference component below
the minimum volume are neither hits nor false positives.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from freetumor.core.components import connected_components

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Components:
    """Separate sets of voxels of an array.

    Attributes:
        labels: number of the component of each voxel from 1, 0 outside; of the voxels of ``box`` only.
        sizes: voxels of each component.
        box: the part of the array that holds them all.
    """

    labels: np.ndarray
    sizes: np.ndarray
    box: Box


@dataclass(frozen=True)
class Matching:
    """The lesions of one structure of one scan.

    Attributes:
        volumes: of the reference lesions, in ml.
        ious: intersection over union of each reference lesion with its match; 0 if it has none.
        false_positives: predicted lesions without a match.
        touched: whether any predicted lesion overlaps each reference lesion.
        touching: predicted lesions that overlap a reference lesion.
        untouching: predicted lesions that overlap no component of the reference.
    """

    volumes: np.ndarray
    ious: np.ndarray
    false_positives: int
    touched: np.ndarray
    touching: int
    untouching: int

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
    return match_components(find_components(reference), find_components(prediction), voxel_ml, min_lesion_ml, match_iou)


def match_components(true: Components, found: Components, voxel_ml: float, min_lesion_ml: float, match_iou: float) -> Matching:
    """Like :func:`match_lesions`, of components that are known already."""
    is_lesion, is_found = (large_enough(part.sizes, voxel_ml, min_lesion_ml) for part in (true, found))
    overlaps, sizes = common_voxels(true, found)[:, is_found], found.sizes[is_found]
    iou = overlaps / (true.sizes[:, None] + sizes - overlaps)
    iou[iou < match_iou] = 0
    lesion_iou = iou[is_lesion]
    rows, columns = linear_sum_assignment(lesion_iou, maximize=True)
    hit = lesion_iou[rows, columns] > 0
    ious = np.zeros(len(lesion_iou))
    ious[rows[hit]] = lesion_iou[rows[hit], columns[hit]]
    unmatched = np.setdiff1d(np.arange(len(sizes)), columns[hit])
    ignored = iou[np.ix_(~is_lesion, unmatched)].any(axis=0)
    touching = overlaps[is_lesion] > 0
    return Matching(
        volumes=true.sizes[is_lesion] * voxel_ml,
        ious=ious,
        false_positives=int(np.count_nonzero(~ignored)),
        touched=touching.any(axis=1),
        touching=int(np.count_nonzero(touching.any(axis=0))),
        untouching=int(np.count_nonzero(~overlaps.any(axis=0))),
    )


def find_components(mask: np.ndarray) -> Components:
    """26-connected components, numbered in the order of their first voxels.

    This order does not depend on how the image is cropped, so a lesion has one number in all predictions of its scan.
    """
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    labels, count = connected_components(inside)
    names = labels[inside]
    first = np.zeros(count + 1, np.int64)
    first[names[::-1]] = np.arange(len(names))[::-1]  # of equal indices the last one written stays
    order = np.argsort(first[1:], kind="stable") + 1
    numbers = np.zeros(count + 1, labels.dtype)
    numbers[order] = np.arange(1, count + 1)
    return Components(numbers[labels], np.bincount(names, minlength=count + 1)[order], box)


def bounding_box(mask: np.ndarray) -> Box:
    """The smallest box that holds a mask; the first voxel if the mask is empty."""
    sides = []
    for axis in range(mask.ndim):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        sides.append(slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 1))
    return tuple(sides)


def large_enough(sizes: np.ndarray, voxel_ml: float, min_lesion_ml: float) -> np.ndarray:
    """Which numbers of voxels make a lesion."""
    return sizes * voxel_ml >= min_lesion_ml * (1 - 1e-9)


def common_voxels(first: Components, second: Components) -> np.ndarray:
    """How many voxels each component of the first set shares with each of the second, shape ``(first, second)``."""
    shape = len(first.sizes), len(second.sizes)
    shared = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first.box, second.box, strict=True)]
    if any(side.start >= side.stop for side in shared):
        return np.zeros(shape, np.int64)
    mine, other = (
        part.labels[tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(shared, part.box, strict=True))]
        for part in (first, second)
    )
    both = (mine > 0) & (other > 0)
    pairs, counts = np.unique(np.ravel_multi_index((mine[both] - 1, other[both] - 1), shape), return_counts=True)
    common = np.zeros(shape, np.int64)
    common.flat[pairs] = counts
    return common


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
