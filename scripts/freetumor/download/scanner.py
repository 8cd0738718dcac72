"""Scanners of the phantom cohort: sampling grids, noise and the ways in which files store a volume.

World coordinates are LPS millimeters (x toward the patient's left, y toward the back, z toward the head). Arrays are
(z, y, x) with indices that increase toward superior, posterior and left; so are all triples here.
"""

import gzip
import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

FIELD_OF_VIEW = (180.0, 260.0, 340.0)
NOISE_SHORT_MM = (0.35, 0.35, 0.35)
NOISE_LONG_MM = (1.80, 1.52, 1.52)

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Scanner:
    """How one machine samples, blurs and stores.

    Attributes:
        spacing: least voxel size in mm; a scan is up to ``spread`` coarser.
        noise: standard deviation of the noise in HU.
        correlated: share of the noise variance with a long correlation; the softer the kernel, the larger.
        order: canonical axis (0 z, 1 y, 2 x) that each stored (i, j, k) axis runs along.
        flips: whether each stored axis runs backward.
        tilt: rotation of the slices about the left-right axis in degrees.
    """

    name: str
    spacing: tuple[float, float, float]
    noise: float
    correlated: float
    spread: float = 0.1
    order: tuple[int, int, int] = (2, 1, 0)
    flips: tuple[bool, bool, bool] = (False, False, False)
    tilt: float = 0.0


# Flipped, permuted and tilted files are meant to be awkward: readers that trust array order fail on them.
SCANNERS = {
    "a": (
        Scanner("a-axial", (3.0, 1.7, 1.7), noise=20.0, correlated=0.28),
        Scanner("a-fine", (2.6, 1.6, 1.6), noise=22.0, correlated=0.24, flips=(True, False, True)),
        Scanner("a-sagittal", (3.2, 1.7, 1.7), noise=20.0, correlated=0.28, order=(1, 0, 2), flips=(False, True, False)),
        Scanner("a-tilted", (2.8, 1.8, 1.8), noise=21.0, correlated=0.30, flips=(True, True, False), tilt=8.0),
    ),
    "b": (
        Scanner("b-axial", (4.2, 1.8, 1.8), noise=15.0, correlated=0.45, flips=(True, True, False)),
        Scanner("b-coronal", (4.5, 1.9, 1.9), noise=17.0, correlated=0.40, order=(2, 0, 1), flips=(False, True, True)),
        Scanner("b-tilted", (4.0, 1.9, 1.9), noise=14.0, correlated=0.50, tilt=-10.0),
    ),
}


@dataclass(frozen=True)
class Grid:
    """A regular grid in the world: ``world = matrix @ index + origin``, all in the order z, y, x."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    matrix: np.ndarray
    origin: np.ndarray

    def world(self, box: Box) -> list[np.ndarray]:
        """World coordinates (z, y, x) of the voxel centers of ``box``: three float32 arrays that broadcast to its shape."""
        return affine_coordinates(self.matrix, self.origin, box)


def affine_coordinates(matrix: np.ndarray, origin: np.ndarray, box: Box) -> list[np.ndarray]:
    """Evaluate ``matrix @ index + origin`` on the voxels of ``box``; axes without influence stay of length one."""
    axes = np.ogrid[box]
    return [
        sum((np.float32(row[i]) * axes[i].astype(np.float32) for i in range(3) if row[i] != 0), np.float32(start))
        for row, start in zip(matrix, origin, strict=True)
    ]


def make_grid(scanner: Scanner, rng: np.random.Generator, field_of_view: tuple[float, ...] = FIELD_OF_VIEW) -> Grid:
    """Draw the grid of one scan: spacing within the scanner's spread, a small offset of the couch, the scanner's tilt."""
    scale = 1 + scanner.spread * rng.random(2)
    spacing = np.round(np.multiply(scanner.spacing, (scale[0], scale[1], scale[1])), 3)
    shape = tuple(math.ceil(length / step) for length, step in zip(field_of_view, spacing, strict=True))
    cosine, sine = math.cos(math.radians(scanner.tilt)), math.sin(math.radians(scanner.tilt))
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    matrix = rotation * spacing
    center = rng.uniform(-4, 4, 3)
    origin = center - matrix @ ((np.array(shape) - 1) / 2)
    return Grid(shape, tuple(float(step) for step in spacing), matrix, origin)


def noise(scanner: Scanner, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Draw noise with the scanner's standard deviation and a two-component Gaussian autocorrelation, float32.

    With 28 % of the variance in the long component, the autocorrelation is close to that measured in abdominal CT: 0.42,
    0.22, 0.18 at 0.74, 1.49, 2.23 mm in the slice and 0.23, 0.09, 0.04 at 1.6, 3.2, 4.8 mm across slices.
    """
    total = np.zeros(grid.shape, np.float32)
    for share, scales in ((1 - scanner.correlated, NOISE_SHORT_MM), (scanner.correlated, NOISE_LONG_MM)):
        part = rng.standard_normal(grid.shape, dtype=np.float32)
        gain = scanner.noise * math.sqrt(share)
        for axis, (scale, step) in enumerate(zip(scales, grid.spacing, strict=True)):
            sigma = scale / step
            if sigma > 0.25:
                part = gaussian_filter1d(part, sigma, axis=axis, mode="wrap", truncate=3.0)
                gain /= _gaussian_gain(sigma)
        total += np.float32(gain) * part
    return total


def _gaussian_gain(sigma: float) -> float:
    """Standard deviation of unit white noise after a one-dimensional sampled Gaussian filter."""
    reach = int(3.0 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return float(np.sqrt(np.sum((weights / weights.sum()) ** 2)))


def as_stored(array: np.ndarray, grid: Grid, scanner: Scanner) -> tuple[np.ndarray, np.ndarray]:
    """Bring a canonical array to the scanner's storage order.

    Args:
        array: canonical volume, shape (z, y, x).
        grid: where its voxels are.
        scanner: gives the order and direction of the stored axes.

    Returns:
        The stored array (i, j, k) and its 4 × 4 affine from (i, j, k) to RAS mm, as NIfTI defines it.
    """
    stored = np.transpose(array, scanner.order)
    affine = np.eye(4)
    affine[:3, :3] = grid.matrix[::-1, list(scanner.order)]  # rows x, y, z
    affine[:3, 3] = grid.origin[::-1]
    for axis, flip in enumerate(scanner.flips):
        if flip:
            stored = np.flip(stored, axis)
            affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
            affine[:3, axis] *= -1
    return stored, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def nifti_bytes(array: np.ndarray, grid: Grid, scanner: Scanner) -> bytes:
    """Encode a canonical array as the scanner's ``.nii.gz``; the bytes depend on the arguments alone."""
    import nibabel

    stored, affine = as_stored(array, grid, scanner)
    image = nibabel.Nifti1Image(np.asfortranarray(stored), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    return gzip.compress(image.to_bytes(), compresslevel=3, mtime=0)
