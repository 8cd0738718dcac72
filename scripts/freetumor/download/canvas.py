"""What the phantom is painted on: HU and tissue arrays, the patient's coordinates, and soft-edged implicit solids.

A solid is an array ``field`` that is negative inside, zero on the surface and positive outside. Axis order is (z, y, x).
"""

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from freetumor.download.scanner import Box, Grid, affine_coordinates

FAR = 8.0  # mm; distances to tubes are cut off here
COARSE_STEP = 8.0  # mm between the nodes on which smooth fields are evaluated

Point = tuple[float, float, float]


class Tissue(IntEnum):
    """What a voxel mostly consists of."""

    AIR = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    VISCERAL_FAT = 4
    BONE = 5
    LUNG = 6
    GUT = 7
    VESSEL = 8
    SPLEEN = 9
    GALLBLADDER = 10
    LIVER = 11
    PANCREAS = 12
    KIDNEY = 13


class Cosines:
    """A smooth random scalar field of unit variance: a sum of plane waves, defined everywhere in space."""

    def __init__(self, rng: np.random.Generator, wavelength: tuple[float, float], terms: int = 16) -> None:
        direction = rng.standard_normal((terms, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        self.waves = (direction * (2 * np.pi / rng.uniform(*wavelength, (terms, 1)))).astype(np.float32)
        self.phases = rng.uniform(0, 2 * np.pi, terms).astype(np.float32)

    def __call__(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Evaluate at coordinates in mm that broadcast against each other; float32."""
        total = np.float32(0)
        for (kz, ky, kx), phase in zip(self.waves, self.phases, strict=True):
            total = total + np.cos(kz * z + ky * y + kx * x + phase)
        return total * np.float32(math.sqrt(2 / len(self.phases)))


def upsample(nodes: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Interpolate linearly from nodes, which span the grid from first to last voxel, to all voxels."""
    for axis, length in enumerate(shape):
        position = np.linspace(0, nodes.shape[axis] - 1, length, dtype=np.float32)
        below = np.minimum(position.astype(np.intp), nodes.shape[axis] - 2)
        weight = (position - below).reshape([-1 if i == axis else 1 for i in range(3)])
        first = np.take(nodes, below, axis)
        nodes = first + weight * (np.take(nodes, below + 1, axis) - first)
    return nodes


def occupancy(field: np.ndarray) -> np.ndarray:
    """Share of each voxel that lies inside the surface ``field = 0``, to first order.

    A plane with normal n passes through a voxel over a length of sum |n_i| s_i along n. With the gradient g taken per voxel,
    the distance in units of that length is field / sum |g_i|, whatever the scale of the field.
    """
    reach = np.full(field.shape, 1e-6, np.float32)
    for axis in range(3):
        reach += np.abs(np.gradient(field, axis=axis))
    share = np.divide(field, reach, out=reach)
    return np.clip(np.subtract(np.float32(0.5), share, out=share), 0, 1, out=share)


def smooth_union(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """Union of two solids with a fillet of about ``blend``."""
    gap = np.maximum(np.float32(blend) - np.abs(first - second), 0)
    return np.minimum(first, second) - gap * gap * np.float32(0.25 / blend)


def ramp(value: np.ndarray, width: float) -> np.ndarray:
    """0 below ``-width / 2``, 1 above ``width / 2``, linear between."""
    return np.clip(value / np.float32(width) + np.float32(0.5), 0, 1)


class Canvas:
    """A scan in the making.

    Attributes:
        hu: noise-free intensities, float32.
        tissue: :class:`Tissue` of each voxel, uint8.
        z, y, x: the patient's own coordinates of each voxel in mm: world, undone the pose, warped.
        fine, coarse: textures of zero mean and unit variance with structure of about 8 and 30 mm.
    """

    def __init__(self, grid: Grid, pose: np.ndarray, shift: np.ndarray, warp: float, rng: np.random.Generator) -> None:
        """Lay the patient's coordinates over the grid.

        Args:
            grid: sampling grid in the world.
            pose: 3 × 3 matrix from world to patient coordinates (z, y, x).
            shift: where the patient's origin lies in the world, mm.
            warp: standard deviation of the smooth displacement that makes patients differ, mm per axis.
            rng: source of the warp and the textures.
        """
        self.grid = grid
        self.matrix = pose @ grid.matrix
        self.origin = pose @ (grid.origin - shift)
        whole = tuple(slice(0, length) for length in grid.shape)
        counts = [max(math.ceil(n * s / COARSE_STEP), 1) + 1 for n, s in zip(grid.shape, grid.spacing, strict=True)]
        steps = np.array([(n - 1) / (count - 1) for n, count in zip(grid.shape, counts, strict=True)])
        nodes = affine_coordinates(self.matrix * steps, self.origin, tuple(slice(0, count) for count in counts))
        straight = affine_coordinates(self.matrix, self.origin, whole)
        self.reach, bent = 0.0, []
        for coordinate in straight:
            displacement = np.float32(warp) * Cosines(rng, (80.0, 170.0))(*nodes)
            self.reach = max(self.reach, float(np.abs(displacement).max()))
            bent.append(coordinate + upsample(displacement, grid.shape))
        self.z, self.y, self.x = bent
        self.fine = self._texture(rng, 6.0)
        self.coarse = self._texture(rng, 22.0)
        self.hu = np.full(grid.shape, -1000, np.float32)
        self.tissue = np.zeros(grid.shape, np.uint8)

    def _texture(self, rng: np.random.Generator, step: float) -> np.ndarray:
        counts = [max(math.ceil(n * s / step), 2) for n, s in zip(self.grid.shape, self.grid.spacing, strict=True)]
        field = upsample(rng.standard_normal(counts, dtype=np.float32), self.grid.shape)
        return field / np.float32(0.54)  # trilinear interpolation leaves (2 / 3)^(3/2) of the standard deviation

    def box(self, low: Sequence[float], high: Sequence[float], margin: float = 6.0) -> Box | None:
        """Voxels that may lie between two corners (z, y, x) in patient coordinates; ``None`` if there are too few."""
        corners = np.array([[(low, high)[bit >> axis & 1][axis] for axis in range(3)] for bit in range(8)])
        index = np.linalg.solve(self.matrix, (corners - self.origin).T).T
        reach = (margin + self.reach) / np.array(self.grid.spacing)
        start = np.maximum(np.floor(index.min(0) - reach), 0).astype(int)
        stop = np.minimum(np.ceil(index.max(0) + reach) + 1, self.grid.shape).astype(int)
        if np.any(stop - start < 2):
            return None
        return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))

    def at(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patient coordinates (z, y, x) of a box."""
        return self.z[box], self.y[box], self.x[box]

    def ellipsoid(self, center: Point, radii: Point, tilt: np.ndarray | None = None) -> tuple[Box | None, np.ndarray]:
        """The box and the field of an ellipsoid; the field is roughly the distance in mm.

        Args:
            center: (z, y, x) in patient coordinates.
            radii: semi-axes (z, y, x) in mm.
            tilt: rows are the axes of the ellipsoid in patient coordinates.
        """
        reach = np.full(3, max(radii)) if tilt is not None else np.array(radii)
        box = self.box(np.subtract(center, reach), np.add(center, reach))
        if box is None:
            return None, np.empty(0)
        offset = [c - np.float32(m) for c, m in zip(self.at(box), center, strict=True)]
        if tilt is not None:
            offset = [sum(np.float32(w) * o for w, o in zip(row, offset, strict=True)) for row in tilt]
        squares = sum((o / np.float32(r)) ** 2 for o, r in zip(offset, radii, strict=True))
        return box, (np.sqrt(squares) - 1) * np.float32(min(radii))

    def tube(self, points: Sequence[Point], radii: Sequence[float], far: float = FAR) -> tuple[Box | None, np.ndarray]:
        """The box and the field of a chain of tapered capsules: distance in mm, cut off at ``far``."""
        thick = max(radii)
        box = self.box(np.min(points, 0) - thick, np.max(points, 0) + thick, far)
        if box is None:
            return None, np.empty(0)
        field = np.full([part.stop - part.start for part in box], far, np.float32)
        for first, last, r0, r1 in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            reach = max(r0, r1)
            part = self.box(np.minimum(first, last) - reach, np.maximum(first, last) + reach, far)
            if part is None:
                continue
            local = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))
            np.minimum(field[local], self._capsule(part, first, last, r0, r1), out=field[local])
        return box, field

    def _capsule(self, box: Box, first: Point, last: Point, r0: float, r1: float) -> np.ndarray:
        axis = np.subtract(last, first).astype(np.float32)
        offset = [c - np.float32(start) for c, start in zip(self.at(box), first, strict=True)]
        along = sum(o * a for o, a in zip(offset, axis, strict=True)) / np.float32(max(float(axis @ axis), 1e-6))
        np.clip(along, 0, 1, out=along)
        squares = sum((o - along * a) ** 2 for o, a in zip(offset, axis, strict=True))
        return np.sqrt(squares) - (np.float32(r0) + along * np.float32(r1 - r0))

    def paint(self, box: Box, share: np.ndarray, hu: np.ndarray | float, tissue: Tissue) -> None:
        """Mix ``hu`` into the box by the share of each voxel; voxels that are mostly covered take the tissue."""
        view = self.hu[box]
        view += share * (hu - view)
        self.tissue[box][share > 0.5] = tissue
