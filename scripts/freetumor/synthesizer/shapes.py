"""Lesion masks: a deformed ellipsoid, or the mask of a real lesion.

A shape is planned on the table of sites of a case, before any voxel is read, and drawn in a patch around the planned center.
Everything is in millimeters, so that anisotropic spacing changes nothing.
"""

from collections.abc import Sequence

import numpy as np

from freetumor.core.config import Placement, Shape, Sizes

from .cases import AIR, Case, Patch, lesion_in, organ_mask
from .components import component_at
from .ellipsoid import REACH, ellipsoid, random_rotation
from .placement import Box, deepest, plan_site
from .synthetic import Donor, Index, Mask, Plan

GRID = 4  # control points per axis of the deformation
MIN_VOXELS = 4
DONOR_MARGIN = 6  # voxels around a real lesion that are transplanted with it: the rim may be blurred beyond the mask


class EllipsoidShape:
    """A randomly rotated ellipsoid under a smooth random deformation.

    Each semi-axis is uniform around the nominal radius of a size class. A radius that the organ cannot hold is cut down to
    ``max_depth_ratio`` times the organ's greatest depth.

    Args:
        settings: size classes and deformation.
        placement: margins.
        organs: organs of the study, in order.
        rim: mm that the soft rim may add on each side.
    """

    def __init__(self, settings: Shape, placement: Placement, organs: Sequence[str], rim: float = 0.0) -> None:
        self.settings, self.placement, self.rim = settings, placement, rim
        self.sizes = settings.sizes(organs)

    def choose(self, organ: int, rng: np.random.Generator) -> dict:
        """Choose a size class of the organ."""
        return choose_size(self.sizes[organ], rng)

    def plan(
        self,
        case: Case,
        organ: int,
        choice: dict,
        rng: np.random.Generator,
        taken: Sequence[Plan] = (),
        within: Box | None = None,
    ) -> Plan | None:
        """Draw semi-axes of the chosen class and a place for them; None if the organ offers none."""
        settings, depth = self.settings, deepest(case, organ)
        axes = self.sizes[organ].radius[choice["size"]] * rng.uniform(1 - settings.jitter, 1 + settings.jitter, 3)
        axes = axes * min(1.0, settings.max_depth_ratio * depth / float(axes.max()))
        reach = REACH * float(axes.max()) + self.rim
        center = plan_site(case, organ, float(axes.min()), reach, rng, self.placement, taken, within)
        if center is None:
            return None
        return Plan(organ, center, reach, depth, {**choice, "axes_mm": [round(float(axis), 3) for axis in axes]})

    def draw(self, patch: Patch, plan: Plan, rng: np.random.Generator) -> Mask | None:
        """Draw the mask; None if less than four voxels of it lie inside the organ."""
        center = np.subtract(plan.center, patch.corner)
        axes = np.array(plan.choice["axes_mm"])
        rotation = random_rotation(rng)
        displacement = rng.normal(0, self.settings.deformation, (3, GRID, GRID, GRID))
        inside = ellipsoid(patch.image.shape, patch.spacing, center, axes, rotation, displacement)
        inside &= organ_mask(patch.label, plan.organ)
        return whole_mask(inside, center, plan)


