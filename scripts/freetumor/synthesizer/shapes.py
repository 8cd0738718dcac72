"""Lesion masks: a deformed ellipsoid, or the mask of a real lesion.

A shape is drawn on a patch, centered at a voxel of the organ chosen by distance to the organ's border: no retry, and a patch
without the organ is a counted outcome. Everything is in millimeters, so that anisotropic spacing changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cc3d
import edt
import numpy as np

from freetumor.core.config import Shape

from .cases import AIR, Case, Patch, organ_mask

GRID = 4  # control points per axis of the deformation
MIN_VOXELS = 4


@dataclass(frozen=True)
class Donor:
    """A real lesion in the frame of the patch it is transplanted to."""

    image: np.ndarray  # int16 HU, the shape of the patch
    case_id: str


@dataclass(frozen=True)
class Mask:
    """A simulated lesion mask and how it was drawn."""

    array: np.ndarray  # bool (z, y, x), inside the organ
    parameters: dict = field(default_factory=dict)
    donor: Donor | None = None


class EllipsoidShape:
    """A randomly rotated ellipsoid under a smooth random deformation.

    Each semi-axis is uniform around the nominal radius of a size class. A radius that the organ cannot hold is cut down to
    ``max_depth_ratio`` times the organ's greatest depth in the patch.
    """

    def __init__(self, settings: Shape) -> None:
        self.settings = settings

    def choose(self, organ: int, rng: np.random.Generator) -> dict:
        """Choose a size class; the order in which the configuration lists them does not matter."""
        names = sorted(self.settings.radius, key=lambda name: (self.settings.radius[name], name))
        return {"size": names[rng.choice(len(names), p=[self.settings.probability[name] for name in names])]}

    def draw(self, patch: Patch, organ: int, rng: np.random.Generator, choice: dict) -> Mask | None:
        """Draw a mask of the chosen class inside organ number ``organ``; None if the organ offers no place."""
        settings, size = self.settings, choice["size"]
        axes = settings.radius[size] * rng.uniform(1 - settings.jitter, 1 + settings.jitter, 3)
        host = organ_mask(patch.label, organ)
        depth = depth_of(host, patch.spacing)
        center = place(depth, float(axes.min()), rng)
        if center is None:
            return None
        axes = axes * min(1.0, settings.max_depth_ratio * float(depth.max()) / float(axes.max()))
        rotation = random_rotation(rng)
        displacement = rng.normal(0, settings.deformation, (3, GRID, GRID, GRID))
        inside = ellipsoid(patch.image.shape, patch.spacing, center, axes, rotation, displacement) & host
        mask = component_at(inside, center)
        if mask.sum() < MIN_VOXELS:
            return None
        facts = {"size": size, "axes_mm": [round(float(axis), 3) for axis in axes], "center": [int(c) for c in center]}
        return Mask(mask, facts)


class RealShape:
    """The mask of a real lesion of the same organ, turned and mirrored at random.

    Args:
        donors: labeled training cases.
        organs: organs of the study, in order.
    """

    def __init__(self, donors: Sequence[Case], organs: Sequence[str]) -> None:
        self.donors, self.organs = donors, organs
        self.lesions = [[(case, box) for case in donors for box in case.lesions(organ)] for organ in organs]

    def choose(self, organ: int, rng: np.random.Generator) -> dict:
        """Choose a lesion; nothing if no donor has one of this organ."""
        lesions = self.lesions[organ]
        if not lesions:
            return {}
        number = int(rng.integers(len(lesions)))
        return {"donor": lesions[number][0].case_id, "lesion": number}

    def draw(self, patch: Patch, organ: int, rng: np.random.Generator, choice: dict) -> Mask | None:
        """Place the chosen lesion inside organ number ``organ``; None if the organ offers no place or there is no lesion."""
        if not choice:
            return None
        case, box = self.lesions[organ][choice["lesion"]]
        host = organ_mask(patch.label, organ)
        image, lesion = self._read(case, box, organ, patch.image.shape, rng)
        radius = float((lesion.sum() * np.prod(patch.spacing) * 3 / (4 * np.pi)) ** (1 / 3))
        center = place(depth_of(host, patch.spacing), radius, rng)
        if center is None:
            return None
        shift = [int(c) - length // 2 for c, length in zip(center, lesion.shape, strict=True)]
        mask = component_at(shifted(lesion, shift, False) & host, None)
        if mask.sum() < MIN_VOXELS:
            return None
        facts = {**choice, "radius_mm": round(radius, 3), "center": [int(c) for c in center]}
        return Mask(mask, facts, Donor(shifted(image, shift, AIR), case.case_id))

    @staticmethod
    def _read(
        case: Case, box: np.ndarray, organ: int, size: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The donor's patch with the lesion in the middle, mirrored and turned in plane; image and mask."""
        low, high = box[::2], box[1::2]
        corner = tuple(int((a + b) // 2 - length // 2) for a, b, length in zip(low, high, size, strict=True))
        donor = case.patch(corner, size)
        inside = np.zeros(size, bool)
        inside[tuple(slice(max(int(a - c), 0), max(int(b - c), 0)) for a, b, c in zip(low, high, corner, strict=True))] = True
        lesion = inside & (donor.label == 2 * organ + 2)
        flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
        turns = int(rng.integers(4)) if size[1] == size[2] else 0
        return tuple(np.rot90(np.flip(array, flips), turns, (1, 2)) for array in (donor.image, lesion))


def depth_of(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance in mm from each voxel of ``mask`` to the nearest voxel outside it; the patch border does not count."""
    return (
        edt.edt(np.ascontiguousarray(mask), anisotropy=tuple(spacing), black_border=False, parallel=1)
        if mask.any()
        else np.zeros(mask.shape, np.float32)
    )


def place(depth: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray | None:
    """A voxel uniform over the admissible part of the organ: at least half a radius deep, or as deep as the organ allows.

    Only the middle half of the patch is admissible if the organ reaches it, so that few lesions are cut by the patch's border.
    """
    middle = np.zeros_like(depth)
    inner = tuple(slice(length // 4, length - length // 4) for length in depth.shape)
    middle[inner] = depth[inner]
    depth = middle if middle.any() else depth
    deepest = float(depth.max())
    if deepest <= 0:
        return None
    # An organ that fills the patch has no border in it and infinite depth everywhere.
    voxels = np.argwhere(depth >= min(0.5 * radius, 0.7 * deepest))
    return voxels[rng.integers(len(voxels))]


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix, uniform (QR of a Gaussian matrix, signs fixed); half of them mirror, which an ellipsoid ignores."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def ellipsoid(
    shape: Sequence[int],
    spacing: Sequence[float],
    center: np.ndarray,
    axes: np.ndarray,
    rotation: np.ndarray,
    displacement: np.ndarray,
) -> np.ndarray:
    """Voxels p with ``|diag(1/axes) R (p - c) + u(p)| <= 1``, where u interpolates ``displacement`` smoothly.

    Args:
        shape: voxels per axis.
        spacing: mm per axis.
        center: voxel index of the center.
        axes: semi-axes in mm.
        rotation: 3 x 3 matrix.
        displacement: control values (3, g, g, g) in units of the semi-axes, on a grid over twice the bounding cube.

    Returns:
        Boolean array of ``shape``.
    """
    reach = 1.5 * float(axes.max())
    low = [max(int(np.floor(c - reach / s)), 0) for c, s in zip(center, spacing, strict=True)]
    high = [min(int(np.ceil(c + reach / s)) + 1, n) for c, s, n in zip(center, spacing, shape, strict=True)]
    steps = [(np.arange(a, b) - c) * s for a, b, c, s in zip(low, high, center, spacing, strict=True)]
    weights = [_hat_weights(step / reach, displacement.shape[1]) for step in steps]
    warp = np.einsum("dabc,za,yb,xc->dzyx", displacement, *weights, optimize=True)
    points = np.stack(np.meshgrid(*steps, indexing="ij"))
    local = np.einsum("ij,jzyx->izyx", rotation / axes[:, None], points) + warp
    result = np.zeros(shape, bool)
    result[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = (local**2).sum(axis=0) <= 1
    return result


def _hat_weights(position: np.ndarray, points: int) -> np.ndarray:
    """Smooth interpolation weights (n, points) of positions in [-1, 1]: Gaussian bumps at control points, summing to one."""
    controls = np.linspace(-1, 1, points)
    weights = np.exp(-0.5 * ((position[:, None] - controls) * (points - 1) / 1.4) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def component_at(mask: np.ndarray, center: np.ndarray | None) -> np.ndarray:
    """The 26-connected component of ``mask`` at ``center``, or the largest one."""
    labels = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=26)
    label = int(labels[tuple(center)]) if center is not None else 0
    if label == 0:
        counts = np.bincount(labels.ravel())[1:]
        if not len(counts):
            return np.zeros(mask.shape, bool)
        label = int(counts.argmax()) + 1
    return labels == label


def shifted(array: np.ndarray, shift: Sequence[int], fill: float) -> np.ndarray:
    """``array`` moved by whole voxels, ``fill`` where nothing arrives."""
    result = np.full_like(array, fill)
    source = tuple(slice(max(-s, 0), max(n - max(s, 0), 0)) for s, n in zip(shift, array.shape, strict=True))
    target = tuple(slice(max(s, 0), max(n - max(-s, 0), 0)) for s, n in zip(shift, array.shape, strict=True))
    result[target] = array[source]
    return result
