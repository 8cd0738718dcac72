"""What a lesion looks like, as numbers in mm and HU that do not depend on the grid.

Arrays are (z, y, x). Distances and profiles are measured on a grid of 1 mm, to which image and masks are interpolated
linearly; texture is measured on the voxels as they are. The *ring* is the healthy organ at 2 to 8 mm from the border, without
the voxels at its surface, which hold a part of what lies beyond; all that is said of a lesion's HU is said relative to it.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import edt
import numpy as np
from scipy import ndimage

from freetumor.core.config import Triple

STEP = 1.0  # mm, of the fine grid
RING = (2.0, 8.0)  # mm from the border
RIM = 3.0  # mm below the border
REACH = 12  # mm of the profile to either side
EDGES = np.arange(-REACH, REACH + 1.0)  # of its bins; negative inside
MARGIN = 14.0  # mm that a crop holds around its lesion
SCALES = (2.0, 4.0)  # mm: standard deviations of the blob filters
FEWEST = 20  # voxels of a lesion, and of its ring, that are measured
FEWEST_IN_BIN = 8  # cells of the fine grid
FEWEST_PAIRS = 10  # of voxels at a lag
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

MEASURES = (
    "diameter_mm",
    "sphericity",
    "elongation",
    "contrast_hu",
    "sd_hu",
    "ring_sd_hu",
    "gradient_hu_mm",
    "texture_z_mm",
    "texture_y_mm",
    "texture_x_mm",
)
_BY_QUANTILE = tuple(f"q{round(100 * q):02d}" for q in QUANTILES)
LESION_FEATURES = tuple(
    f"lesion_{name}"
    for name in (
        *("mean", *_BY_QUANTILE, "sd", "skewness"),  # relative to the median of the ring
        *("rim_q10", "rim_q50", "rim_q90", "rim_sd"),
        *("gradient_mean", "gradient_sd"),
        *("blobs_2mm", "blobs_4mm", "texture_plane", "texture_axis"),
    )
)
RING_FEATURES = tuple(
    f"ring_{name}"
    for name in (
        *("mean", *(name for name in _BY_QUANTILE if name != "q50"), "sd", "skewness"),
        *("step_z", "step_y", "step_x", "texture_plane", "texture_axis"),
    )
)
OWN_FEATURES = ("diameter_mm", "sphericity", "elongation", "flatness", "lesion_sd", "lesion_skewness")  # kept by a transplant
PROFILE = tuple(f"profile_{index:02d}" for index in range(len(EDGES) - 1))


@dataclass(frozen=True)
class Crop:
    """A lesion and at least :data:`MARGIN` mm around it.

    Attributes:
        image: int16 HU (z, y, x).
        lesion: bool, all voxels of one lesion and of no other.
        organ: bool, voxels of the healthy organ that it lies in.
        spacing: mm (z, y, x).
    """

    image: np.ndarray
    lesion: np.ndarray
    organ: np.ndarray
    spacing: Triple


def measure_lesion(crop: Crop) -> dict[str, float] | None:
    """Everything that is measured of a lesion: :data:`MEASURES`, both sets of features, and the profile.

    Returns:
        The numbers by name; NaN where something cannot be said, such as a contrast without a ring. None if the lesion has
        fewer than :data:`FEWEST` voxels.
    """
    if np.count_nonzero(crop.lesion) < FEWEST:
        return None
    fine = signed_distance(crop.lesion, crop.spacing)
    distance = _at_voxels(fine, crop.lesion.shape, crop.spacing)
    ring = find_ring(crop, distance)
    profile = border_profile(crop, fine)
    lengths = correlation_lengths(crop.image, crop.lesion, crop.spacing, distance)
    inside, around = crop.image[crop.lesion].astype(float), crop.image[ring].astype(float)
    axes = principal_axes(crop.lesion, crop.spacing)
    return {
        "diameter_mm": equivalent_diameter(crop.lesion, crop.spacing),
        "sphericity": sphericity(crop.lesion, crop.spacing),
        "elongation": axes[1] / axes[0],
        "flatness": axes[2] / axes[0],
        "contrast_hu": inside.mean() - around.mean() if around.size else math.nan,
        "sd_hu": inside.std(),
        "ring_sd_hu": around.std() if around.size else math.nan,
        "gradient_hu_mm": border_gradient(profile),
        **dict(zip(("texture_z_mm", "texture_y_mm", "texture_x_mm"), lengths, strict=True)),
        **_features(crop, ring, distance, lengths),
        **dict(zip(PROFILE, profile, strict=True)),
    }


def find_ring(crop: Crop, distance: np.ndarray) -> np.ndarray:
    """The ring of a lesion, bool (z, y, x), given the signed distance of its voxels; empty below :data:`FEWEST` voxels."""
    deep = ndimage.binary_erosion(crop.organ | crop.lesion)
    ring = crop.organ & deep & (distance >= RING[0]) & (distance < RING[1])
    return ring if np.count_nonzero(ring) >= FEWEST else np.zeros_like(ring)


def equivalent_diameter(lesion: np.ndarray, spacing: Triple) -> float:
    """Diameter in mm of the ball of equal volume."""
    return float(np.cbrt(6 / np.pi * np.count_nonzero(lesion) * np.prod(spacing)))


def sphericity(lesion: np.ndarray, spacing: Triple) -> float:
    """Wadell's sphericity: surface of the ball of equal volume per surface of the lesion, 1 for a ball.

    The surface is Crofton's (:func:`surface_area`), which has no bias from the steps of the voxels; a digital ball of less
    than 100 voxels may therefore reach 1.05.

    Reference:
        Wadell 1935.
    """
    return math.pi * equivalent_diameter(lesion, spacing) ** 2 / surface_area(lesion, spacing)


def surface_area(mask: np.ndarray, spacing: Triple) -> float:
    """Surface in mm² by Crofton's formula: four times the mean projection, over the 13 directions of neighboring voxels.

    Along a direction every lattice line stands for ``voxel volume / step`` mm², and each time that a line leaves the mask
    counts once. Directions are weighted by the part of the sphere that is nearest to them.

    Reference:
        Lehmann and Legland 2012.
    """
    padded = np.pad(mask, 1)
    area, volume = 0.0, float(np.prod(spacing))
    for offset, weight in zip(*_directions(tuple(map(float, spacing))), strict=True):
        here = tuple(slice(max(0, -o), length - max(0, o)) for o, length in zip(offset, padded.shape, strict=True))
        there = tuple(slice(max(0, o), length - max(0, -o)) for o, length in zip(offset, padded.shape, strict=True))
        leaving = np.count_nonzero(padded[here] & ~padded[there])
        area += 4 * weight * leaving * volume / float(np.linalg.norm(offset * np.array(spacing)))
    return area


@functools.lru_cache(maxsize=64)
def _directions(spacing: Triple) -> tuple[np.ndarray, np.ndarray]:
    """The 13 offsets to neighbors, one of each opposite pair, and the share of the sphere that is nearest to each."""
    offsets = np.array([offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)])
    units = offsets * np.array(spacing)
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    index = np.arange(20000) + 0.5  # points of a Fibonacci lattice, evenly over the sphere
    height, angle = 1 - 2 * index / len(index), np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - height**2)
    points = np.stack([height, radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    nearest = np.abs(points @ units.T).argmax(axis=1)
    return offsets, np.bincount(nearest, minlength=len(offsets)) / len(points)


def principal_axes(lesion: np.ndarray, spacing: Triple) -> np.ndarray:
    """Lengths of the principal axes, in mm (standard deviations), of the voxels taken as boxes; the longest first.

    The second and the third per first are elongation and flatness (IBSI features Q3CK and N17B), 1 for a ball.
    """
    points = np.argwhere(lesion) * np.array(spacing)
    covariance = np.cov(points.T, bias=True) + np.diag(np.square(spacing) / 12)
    return np.sqrt(np.linalg.eigvalsh(covariance)[::-1])


def refine(array: np.ndarray, spacing: Triple) -> np.ndarray:
    """Interpolate linearly to cells of :data:`STEP` mm that fill the same box; beyond the outer centers, the outer value."""
    array = array.astype(np.float32)
    for axis, step in enumerate(spacing):
        length = array.shape[axis]
        place = (np.arange(max(1, round(length * step / STEP))) + 0.5) * STEP / step - 0.5
        place = np.clip(place, 0, length - 1)
        low = np.minimum(place.astype(int), max(length - 2, 0))
        share = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        array = array.take(low, axis) * (1 - share) + array.take(np.minimum(low + 1, length - 1), axis) * share
    return array


def signed_distance(lesion: np.ndarray, spacing: Triple) -> np.ndarray:
    """Distance in mm of the cells of the fine grid from the border of the lesion, negative inside."""
    inside = refine(lesion, spacing) >= 0.5
    outward, inward = (edt.edt(np.asfortranarray(mask), anisotropy=(STEP,) * 3, parallel=1) for mask in (~inside, inside))
    return np.where(inside, STEP / 2 - inward, outward - STEP / 2)


def _at_voxels(fine: np.ndarray, shape: tuple[int, ...], spacing: Triple) -> np.ndarray:
    """Values of the fine grid at the centers of the voxels."""
    places = [
        np.clip(((np.arange(n) + 0.5) * step / STEP).astype(int), 0, length - 1)
        for n, step, length in zip(shape, spacing, fine.shape, strict=True)
    ]
    return fine[np.ix_(*places)]


def border_profile(crop: Crop, fine: np.ndarray) -> np.ndarray:
    """Mean HU by signed distance from the border, in bins between :data:`EDGES`.

    Only lesion and healthy organ count, and only where they meet: other tissue must be farther away than the border of the
    lesion, by a voxel, lest fat at the surface of an organ be taken for a dark rim.

    Args:
        crop: the lesion.
        fine: its :func:`signed_distance`.

    Returns:
        (24,), NaN where a bin holds fewer than 8 mm³.
    """
    host = refine(crop.lesion | crop.organ, crop.spacing) >= 0.5
    other = edt.edt(np.asfortranarray(host), anisotropy=(STEP,) * 3, parallel=1) - STEP / 2
    near = (other - np.maximum(-fine, 0) >= max(crop.spacing)) & (fine >= EDGES[0]) & (fine < EDGES[-1])
    values = refine(crop.image, crop.spacing)[near].astype(float)
    bins = np.floor(fine[near] - EDGES[0]).astype(int)
    counts = np.bincount(bins, minlength=len(PROFILE))
    sums = np.bincount(bins, values, minlength=len(PROFILE))
    return np.where(counts >= FEWEST_IN_BIN, sums / np.maximum(counts, 1), np.nan)


def border_gradient(profile: np.ndarray) -> float:
    """Rise of the mean HU across the border, from the inner to the outer 2 mm, in HU per mm."""
    inner, outer = profile[REACH - 2 : REACH], profile[REACH : REACH + 2]
    return float(outer.mean() - inner.mean()) / 2


def correlation_lengths(image: np.ndarray, mask: np.ndarray, spacing: Triple, depth: np.ndarray) -> tuple[float, float, float]:
    """Lag in mm at which the autocorrelation of the texture inside a mask falls to 1/e, along z, y and x.

    The mean of each shell of depth is taken out before, so that the grading of a lesion is no texture. Pairs of voxels count if
    both lie in the mask. Between lags the autocorrelation is interpolated: white noise has 0.63 voxels. Where the mask ends
    before it has fallen, the largest lag is returned; NaN if there is none.

    Args:
        image: HU (z, y, x).
        mask: bool, where to look.
        spacing: mm.
        depth: signed distance in mm, whose shells of the size of a voxel lose their mean.
    """
    shells = np.floor(depth[mask] / max(STEP, *spacing)).astype(int)
    shells -= shells.min(initial=0)
    values = image[mask].astype(float)
    values -= (np.bincount(shells, values) / np.maximum(np.bincount(shells), 1))[shells]
    variance = float(np.mean(values**2)) if values.size else 0.0
    if variance <= 1e-6:
        return math.nan, math.nan, math.nan
    residual = np.zeros(mask.shape)
    residual[mask] = values
    return tuple(_correlation_length(residual, mask, axis, variance) * spacing[axis] for axis in range(3))


def _correlation_length(residual: np.ndarray, mask: np.ndarray, axis: int, variance: float) -> float:
    """In voxels along one axis."""
    values, inside = np.moveaxis(residual, axis, 0), np.moveaxis(mask, axis, 0)
    before = 1.0
    for lag in range(1, len(values)):
        pairs = np.count_nonzero(inside[lag:] & inside[:-lag])
        if pairs < FEWEST_PAIRS:
            return lag - 1 if lag > 1 else math.nan
        now = float(np.sum(values[lag:] * values[:-lag])) / pairs / variance
        if now <= 1 / math.e:
            return lag - 1 + (before - 1 / math.e) / (before - now)
        before = now
    return math.nan


def _features(crop: Crop, ring: np.ndarray, distance: np.ndarray, lengths: tuple[float, float, float]) -> dict[str, float]:
    """The features of the lesion and of its ring; NaN without a ring.

    Rings differ in form with the place of the lesion. So all that is said of them comes from single voxels and from pairs
    that both lie in the ring.
    """
    if not ring.any():
        return dict.fromkeys((*LESION_FEATURES, *RING_FEATURES), math.nan)
    level = float(np.median(crop.image[ring]))
    rim = crop.lesion & (distance >= -RIM)
    rim = rim if rim.any() else crop.lesion
    edge = crop.image[rim].astype(float)
    found = {f"rim_q{round(100 * q)}": np.quantile(edge, q) - level for q in (0.1, 0.5, 0.9)} | {"rim_sd": edge.std()}
    found |= _statistics(crop.image[crop.lesion], level) | _lengths(lengths) | _blobs(crop.image, crop.lesion, crop.spacing)
    found |= _steepness(crop.image, rim, crop.spacing)
    around = _statistics(crop.image[ring], level) | {"mean": crop.image[ring].mean()} | _steps(crop.image, ring)
    around |= _lengths(correlation_lengths(crop.image, ring, crop.spacing, distance))
    named = {f"lesion_{name}": value for name, value in found.items()} | {
        f"ring_{name}": value for name, value in around.items()
    }
    return {name: float(named[name]) for name in (*LESION_FEATURES, *RING_FEATURES)}


def _statistics(values: np.ndarray, level: float) -> dict[str, float]:
    values = values.astype(float) - level
    spread = values.std()
    skewness = np.mean((values - values.mean()) ** 3) / spread**3 if spread > 0 else 0.0
    quantiles = dict(zip(_BY_QUANTILE, np.quantile(values, QUANTILES), strict=True))
    return {"mean": values.mean(), "sd": spread, "skewness": skewness} | quantiles


def _lengths(lengths: tuple[float, float, float]) -> dict[str, float]:
    return {"texture_plane": (lengths[1] + lengths[2]) / 2, "texture_axis": lengths[0]}


def _blobs(image: np.ndarray, mask: np.ndarray, spacing: Triple) -> dict[str, float]:
    """Strength of blobs of two sizes: root mean square of the scale-normalized Laplacian of Gaussian, in HU."""
    flat = np.where(mask, image - image[mask].mean(), 0.0)
    found = {}
    for scale in SCALES:
        widths = [scale / step for step in spacing]  # in voxels
        second = [[2 * (a == axis) for a in range(3)] for axis in range(3)]  # orders of the derivatives
        parts = [ndimage.gaussian_filter(flat, widths, order, mode="constant") for order in second]
        response = sum(width**2 * part for width, part in zip(widths, parts, strict=True))
        found[f"blobs_{scale:g}mm"] = np.sqrt(np.mean(response[mask] ** 2))
    return found


def _steepness(image: np.ndarray, where: np.ndarray, spacing: Triple) -> dict[str, float]:
    """Mean and standard deviation of the length of the gradient, in HU per mm."""
    length = np.sqrt(sum(np.square(part) for part in np.gradient(image.astype(float), *spacing)))[where]
    return {"gradient_mean": length.mean(), "gradient_sd": length.std()}


def _steps(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Root mean square difference of neighbors within a mask, along each axis, in HU."""
    found = {}
    for axis, name in enumerate(("step_z", "step_y", "step_x")):
        values, inside = np.moveaxis(image, axis, 0).astype(float), np.moveaxis(mask, axis, 0)
        pairs = inside[1:] & inside[:-1]
        found[name] = np.sqrt(np.mean((values[1:] - values[:-1])[pairs] ** 2)) if pairs.any() else math.nan
    return found
