"""Whether one lesion is a copy of another, voxel by voxel: the texture of both on a common grid, mirrored and turned.

Every lesion becomes a *thumbnail*, a cube of 12 x 12 x 12 cells around its center whose side is 1.3 diameters. So copies of
other sizes are found as well. It holds the texture alone: HU inside the lesion without the mean of each shell of depth,
because a dark core or a soft border is what all lesions share. Outside the lesion it is NaN.

Two thumbnails are compared in 16 ways: mirrored along each axis, and exchanged in plane, as augmentations and transplants do.
Correlations of unrelated lesions spread more the smaller and the smoother the lesions are. So a correlation is judged against
those that the same lesion has with all real lesions in all ways, as a number of their standard deviations (of its Fisher
transform), and likewise against those that the real lesion has with the other real ones: some lesions resemble
many. Shifts and turns by other angles are not searched: a copy that is moved by more than about a voxel hides from this test,
though not from distances of features.
"""

import itertools

import numpy as np
from scipy import ndimage, stats

from .lesion_features import Crop, equivalent_diameter

SIDE = 12  # cells
REACH = 1.3  # diameters that the cube spans
OVERLAP = 0.5  # of the smaller lesion, at least, for a comparison
CUT = 4.0  # standard deviations at which texture is cut off
LEVEL = 1e-5  # nominal chance of being called a copy; correlations of lesions have heavier tails than normal ones
CHUNK = 64  # lesions compared at once
WAYS = tuple((*flips, swap) for flips in itertools.product((1, -1), repeat=3) for swap in (False, True))
SPREAD = 1.4826  # standard deviation of a normal distribution per median absolute deviation
FEWEST_WAYS = 64  # correlations that tell what is usual


def thumbnail(crop: Crop) -> np.ndarray:
    """Texture of a lesion on the common grid: float32 (12, 12, 12) in HU, NaN outside the lesion."""
    center = np.argwhere(crop.lesion).mean(axis=0)
    half = REACH * equivalent_diameter(crop.lesion, crop.spacing) / 2
    steps = ((np.arange(SIDE) + 0.5) / SIDE * 2 - 1) * half  # mm
    axes = [c + steps / step for c, step in zip(center, crop.spacing, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")
    inside = ndimage.map_coordinates(crop.lesion.astype(np.float32), places, order=1, mode="constant") >= 0.5
    values = ndimage.map_coordinates(crop.image.astype(np.float32), places, order=1, mode="nearest")[inside]
    shells = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1, 1:-1][inside].astype(int)
    values -= (np.bincount(shells, values) / np.maximum(np.bincount(shells), 1))[shells]
    limit = CUT * values.std() if values.size else 0.0
    cube = np.full(inside.shape, np.nan, np.float32)
    cube[inside] = np.clip(values, -limit, limit)
    return cube


def turned(cubes: np.ndarray) -> np.ndarray:
    """Thumbnails (n, 12, 12, 12) in all ways: (n, 16, 12, 12, 12)."""
    ways = []
    for z, y, x, swap in WAYS:
        way = cubes[:, ::z, ::y, ::x]
        ways.append(way.transpose(0, 1, 3, 2) if swap else way)
    return np.stack(ways, axis=1)


def correlations(cubes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How thumbnails (n, ...) correlate with others (m, ...) in all ways.

    Returns:
        Correlations (n, m, 16) over the cells that lie in both lesions, and Fisher's transform of them times the root of the
        number of those cells; both 0 where the lesions do not overlap by :data:`OVERLAP` of the smaller one.
    """
    first, ways = cubes.reshape(len(cubes), -1), turned(others).reshape(len(others) * len(WAYS), -1)
    (a, inside_a), (b, inside_b) = _split(first), _split(ways)
    shared, least = inside_a @ inside_b.T, np.minimum(inside_a.sum(axis=1)[:, None], inside_b.sum(axis=1))
    spread = np.sqrt((a**2 @ inside_b.T) * (inside_a @ (b**2).T))
    good = (shared >= OVERLAP * least) & (spread > 0)
    found = np.where(good, (a @ b.T) / np.where(good, spread, 1), 0.0)
    scaled = np.arctanh(np.clip(found, -0.9999, 0.9999)) * np.sqrt(shared)
    form = (len(cubes), len(others), len(WAYS))
    return found.reshape(form), scaled.reshape(form)


def alignment(cubes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the best correlation of each pair stands out: what is asked of copies.

    Args:
        cubes: thumbnails (n, 12, 12, 12).
        others: thumbnails (m, 12, 12, 12) of real lesions; what is usual is learned from all of them.

    Returns:
        Of the best way of each pair (n, m): the correlation, and how many standard deviations it lies above the usual
        correlation of the lesion, or of the real one with the other real ones, whichever is less; NaN if fewer than 64
        correlations tell what is usual for the lesion.
    """
    best, outstanding = (np.full((len(cubes), len(others)), np.nan) for _ in range(2))
    theirs = _usual_of_each(others) if len(cubes) else None
    for start in range(0, len(cubes), CHUNK):
        found, scaled = correlations(cubes[start : start + CHUNK], others)
        middle, spread = _usual(scaled)
        known = np.isfinite(middle[:, 0])
        rows, ways = start + np.flatnonzero(known), scaled[known].argmax(axis=2)[..., None]
        height = np.take_along_axis(scaled[known], ways, axis=2)[..., 0]
        best[rows] = np.take_along_axis(found[known], ways, axis=2)[..., 0]
        outstanding[rows] = np.fmin((height - middle[known]) / spread[known], (height - theirs[0]) / theirs[1])
    return best, outstanding


def threshold(known: int) -> float:
    """Standard deviations above which a lesion is a copy of one of ``known`` others: :data:`LEVEL` in all ways together."""
    return float(stats.norm.isf(LEVEL / (max(known, 1) * len(WAYS))))


def _usual(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and spread of the correlations (n, m, 16) of each lesion, both (n, 1); NaN where fewer than 64 are known."""
    flat = np.where(scaled == 0, np.nan, scaled).reshape(len(scaled), -1)
    known = np.isfinite(flat).sum(axis=1) >= FEWEST_WAYS
    middle, spread = (np.full((len(flat), 1), np.nan) for _ in range(2))
    if known.any():
        middle[known] = np.nanmedian(flat[known], axis=1, keepdims=True)
        spread[known] = SPREAD * np.nanmedian(np.abs(flat[known] - middle[known]), axis=1, keepdims=True)
    return middle, spread


def _usual_of_each(cubes: np.ndarray) -> np.ndarray:
    """Middle and spread of the correlations of each thumbnail (m, ...) with all others: (2, m)."""
    parts = []
    for start in range(0, len(cubes), CHUNK):
        _, scaled = correlations(cubes[start : start + CHUNK], cubes)
        scaled[np.arange(len(scaled)), start + np.arange(len(scaled))] = 0
        parts.append(np.concatenate(_usual(scaled), axis=1))
    return np.concatenate(parts).T


def _split(cubes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Textures with zeros outside, and where they are inside, both float32."""
    inside = np.isfinite(cubes)
    return np.where(inside, cubes, 0).astype(np.float32), inside.astype(np.float32)
