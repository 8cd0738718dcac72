"""Distances between the surfaces of two masks, in mm.

Two definitions of "surface" are in use, and they differ by far more than rounding, so each metric says which one it takes:

* **surface Dice**: the surface runs between voxel centers and is cut into elements with an area, one set per 2 x 2 x 2
  neighborhood (Nikolov et al. 2018/2021). Elements count by area, so that thick slices do not distort the result.
* **HD95 and average distance**: the surface is the set of border voxels, as in Metrics Reloaded and MONAI, so that numbers
  compare with published ones.

Masks are boolean, the axis order is (z, y, x), neither mask is empty. What lies outside the arrays is background.
"""

import functools
import itertools

import edt
import numpy as np
from scipy import ndimage

from freetumor.core.config import Triple

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))  # corner b of a cell is bit b of its code


def surface_dice(reference: np.ndarray, prediction: np.ndarray, spacing: Triple, tolerance: float) -> float:
    """Share of both surfaces, by area, that lies within ``tolerance`` mm of the other surface.

    ``(|{a in S_A: d(a, S_B) <= t}| + |{b in S_B: d(b, S_A) <= t}|) / (|S_A| + |S_B|)``, where a surface element sits at the
    center of its 2 x 2 x 2 neighborhood and ``|.|`` sums areas.
    """
    first, second = cell_codes(reference), cell_codes(prediction)
    areas = cell_areas(tuple(map(float, spacing)))
    limit = tolerance * (1 + 1e-6)  # distances are float32: a surface exactly at the tolerance is within it
    near = total = 0.0
    for here, other in ((first, second), (second, first)):
        distance = edt.edt(~_crossed(other), anisotropy=spacing, parallel=1)
        here_crossed = _crossed(here)
        area = areas[here[here_crossed]]
        near += area[distance[here_crossed] <= limit].sum()
        total += area.sum()
    return float(near / total)


def border_distances(reference: np.ndarray, prediction: np.ndarray, spacing: Triple) -> tuple[np.ndarray, np.ndarray]:
    """Distance in mm of each border voxel of one mask to the nearest border voxel of the other.

    A border voxel is a voxel of the mask with a face neighbor outside it. Works in two dimensions as well.

    Returns:
        Distances from the reference to the prediction, and from the prediction to the reference.
    """
    first, second = _border(reference), _border(prediction)
    return (
        edt.edt(~second, anisotropy=spacing, parallel=1)[first],
        edt.edt(~first, anisotropy=spacing, parallel=1)[second],
    )


def hausdorff95(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """HD95: the greater of the 95th percentiles (linear interpolation) of the two directed border distances."""
    return float(max(np.percentile(directed, 95) for directed in distances))


def average_distance(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """ASSD: the mean border distance over both borders together."""
    return float(np.concatenate(distances).mean(dtype=np.float64))


def cell_codes(mask: np.ndarray) -> np.ndarray:
    """Which of the eight corners of each cell between voxel centers lie in the mask.

    Returns:
        ``uint8`` array, one longer than ``mask`` along each axis; bit ``4 dz + 2 dy + dx`` is corner (dz, dy, dx).
    """
    padded = np.pad(mask.astype(np.uint8), 1)
    codes = np.zeros([length + 1 for length in mask.shape], np.uint8)
    for bit, corner in enumerate(CORNERS):
        window = tuple(slice(start, start + length) for start, length in zip(corner, codes.shape, strict=True))
        codes |= padded[window] << np.uint8(bit)
    return codes


@functools.lru_cache(maxsize=256)
def cell_areas(spacing: Triple) -> np.ndarray:
    """Area in mm² of the surface inside a cell, for each of the 256 corner codes.

    The surface crosses a cell edge at its middle if just one end lies in the mask. On each face of the cell the crossings are
    joined by straight lines, which close to loops; a loop spans the triangles between its sides and its centroid. On a face
    with two opposite corners inside, each of them is cut off by itself.
    """
    scale = np.asarray(spacing, float)
    areas = np.zeros(256)
    for code in range(1, 255):
        for loop in _loops(code):
            points = np.array(loop) * scale
            spokes = points - points.mean(axis=0)
            areas[code] += np.linalg.norm(np.cross(spokes, np.roll(spokes, -1, axis=0)), axis=1).sum() / 2
    areas.setflags(write=False)
    return areas


def _loops(code: int) -> list[list[tuple[float, ...]]]:
    """Closed lines of edge middles, in voxel units, along which the surface of a cell meets its faces."""
    inside = {tuple(corner) for bit, corner in enumerate(CORNERS.tolist()) if code >> bit & 1}
    neighbors: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
    for axis, side in itertools.product(range(3), (0, 1)):
        ring = [(0, 0), (0, 1), (1, 1), (1, 0)]
        corners = [(*position[:axis], side, *position[axis:]) for position in ring]
        for start, end in _face_lines(corners, inside):
            neighbors.setdefault(start, []).append(end)
            neighbors.setdefault(end, []).append(start)
    loops = []
    while neighbors:  # every crossing lies on two faces, so it has two neighbors and the lines close
        point = first = min(neighbors)
        loop, previous = [], None
        while point != first or not loop:
            loop.append(point)
            forward, backward = neighbors.pop(point)
            previous, point = point, forward if forward != previous else backward
        loops.append(loop)
    return loops


def _face_lines(corners: list[tuple[int, ...]], inside: set) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Lines that separate inside from outside on one face, whose corners are given in cyclic order."""
    middles = [tuple((a + b) / 2 for a, b in zip(corners[i], corners[i - 3], strict=True)) for i in range(4)]
    crossings = [middles[i] for i in range(4) if (corners[i] in inside) != (corners[i - 3] in inside)]
    if len(crossings) == 4:
        return [(middles[i - 1], middles[i]) for i in range(4) if corners[i] in inside]
    return [(crossings[0], crossings[1])] if crossings else []


def _crossed(codes: np.ndarray) -> np.ndarray:
    return (codes != 0) & (codes != 255)


def _border(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)
