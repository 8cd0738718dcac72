"""Affines and the canonical orientation: arrays (z, y, x) whose indices grow toward superior, posterior and left.

An affine is 4 x 4 in the NIfTI convention: it maps the index (x, y, z) to millimeters toward right, anterior, superior.
Nothing here interpolates: axes are swapped and flipped, and whatever rotation is left stays in the affine.
"""

from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from freetumor.core.config import Checks
from freetumor.preprocessing.quarantine import CaseRefused

CANONICAL = (-1, -1, 1)  # the directions of x, y and z in the right-anterior-superior frame: left, posterior, superior
SHEAR = 1e-3  # greatest cosine between two axes that is repaired
ROUNDING = 1e-5  # greatest cosine that is a mere rounding error


@dataclass(frozen=True)
class Volume:
    """A volume and where it lies.

    Attributes:
        array: voxels, (z, y, x).
        affine: 4 x 4, (x, y, z) index to right-anterior-superior mm.
        notes: codes of the repairs made so far.
    """

    array: np.ndarray
    affine: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel spacing in mm, (z, y, x)."""
        return spacing_of(self.affine)

    def noted(self, *notes: str) -> "Volume":
        """The same volume with further notes."""
        return replace(self, notes=(*self.notes, *(note for note in notes if note not in self.notes)))


def spacing_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Lengths of the columns of an affine, as (z, y, x)."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return float(lengths[2]), float(lengths[1]), float(lengths[0])


def corners(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """The centers of the eight corner voxels of an array (z, y, x) in mm, shape (8, 3)."""
    ends = [(0, length - 1) for length in reversed(shape)]
    return np.array(list(product(*ends))) @ affine[:3, :3].T + affine[:3, 3]


def check_affine(affine: np.ndarray, path: object) -> tuple[np.ndarray, tuple[str, ...]]:
    """Refuse an affine that is not finite, singular or sheared; make a slightly sheared one orthogonal.

    Returns:
        The affine, and the notes ``affine_repaired`` or none.
    """
    affine = np.asarray(affine, float)
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise CaseRefused("affine_invalid", path, "the affine is not finite")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (lengths > 0).all() or not np.isfinite(lengths).all():
        raise CaseRefused("affine_invalid", path, "an axis of the affine has no length")
    axes = affine[:3, :3] / lengths
    if abs(np.linalg.det(axes)) < 1e-3:
        raise CaseRefused("affine_invalid", path, "the affine is singular")
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if cosine > SHEAR:
        raise CaseRefused("affine_sheared", path, f"axes are not orthogonal (cosine {cosine:.4f}, at most {SHEAR})")
    if cosine <= ROUNDING:
        return affine, ()
    left, _, right = np.linalg.svd(axes)
    repaired = affine.copy()
    repaired[:3, :3] = left @ right * lengths
    return repaired, ("affine_repaired",)


def check_size(volume: Volume, checks: Checks, path: object) -> None:
    """Refuse a spacing or an extent outside the configured limits.

    No axis may be longer than the greatest extent; the longest axis must reach the least one, so that a thin slab of
    few slices passes and a volume in the wrong unit does not.
    """
    low, high = checks.spacing
    if not all(low <= length <= high for length in volume.spacing):
        text = " x ".join(f"{length:.4g}" for length in volume.spacing)
        raise CaseRefused("spacing", path, f"spacing {text} mm (z, y, x) is outside {low:g} to {high:g} mm")
    extent = [length * count for length, count in zip(volume.spacing, volume.array.shape, strict=True)]
    least, greatest = checks.extent
    if max(extent) < least or max(extent) > greatest:
        text = " x ".join(f"{length:.4g}" for length in extent)
        raise CaseRefused("extent", path, f"extent {text} mm (z, y, x) is outside {least:g} to {greatest:g} mm")


def nearest_axes(affine: np.ndarray) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Which index axis runs closest along each world axis, and in which direction.

    Returns:
        ``axes`` and ``signs``: world axis ``w`` (right, anterior, superior) is closest to index axis ``axes[w]`` of
        (x, y, z), with direction ``signs[w]``. All six assignments are compared, so oblique volumes are safe.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    rows = np.arange(3)
    axes = max(permutations(range(3)), key=lambda order: np.round(np.abs(directions[rows, order]).sum(), 9))
    signs = tuple(1 if directions[world, axes[world]] >= 0 else -1 for world in range(3))
    return axes, signs


def canonicalize(volume: Volume) -> Volume:
    """Swap and flip axes into the canonical orientation; the array is copied into C order."""
    axes, signs = nearest_axes(volume.affine)
    matrix = np.zeros((4, 4))  # canonical index (x, y, z) to index in the given volume
    matrix[3, 3] = 1
    lengths = volume.array.shape[::-1]
    flips = []
    for world, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        flip = sign != CANONICAL[world]
        matrix[axis, world] = -1 if flip else 1
        matrix[axis, 3] = lengths[axis] - 1 if flip else 0
        flips.append(slice(None, None, -1 if flip else 1))
    array = volume.array.transpose([2 - axes[world] for world in (2, 1, 0)])[tuple(reversed(flips))]
    return replace(volume, array=np.ascontiguousarray(array), affine=volume.affine @ matrix)
