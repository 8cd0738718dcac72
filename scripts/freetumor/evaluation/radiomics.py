"""Radiomics of a lesion, by the definitions of the image biomarker standardization initiative (IBSI).

Arrays are (z, y, x). Three families: first order (intensities in HU as they are; entropy and uniformity of bins of 25 HU),
shape (of the mesh around the mask, and of the principal axes of the centers of its voxels), and gray level co-occurrence
(neighbors in 13 directions at one voxel, symmetric, merged into one matrix). Nothing is resampled: the voxels of a study have
one size, or nearly so, and both sides of a comparison share it. Every number agrees with the published values of the digital
phantom.

Reference:
    Zwanenburg et al. 2020, Radiology 295: 328; definitions and values in the IBSI reference manual (arXiv 1612.07003).
"""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from freetumor.core.arrays import bounding_box
from freetumor.core.config import Triple

BIN = 25.0  # HU
CORNERS = tuple(itertools.product((0, 1), repeat=3))
NEIGHBORS = tuple(
    offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)
)  # one of each opposite pair
RADIOMICS = tuple(
    f"radiomics_{family}_{name}"
    for family, names in {
        "intensity": (
            *("mean", "median", "variance", "skewness", "kurtosis", "p10", "p90", "iqr"),
            *("absolute_deviation", "energy", "entropy", "uniformity"),
        ),
        "shape": (
            *("volume_mm3", "area_mm2", "area_per_volume", "sphericity"),
            *("greatest_diameter_mm", "major_axis_mm", "elongation", "flatness"),
        ),
        "glcm": (
            *("joint_maximum", "joint_average", "joint_variance", "joint_entropy"),
            *("difference_average", "difference_variance", "difference_entropy", "sum_entropy"),
            *("energy", "contrast", "inverse_difference", "inverse_difference_moment", "correlation"),
            *("cluster_tendency", "cluster_shade", "cluster_prominence", "information_1", "information_2"),
        ),
    }.items()
    for name in names
)


def radiomics(image: np.ndarray, mask: np.ndarray, spacing: Triple) -> dict[str, float]:
    """All of :data:`RADIOMICS` of a lesion.

    Args:
        image: HU (z, y, x).
        mask: bool, its voxels; at least one.
        spacing: mm (z, y, x).

    Returns:
        The numbers by name; NaN where a feature has none, such as the correlation of a single gray level.
    """
    box = bounding_box(mask)
    image, mask = image[box], mask[box]
    levels = gray_levels(image, mask)
    families = {
        "intensity": first_order(image[mask].astype(float), levels[mask]),
        "shape": shape(mask, spacing),
        "glcm": texture(co_occurrence(levels)),
    }
    found = {
        f"radiomics_{family}_{name}": float(value) for family, values in families.items() for name, value in values.items()
    }
    return {name: found[name] for name in RADIOMICS}


def gray_levels(image: np.ndarray, mask: np.ndarray, width: float = BIN) -> np.ndarray:
    """Levels from 1 inside the mask, 0 outside: bins of ``width`` HU with edges at multiples of it, from the lowest one on."""
    bins = np.floor(image / width).astype(int)
    return np.where(mask, bins - bins[mask].min() + 1, 0)


