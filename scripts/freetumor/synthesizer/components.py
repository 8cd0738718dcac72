"""Connected components of a mask."""

from collections.abc import Sequence

import numpy as np

from freetumor.core.arrays import bounding_box
from freetumor.core.components import connected_components


def component_at(mask: np.ndarray, center: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """The 26-connected component of ``mask`` at voxel ``center``, or the largest one if there is no mask.

    Args:
        mask: bool (z, y, x).
        center: a voxel, or None.

    Returns:
        bool array of the shape of ``mask``; ``mask`` itself, not a copy, if it is one component or empty.
    """
    box = bounding_box(mask)
    if box is None:
        return mask
    labels, count = connected_components(mask[box])
    if count == 1:
        return mask
    label = 0
    if center is not None and mask[tuple(center)]:
        label = labels[tuple(int(c) - part.start for c, part in zip(center, box, strict=True))]
    if label == 0:
        label = 1 + int(np.bincount(labels.ravel())[1:].argmax())
    result = np.zeros(mask.shape, bool)
    np.equal(labels, label, out=result[box])
    return result
