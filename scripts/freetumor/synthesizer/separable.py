"""A linear map along each axis of a volume, as matrix products: the fastest smoothing there is of a box of a hundred voxels."""

from collections.abc import Sequence

import numpy as np


def separable(values: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Multiply each axis of a volume by its own matrix.

    Args:
        values: float32 (z, y, x); an array, or a torch tensor if the matrices are.
        matrices: three of float32, (length wanted, length of the axis).

    Returns:
        float32 (z, y, x) of the lengths wanted.
    """
    z, y, x = matrices
    values = y @ (z @ values.reshape(len(values), -1)).reshape(len(z), *values.shape[1:])
    return (values.reshape(-1, values.shape[2]) @ x.T).reshape(len(z), len(y), len(x))