def first_order(values: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """Statistics of intensities (n,) and, as entropy (bits) and uniformity, of their gray levels (n,).

    Skewness and excess kurtosis of a constant are 0.
    """
    mean, variance = values.mean(), values.var()
    away = values - mean
    shares = np.bincount(levels) / len(levels)
    low, lower, upper, high = np.quantile(values, (0.1, 0.25, 0.75, 0.9))
    return {
        "mean": mean,
        "median": np.median(values),
        "variance": variance,
        "skewness": np.mean(away**3) / variance**1.5 if variance > 0 else 0.0,
        "kurtosis": np.mean(away**4) / variance**2 - 3 if variance > 0 else 0.0,
        "p10": low,
        "p90": high,
        "iqr": upper - lower,
        "absolute_deviation": np.abs(away).mean(),
        "energy": np.sum(values**2),
        "entropy": _entropy(shares),
        "uniformity": np.sum(shares**2),
    }


def shape(mask: np.ndarray, spacing: Triple) -> dict[str, float]:
    """Volume, surface and greatest diameter of the mesh around a mask, and lengths of its principal axes."""
    volume, area = mesh_measures(mask, spacing)
    centers = np.argwhere(mask) * np.array(spacing)
    spread = np.linalg.eigvalsh(np.cov(centers.T, bias=True))[::-1] if len(centers) > 1 else np.zeros(3)
    axes = 4 * np.sqrt(np.maximum(spread, 0))
    return {
        "volume_mm3": volume,
        "area_mm2": area,
        "area_per_volume": area / volume,
        "sphericity": (36 * math.pi * volume**2) ** (1 / 3) / area,
        "greatest_diameter_mm": greatest_diameter(mask, spacing),
        "major_axis_mm": axes[0],
        "elongation": axes[1] / axes[0] if axes[0] > 0 else math.nan,
        "flatness": axes[2] / axes[0] if axes[0] > 0 else math.nan,
    }


def mesh_measures(mask: np.ndarray, spacing: Triple) -> tuple[float, float]:
    """Volume in mm³ and surface in mm² of the mesh half-way between the centers of voxels inside and outside (marching cubes).

    Cubes of eight neighboring centers meet the mesh in one of 256 ways (:func:`_cube_triangles`); the volume follows from the
    surface by the theorem of Gauss.

    Reference:
        Lorensen and Cline 1987.
    """
    cubes = np.pad(mask, 1).astype(np.uint8)
    code = np.zeros(np.subtract(cubes.shape, 1), np.uint8)
    for bit, corner in enumerate(CORNERS):
        code |= cubes[tuple(slice(c, c + n) for c, n in zip(corner, code.shape, strict=True))] << bit
    met = (code > 0) & (code < 255)
    places, codes = np.argwhere(met) * np.array(spacing), code[met]
    area = volume = 0.0
    for way in np.unique(codes):
        here = places[codes == way]
        triangles = _cube_triangles(int(way)) * np.array(spacing)
        normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2
        area += len(here) * np.linalg.norm(normals, axis=1).sum()
        volume += (here.sum(axis=0) @ normals.sum(axis=0) + len(here) * np.sum(triangles[:, 0] * normals)) / 3
    return float(volume), float(area)


@functools.cache
def _cube_triangles(way: int) -> np.ndarray:
    """Triangles (n, 3, 3) of the mesh in a unit cube whose corner k is inside if bit k of ``way`` is set, turned outward.

    On each face the mesh joins the middles of edges that it crosses; where all four are crossed it cuts off the corners that
    are inside, on both sides of the face alike, so that the mesh is closed.
    """
    inside = [bool(way >> bit & 1) for bit in range(8)]
    links: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for axis, side in itertools.product(range(3), (0, 1)):
        ring = [CORNERS.index((*pair[:axis], side, *pair[axis:])) for pair in ((0, 0), (0, 1), (1, 1), (1, 0))]
        edges = [tuple(sorted((ring[k], ring[(k + 1) % 4]))) for k in range(4)]
        crossed = [k for k in range(4) if inside[edges[k][0]] != inside[edges[k][1]]]
        pairs = [crossed] if len(crossed) == 2 else [(k - 1, k) for k in range(4) if len(crossed) == 4 and inside[ring[k]]]
        for a, b in pairs:
            links.setdefault(edges[a], []).append(edges[b])
            links.setdefault(edges[b], []).append(edges[a])
    triangles = []
    while links:
        triangles += _fan(_loop(links), inside)
    return np.array(triangles)


def _loop(links: dict[tuple[int, int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Take one closed loop of crossed edges out of ``links``."""
    loop = [min(links)]
    while True:
        onward = [edge for edge in links.pop(loop[-1]) if edge in links]
        if not onward:
            return loop
        loop.append(onward[0])


def _fan(loop: list[tuple[int, int]], inside: list[bool]) -> list[np.ndarray]:
    """Triangles from the first point of a loop, turned outward."""
    points = np.array([np.mean([CORNERS[a], CORNERS[b]], axis=0) for a, b in loop])
    outward = sum(np.subtract(CORNERS[b], CORNERS[a]) * (1 if inside[a] else -1) for a, b in loop)
    fan = [np.array([points[0], points[k], points[k + 1]]) for k in range(1, len(points) - 1)]
    normal = sum(np.cross(t[1] - t[0], t[2] - t[0]) for t in fan)
    return fan if normal @ outward > 0 else [t[::-1] for t in fan]


def greatest_diameter(mask: np.ndarray, spacing: Triple) -> float:
    """Greatest distance in mm between points of the mesh."""
    padded = np.pad(mask, 1)
    points = []
    for axis in range(3):
        crossed = np.argwhere(np.diff(padded, axis=axis)).astype(float)
        crossed[:, axis] += 0.5
        points.append(crossed)
    points = np.concatenate(points) * np.array(spacing)
    return float(pdist(points[ConvexHull(points).vertices]).max())


def co_occurrence(levels: np.ndarray) -> np.ndarray:
    """How often gray levels (1 to n; 0 is outside) are neighbors, in all directions: symmetric (n, n), of sum 1, or 0."""
    count = int(levels.max())
    pairs = np.zeros(count * count, int)
    for offset in NEIGHBORS:
        here = levels[tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, levels.shape, strict=True))]
        there = levels[tuple(slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, levels.shape, strict=True))]
        both = (here > 0) & (there > 0)
        pairs += np.bincount((here[both] - 1) * count + there[both] - 1, minlength=count * count)
    matrix = pairs.reshape(count, count)
    matrix = matrix + matrix.T
    return matrix / max(matrix.sum(), 1)


def texture(matrix: np.ndarray) -> dict[str, float]:
    """Features of a co-occurrence matrix (n, n)."""
    if not matrix.any():
        return dict.fromkeys((name.removeprefix("radiomics_glcm_") for name in RADIOMICS if "_glcm_" in name), math.nan)
    i, j = np.indices(matrix.shape) + 1
    row = matrix.sum(axis=1)
    mean = float(np.sum(i * matrix))
    variance = float(np.sum((i - mean) ** 2 * matrix))
    apart = np.bincount(np.abs(i - j).ravel(), matrix.ravel())
    together = np.bincount((i + j).ravel(), matrix.ravel())
    lag, around = np.arange(len(apart)), i + j - 2 * mean
    difference = float(lag @ apart)
    joint, single = _entropy(matrix), _entropy(row)
    return {
        "joint_maximum": matrix.max(),
        "joint_average": mean,
        "joint_variance": variance,
        "joint_entropy": joint,
        "difference_average": difference,
        "difference_variance": (lag - difference) ** 2 @ apart,
        "difference_entropy": _entropy(apart),
        "sum_entropy": _entropy(together),
        "energy": np.sum(matrix**2),
        "contrast": lag**2 @ apart,
        "inverse_difference": np.sum(apart / (1 + lag)),
        "inverse_difference_moment": np.sum(apart / (1 + lag**2)),
        "correlation": np.sum((i - mean) * (j - mean) * matrix) / variance if variance > 0 else math.nan,
        "cluster_tendency": np.sum(around**2 * matrix),
        "cluster_shade": np.sum(around**3 * matrix),
        "cluster_prominence": np.sum(around**4 * matrix),
        # both entropies of the product of the margins of a symmetric matrix are twice that of one margin
        "information_1": (joint - 2 * single) / single if single > 0 else math.nan,
        "information_2": math.sqrt(max(0.0, 1 - math.exp(-2 * (2 * single - joint)))),
    }


def _entropy(shares: np.ndarray | Sequence[float]) -> float:
    """In bits."""
    some = np.asarray(shares)[np.asarray(shares) > 0]
    return float(-np.sum(some * np.log2(some)))
