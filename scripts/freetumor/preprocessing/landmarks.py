"""Places that a scan can be recognized by even when it was cropped: where a blurred CT is locally brightest or darkest.

Extrema of a difference of two Gaussians lie at the same anatomical places in every copy of a scan, in parts of it, at other
voxel sizes and under noise. Each comes with sixteen coarse voxels around it, so that two scans can be compared landmark by
landmark, without their voxels. Axis order is (z, y, x). Extrema of such differences as places to recognize a picture by:
Lowe, International Journal of Computer Vision 60, 2004, section 3; here in three dimensions, at one size in mm.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from freetumor.preprocessing.geometry import apply_along, axis_matrix

CELL = 5.0  # mm
MOST = 96  # landmarks of a scan, the strongest
SIGMAS = (1.2, 2.4)  # cells
REACH = (1.8, 3.6)  # cells from a landmark to its coarse voxels along each axis, in either picture
WEAKEST = 4.0  # HU
MARGIN = 2  # cells at the border of the grid; what lies beyond is not known there
STEP, PLACE_STEP = 4.0, 0.1  # HU and mm per unit of the text
CORNERS = np.array(list(product((-1, 1), repeat=3)))
RECORD = np.dtype([("place", "<u2", 3), ("values", "i1", 16)])


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of a scan.

    Attributes:
        places: mm from the first corner of its body, shape (n, 3).
        values: HU of the coarse voxels minus that of the landmark: two reaches x eight corners, shape (n, 16).
    """

    places: np.ndarray
    values: np.ndarray


def coarse_grid(values: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Soft-tissue intensities, HU, as ``float32`` on cells of 5 mm; the middles of both grids coincide."""
    for axis, step in enumerate(spacing):
        length = values.shape[axis]
        count = max(1, int(np.ceil(length * step / CELL - 1e-6)))
        centers = (np.arange(count) - (count - 1) / 2) * CELL / step + (length - 1) / 2
        values = apply_along(axis_matrix(centers, length, CELL / step), values, axis)
    return values


def find_landmarks(grid: np.ndarray) -> Landmarks:
    """The strongest extrema of a :func:`coarse_grid`, up to 96."""
    near, far = (ndimage.gaussian_filter(grid, sigma, mode="nearest") for sigma in SIGMAS)
    difference = near - far
    extreme = (difference == ndimage.maximum_filter(difference, 3)) | (difference == ndimage.minimum_filter(difference, 3))
    extreme &= np.abs(difference) >= WEAKEST
    for axis, length in enumerate(grid.shape):
        if length > 4 * MARGIN:
            moved = np.moveaxis(extreme, axis, 0)
            moved[:MARGIN], moved[-MARGIN:] = False, False
    voxels = np.argwhere(extreme)
    voxels = voxels[np.argsort(-np.abs(difference[extreme]), kind="stable")[:MOST]]
    places = voxels + _offsets(difference, voxels)
    values = [_around(picture, places, reach) for picture, reach in zip((near, far), REACH, strict=True)]
    return Landmarks((places + 0.5) * CELL, np.concatenate(values, axis=1))


def _offsets(values: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Where the extremum lies between the voxels: the vertex of a parabola through three of them, along each axis."""
    offsets = np.zeros(voxels.shape)
    for axis, length in enumerate(values.shape):
        step = np.eye(3, dtype=int)[axis]
        below, here, above = (
            values[tuple((voxels + sign * step).clip(0, np.array(values.shape) - 1).T)] for sign in (-1, 0, 1)
        )
        bend = below - 2 * here + above
        inside = (voxels[:, axis] > 0) & (voxels[:, axis] < length - 1) & (np.abs(bend) > 1e-6)
        offsets[inside, axis] = ((below - above)[inside] / (2 * bend[inside])).clip(-0.5, 0.5)
    return offsets


def _around(picture: np.ndarray, places: np.ndarray, reach: float) -> np.ndarray:
    """The eight corners of a cube around each place, minus the place itself."""
    corners = (places[:, None] + reach * CORNERS).reshape(-1, 3)
    around = ndimage.map_coordinates(picture, corners.T, order=1, mode="nearest").reshape(-1, len(CORNERS))
    return around - ndimage.map_coordinates(picture, places.T, order=1, mode="nearest")[:, None]


def encode_landmarks(found: Landmarks) -> str:
    """Landmarks as text, 22 bytes each in base64."""
    records = np.zeros(len(found.places), RECORD)
    records["place"] = np.rint(found.places / PLACE_STEP).clip(0, 2**16 - 1)
    records["values"] = np.rint(found.values / STEP).clip(-127, 127)
    return base64.b64encode(records.tobytes()).decode()


def decode_landmarks(text: str) -> Landmarks:
    """What :func:`encode_landmarks` wrote; no landmarks from an empty text."""
    records = np.frombuffer(base64.b64decode(text), RECORD)
    return Landmarks(records["place"] * np.float32(PLACE_STEP), records["values"] * np.float32(STEP))
