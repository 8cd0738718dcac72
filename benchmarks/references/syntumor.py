"""SynTumor (Hu et al., CVPR 2023): ellipsoids in a textured whole-organ box.

What is published: radii of 4, 8, 16 and 32 voxels, each semi-axis an integer within 25 %; 3-10 tiny, 3-10 small, 2-5 medium or
1-3 large tumors; three successive random elastic deformations with 3-point grids, in the three planes, nearest neighbor, on a
box of four radii; a center in the middle 30-70 % of the organ's slices, on a pixel that survives a 5 x 5 erosion of the slice;
a canvas padded by 80 voxels on every side; a Gaussian blur of the mask and float64 arithmetic on the box of the organ; a random
crop of a texture made at start-up; a contrast of U(65, 145) HU.

Axis order is (x, y, z), as in the file.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter, map_coordinates

PAD = 80  # voxels on every side of the canvas
CONTRAST = (65.0, 145.0)  # HU
BLUR = (1.0, 2.0)  # voxels


@dataclass(frozen=True)
class SizeClass:
    """A published size class; lengths in voxels."""

    radius: int
    count: tuple[int, int]  # tumors per volume, both ends included
    deformation: tuple[float, float]  # standard deviation of the control points


SIZES = {
    "tiny": SizeClass(4, (3, 10), (0.5, 1.0)),
    "small": SizeClass(8, (3, 10), (1.0, 2.0)),
    "medium": SizeClass(16, (2, 5), (3.0, 6.0)),
    "large": SizeClass(32, (1, 3), (5.0, 10.0)),
}


def make_texture(shape: tuple[int, ...], sigma_a: float, sigma_b: float, rng: np.random.Generator) -> np.ndarray:
    """A start-up texture, float64: smoothed noise as the probability of spots, smoothed again and scaled."""
    field = gaussian_filter(rng.random(shape), sigma_a)
    field = 0.05 + 0.20 * (field - field.min()) / (field.max() - field.min())
    texture = gaussian_filter((rng.random(shape) < field).astype(np.float64), sigma_b)
    texture *= rng.uniform(0.5, 0.55) / texture[texture > 0.12].mean()
    return np.clip(texture, 0, 1)


def bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The box of a mask, from one reduction of the whole volume per axis."""
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(box)


def random_ellipsoid(size: SizeClass, rng: np.random.Generator) -> np.ndarray:
    """A deformed ellipsoid in a box of four radii, bool."""
    radii = rng.integers(int(0.75 * size.radius), int(1.25 * size.radius) + 1, 3)
    side = 4 * size.radius
    x, y, z = np.ogrid[:side, :side, :side]
    middle = side // 2
    mask = ((x - middle) / radii[0]) ** 2 + ((y - middle) / radii[1]) ** 2 + ((z - middle) / radii[2]) ** 2 <= 1
    for plane in ((0, 1), (1, 2), (0, 2)):
        mask = deform(mask, plane, rng.uniform(*size.deformation), rng)
    return mask


def deform(mask: np.ndarray, plane: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Deform every section along ``plane`` by one random 3 x 3 grid, interpolated by cubic splines; nearest neighbor."""
    sections = np.moveaxis(mask, plane, (1, 2)).view(np.uint8)
    rows, columns = sections.shape[1:]
    grid = np.mgrid[:rows, :columns].astype(np.float64)
    nodes = grid * 2 / (np.array([rows, columns]) - 1)[:, None, None]  # where each pixel lies among the 3 x 3 points
    moved = [grid[i] + map_coordinates(rng.normal(0, sigma, (3, 3)), nodes, order=3, mode="nearest") for i in range(2)]
    result = np.stack([map_coordinates(section, moved, order=0, mode="constant") for section in sections])
    return np.moveaxis(result, (1, 2), plane).astype(bool)


def random_center(organ: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A voxel of the organ's box: a slice in the middle, a pixel that survives the erosion of that slice."""
    depth = organ.shape[2]
    index = int(rng.integers(round(0.3 * depth), round(0.7 * depth) + 1))
    pixels = np.argwhere(binary_erosion(organ[:, :, index], np.ones((5, 5))))
    if not len(pixels):
        return np.zeros(3, int)
    return np.array([*pixels[rng.integers(len(pixels))], index])


def random_mask(organ: np.ndarray, size: SizeClass, count: int, rng: np.random.Generator) -> np.ndarray:
    """The mask of ``count`` tumors in the box of the organ, bool."""
    canvas = np.zeros([length + 2 * PAD for length in organ.shape], np.int8)
    for _ in range(count):
        tumor = random_ellipsoid(size, rng)
        start = random_center(organ, rng) + PAD - np.array(tumor.shape) // 2
        window = tuple(slice(a, a + n) for a, n in zip(start, tumor.shape, strict=True))
        canvas[window] += tumor
    inner = canvas[PAD:-PAD, PAD:-PAD, PAD:-PAD]
    return (inner > 0) & organ


class SynTumor:
    """The transform. Textures are made once, as large as ``texture_shape``.

    Args:
        texture_shape: at least the box of the organ; 420 x 300 x 320 as published.
        rng: source of the textures.
        pairs: (sigma_a, sigma_b) of each texture; ten as published. Their number changes memory, not the time per volume.
    """

    def __init__(
        self, texture_shape: tuple[int, ...], rng: np.random.Generator, pairs: tuple[tuple[float, float], ...] = ((3, 4),)
    ) -> None:
        self.textures = [make_texture(texture_shape, *pair, rng) for pair in pairs]

    def __call__(self, image: np.ndarray, label: np.ndarray, size: str, count: int, rng: np.random.Generator) -> None:
        """Paint tumors of a size class into organ 1, in place; tumors become 2.

        Args:
            image: float32 HU (x, y, z).
            label: uint8, same shape.
            size: key of ``SIZES``.
            count: number of tumors.
            rng: source of randomness.
        """
        box = bounding_box(label == 1)
        organ = label[box] == 1
        mask = random_mask(organ, SIZES[size], count, rng)
        alpha = gaussian_filter(mask.astype(np.float64), rng.uniform(*BLUR))
        texture = self.textures[rng.integers(len(self.textures))]
        start = [int(rng.integers(have - need + 1)) for have, need in zip(texture.shape, organ.shape, strict=True)]
        crop = texture[tuple(slice(a, a + n) for a, n in zip(start, organ.shape, strict=True))]
        image[box] -= crop * alpha * rng.uniform(*CONTRAST) * organ
        label[box][mask] = 2


def random_count(size: str, rng: np.random.Generator) -> int:
    """Number of tumors of a size class in a volume."""
    low, high = SIZES[size].count
    return int(rng.integers(low, high + 1))
