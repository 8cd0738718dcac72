"""Small questions to arrays that every stage asks."""

import numpy as np


def bounding_box(mask: np.ndarray) -> tuple[slice, slice, slice] | None:
    """The smallest box that holds every true voxel of a mask (z, y, x); None if there is none."""
    plane = mask.any(axis=0)
    occupied = (mask.reshape(len(mask), -1).any(axis=1), plane.any(axis=1), plane.any(axis=0))
    if not occupied[0].any():
        return None
    return tuple(slice(int(line.argmax()), len(line) - int(line[::-1].argmax())) for line in occupied)
