"""Distances between the surfaces of two masks, in mm.

Two definitions of "surface" are in use, and they differ by far more than rounding, so each metric says which one it takes:

* **surface Dice**: the surface runs between voxel centers and is cut into elements with an area, one set per 2 x 2 x 2
  neighborhood (Nikolov et al. 2018/2021). Elements count by area, so that thick slices do not distort the result.
* **HD95 and average distances**: the surface is the set of border voxels, as in Metrics Reloaded and MONAI, so that numbers
  compare with published ones. HD95 is the greater of the two directed 95th percentiles, not the percentile of both pooled.

Masks are boolean, the axis order is (z, y, x), neither mask is empty. What lies outside the arrays is background. Distances are
looked up in a k-d tree of the other surface: a tumor has few surface voxels, however far a false alarm lies from it.
"""

import functools
import itertools

import numpy as np
from scipy.spatial import KDTree

from freetumor.core.config import Triple

CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))  # corner b of a cell is bit b of its code


def surface_dice(reference: np.ndarray, prediction: np.ndarray, spacing: Triple, tolerance: float) -> float:
    """Share of both surfaces, by area, that lies within ``tolerance`` mm of the other surface.

    ``(|{a in S_A: d(a, S_B) <= t}| + |{b in S_B: d(b, S_A) <= t}|) / (|S_A| + |S_B|)``, where a surface element sits at the
    center of its 2 x 2 x 2 neighborhood and ``|.|`` sums areas.
    """
    codes = cell_codes(reference), cell_codes(prediction)
    crossed = [(code != 0) & (code != 255) for code in codes]
    areas = cell_areas(tuple(map(float, spacing)))
    limit = tolerance * (1 + 1e-6)  # a surface at the tolerance is within it, whatever the rounding
    near = total = 0.0
    for here in (0, 1):
        area = areas[codes[here][crossed[here]]]
        near += area[_distances(crossed[here], crossed[1 - here], spacing, limit) <= limit].sum()
        total += area.sum()
    return float(near / total)


def border_distances(reference: np.ndarray, prediction: np.ndarray, spacing: Triple) -> tuple[np.ndarray, np.ndarray]:
    """Distance in mm of each border voxel of one mask to the nearest border voxel of the other.

    A border voxel is a voxel of the mask with a face neighbor outside it. Works in two dimensions as well.

    Returns:
        Distances from the reference to the prediction, and from the prediction to the reference.
    """
    first, second = _border(reference), _border(prediction)
    return _distances(first, second, spacing), _distances(second, first, spacing)


def hausdorff95(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """HD95: the greater of the 95th percentiles (linear interpolation) of the two directed border distances."""
    return float(max(np.percentile(directed, 95) for directed in distances))


def average_distance(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """ASSD: the mean border distance over both borders together."""
    return float(np.concatenate(distances).mean(dtype=np.float64))


def mean_average_distance(distances: tuple[np.ndarray, np.ndarray]) -> float:
    """MASD: the mean of the two directed mean border distances, so that the larger border does not outweigh the smaller."""
    return float(np.mean([directed.mean(dtype=np.float64) for directed in distances]))


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
    codes, first, second = _triangles()
    areas = np.linalg.norm(np.cross(first * np.asarray(spacing, float), second * np.asarray(spacing, float)), axis=1) / 2
    total = np.bincount(codes, areas, minlength=256)
    total.setflags(write=False)
    return total


@functools.cache
def _triangles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corner code and two sides, in voxel units, of each triangle of the surface in a cell."""
    codes, sides = [], []
    for code in range(1, 255):
        for loop in _loops(code):
            spokes = np.array(loop) - np.mean(loop, axis=0)
            codes += [code] * len(loop)
            sides += [(spokes[i], spokes[i - 1]) for i in range(len(loop))]
    first, second = np.array(sides).transpose(1, 0, 2)
    return np.array(codes), first, second


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


def _distances(here: np.ndarray, there: np.ndarray, spacing: Triple, limit: float = np.inf) -> np.ndarray:
    """Distance in mm from each voxel of ``here``, in array order, to the nearest one of ``there``; infinite above ``limit``."""
    distances = np.zeros(np.count_nonzero(here))
    apart = ~there[here]
    if apart.any():
        tree = KDTree(np.argwhere(there) * np.asarray(spacing, float), balanced_tree=False)
        points = np.argwhere(here & ~there) * np.asarray(spacing, float)
        distances[apart] = tree.query(points, distance_upper_bound=limit * (1 + 1e-6))[0]
    return distances


def _border(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    core = (slice(1, -1),) * mask.ndim
    inner = mask.copy()
    for axis in range(mask.ndim):
        for start, stop in ((0, -2), (2, None)):
            inner &= padded[(*core[:axis], slice(start, stop), *core[axis + 1 :])]
    return mask & ~inner
