"""A randomly turned ellipsoid under a smooth random deformation, evaluated only where it can be.

The deformed position is a sum of five functions of x (four weights and x itself) whose coefficients depend on z and y alone.
Its square is then a sum of fifteen products of two of them: one matrix product gives every voxel, and nothing is squared there.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor

import numpy as np

REACH = 1.5  # of the largest semi-axis: half the side of the cube in which the shape is evaluated
SURFACE = np.float32(1 + 4e-6)  # a voxel on the surface is inside whichever way it is rounded
SLAB = 1 << 16  # voxels evaluated at once: they stay in the cache


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix, uniform (QR of a Gaussian matrix, signs fixed); half of them mirror, which an ellipsoid ignores."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def ellipsoid(
    shape: Sequence[int],
    spacing: Sequence[float],
    center: np.ndarray,
    axes: np.ndarray,
    rotation: np.ndarray,
    displacement: np.ndarray,
) -> np.ndarray:
    """Voxels p with ``|diag(1/axes) R (p - c) + u(p)| <= 1``, where u interpolates ``displacement`` smoothly.

    Args:
        shape: voxels per axis.
        spacing: mm per axis.
        center: voxel index of the center.
        axes: semi-axes in mm.
        rotation: 3 x 3 matrix.
        displacement: control values (3, g, g, g) in units of the semi-axes, on a grid over a cube of 3 times the largest one.

    Returns:
        Boolean array of ``shape``.
    """
    reach = REACH * float(np.max(axes))
    low = [max(floor(c - reach / s), 0) for c, s in zip(center, spacing, strict=True)]
    high = [max(min(ceil(c + reach / s) + 1, n), a) for c, s, n, a in zip(center, spacing, shape, low, strict=True)]
    steps = [(np.arange(a, b) - c) * s for a, b, c, s in zip(low, high, center, spacing, strict=True)]
    result = np.zeros(shape, bool)
    box = result[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    linear = np.asarray(rotation) / np.asarray(axes)[:, None]
    squares, products = _quadratic_form(steps, reach, linear, np.asarray(displacement))
    plane = box.shape[1] * box.shape[2]
    planes = SLAB // max(plane, 1) + 1
    for start in range(0, len(box), planes):
        part = box[start : start + planes]
        columns = squares[:, start * box.shape[1] : (start + planes) * box.shape[1]]
        np.less_equal((columns.T @ products).reshape(part.shape), SURFACE, out=part)
    return result


def _quadratic_form(
    steps: Sequence[np.ndarray], reach: float, linear: np.ndarray, displacement: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (terms, nz * ny) and functions of x (terms, nx): their products sum to the squared deformed distance."""
    points = displacement.shape[1]
    nz, ny, nx = map(len, steps)
    z, y, x = steps
    weights = _weights(np.concatenate(steps) / reach, points)
    warp = weights[:nz] @ displacement.transpose(3, 0, 1, 2)  # (g, 3, z, g)
    warp = (warp.reshape(-1, points) @ weights[nz : nz + ny].T).reshape(points, 3, nz, ny)
    # The weights of x sum to one: what does not depend on x is added to the coefficient of each.
    warp += linear[:, 0, None, None] * z[:, None] + linear[:, 1, None, None] * y
    coefficients = np.empty((points + 1, 3, nz * ny), np.float32)
    coefficients[:-1] = warp.reshape(points, 3, -1)
    coefficients[-1] = linear[:, 2, None] * reach
    functions = np.empty((points + 1, nx))
    functions[:-1], functions[-1] = weights[nz + ny :].T, x / reach
    first, second, multiple = _pairs(points + 1)
    squares = np.concatenate([np.einsum("dm,kdm->km", row, coefficients[k:]) for k, row in enumerate(coefficients)])
    return squares, (functions[first] * functions[second] * multiple).astype(np.float32)


@lru_cache
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The terms of a squared sum of ``count`` terms: first factor, second factor, how often (column)."""
    first, second = np.triu_indices(count)
    return first, second, np.where(first < second, 2, 1)[:, None]


def _weights(position: np.ndarray, points: int) -> np.ndarray:
    """Smooth interpolation weights (n, points) of positions in [-1, 1]: Gaussian bumps at control points, summing to one."""
    controls = np.linspace(-1, 1, points)
    weights = np.exp(-0.5 * ((position[:, None] - controls) * (points - 1) / 1.4) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)
