"""Small questions to arrays that every stage asks."""

import numpy as np


def bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds every true voxel of a mask (z, y, x); None if there is none."""
    some = np.logical_or.reduce
    plane = some(mask, axis=0)
    rows = some(plane, axis=1).nonzero()[0]
    if not len(rows):
        return None
    y = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = some(plane[y], axis=0).nonzero()[0]
    x = slice(int(columns[0]), int(columns[-1]) + 1)
    slices = some(mask[:, y, x], axis=(1, 2)).nonzero()[0]
    return slice(int(slices[0]), int(slices[-1]) + 1), y, x