class RealShape:
    """The mask of a real lesion of the same organ, turned and mirrored at random.

    Args:
        donors: labeled training cases.
        organs: organs of the study, in order.
        placement: margins.
        rim: mm that the soft rim may add on each side.
    """

    def __init__(self, donors: Sequence[Case], organs: Sequence[str], placement: Placement, rim: float = 0.0) -> None:
        self.donors, self.organs, self.placement, self.rim = donors, organs, placement, rim
        self.lesions = [
            [(case, *item) for case in donors for item in zip(case.lesion_voxels(organ), case.lesions(organ), strict=True)]
            for organ in organs
        ]

    def choose(self, organ: int, rng: np.random.Generator) -> dict:
        """Choose a lesion; nothing if no donor has one of this organ."""
        lesions = self.lesions[organ]
        if not lesions:
            return {}
        number = int(rng.integers(len(lesions)))
        return {"donor": lesions[number][0].case_id, "lesion": number}

    def plan(
        self,
        case: Case,
        organ: int,
        choice: dict,
        rng: np.random.Generator,
        taken: Sequence[Plan] = (),
        within: Box | None = None,
    ) -> Plan | None:
        """A place for the chosen lesion; None if the organ offers none or there is no lesion."""
        if not choice:
            return None
        donor, voxels, box = self.lesions[organ][choice["lesion"]]
        radius = ball_radius(voxels * float(np.prod(donor.spacing)))
        half = max(side * s for side, s in zip(_square(box[1::2] - box[::2]), donor.spacing, strict=True)) / 2
        reach = float(half) + max(donor.spacing) + self.rim
        center = plan_site(case, organ, radius, reach, rng, self.placement, taken, within)
        if center is None:
            return None
        return Plan(organ, center, reach, deepest(case, organ), {**choice, "radius_mm": round(radius, 3)})

    def draw(self, patch: Patch, plan: Plan, rng: np.random.Generator) -> Mask | None:
        """The chosen lesion around the planned center; None if less than four voxels of it lie inside the organ."""
        case, _, box = self.lesions[plan.organ][plan.choice["lesion"]]
        image, lesion = self._read(case, box, plan.organ, rng)
        center = np.subtract(plan.center, patch.corner)
        corner = [int(c) - length // 2 for c, length in zip(center, lesion.shape, strict=True)]
        inside = placed(lesion, corner, patch.image.shape, False) & organ_mask(patch.label, plan.organ)
        donor = Donor(placed(image, corner, patch.image.shape, AIR), case.case_id)
        return whole_mask(inside, None, plan, donor)

    @staticmethod
    def _read(case: Case, box: np.ndarray, organ: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The donor's patch with the lesion in the middle, mirrored and turned in plane; image and mask."""
        low, high = box[::2], box[1::2]
        size = tuple(int(side) + 2 * DONOR_MARGIN for side in _square(high - low))
        corner = tuple(int((a + b) // 2 - length // 2) for a, b, length in zip(low, high, size, strict=True))
        donor = case.patch(corner, size)
        lesion = lesion_in(donor, organ, box)
        flips = tuple(axis for axis in range(3) if rng.random() < 0.5)
        turns = int(rng.integers(4))
        return tuple(np.rot90(np.flip(array, flips), turns, (1, 2)) for array in (donor.image, lesion))


def choose_size(sizes: Sizes, rng: np.random.Generator) -> dict:
    """A size class by its probability; classes are ordered by radius, whatever the order of the configuration."""
    names = sorted(sizes.radius, key=lambda name: (sizes.radius[name], name))
    return {"size": names[rng.choice(len(names), p=[sizes.probability[name] for name in names])]}


def whole_mask(inside: np.ndarray, center: np.ndarray | None, plan: Plan, donor: Donor | None = None) -> Mask | None:
    """The connected part of a mask at its center (or the largest), and its record; None if it has less than four voxels."""
    mask = component_at(inside, center)
    if np.count_nonzero(mask) < MIN_VOXELS:
        return None
    return Mask(mask, {**plan.choice, "center": list(plan.center)}, donor)


def ball_radius(volume: float) -> float:
    """Radius in mm of the ball of a volume in cubic mm."""
    return float((3 * volume / (4 * np.pi)) ** (1 / 3))


def placed(array: np.ndarray, corner: Sequence[int], shape: Sequence[int], fill: float) -> np.ndarray:
    """An array of ``shape`` filled with ``fill``, into which ``array`` is pasted with its first voxel at ``corner``."""
    result = np.full(shape, fill, array.dtype)
    target = tuple(slice(max(c, 0), max(min(c + n, m), 0)) for c, n, m in zip(corner, array.shape, shape, strict=True))
    source = tuple(slice(side.start - c, max(side.stop - c, 0)) for side, c in zip(target, corner, strict=True))
    if all(side.stop > side.start for side in target):
        result[target] = array[source]
    return result


def _square(extent: Index | np.ndarray) -> tuple[int, int, int]:
    """The extent of a box with its two in-plane sides made equal, so that it can be turned."""
    z, y, x = (int(side) for side in extent)
    return z, max(y, x), max(y, x)
