"""Lesion masks grown by a cellular automaton in the tissue of their organ."""

from collections.abc import Sequence

import numpy as np

from freetumor.core.config import Placement, Shape

from .automaton import FULL, Grown, distance_from, grow, make_terrain, plant
from .cases import Case, Patch, organ_mask
from .placement import Box, deepest, plan_site
from .shapes import MIN_VOXELS, ball_radius, choose_size
from .synthetic import Index, Mask, Plan

REACH = 1.6  # of the radius: how far a tumor may grow; what it lacks on one side it grows on another


class AutomatonShape:
    """A tumor grown to the volume of a ball, with satellites and necrosis: the Pixel2Cancer family.

    The ball's radius is uniform around the nominal radius of a size class, and cut down to ``max_depth_ratio`` times the
    organ's greatest depth.

    Args:
        settings: size classes and growth.
        placement: margins.
        organs: organs of the study, in order.
        rim: mm that the soft rim may add on each side.
    """

    def __init__(self, settings: Shape, placement: Placement, organs: Sequence[str], rim: float = 0.0) -> None:
        self.settings, self.placement, self.rim = settings, placement, rim
        self.sizes = settings.sizes(organs)
        self.limits = [settings.growth.limits.get(organ) for organ in organs]

    def choose(self, organ: int, rng: np.random.Generator) -> dict:
        """Choose a size class."""
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
        """Draw a radius of the chosen class, the number of satellites, and a place; None if the organ offers none."""
        settings, depth = self.settings, deepest(case, organ)
        radius = self.sizes[organ].radius[choice["size"]] * rng.uniform(1 - settings.jitter, 1 + settings.jitter)
        radius = min(radius, settings.max_depth_ratio * depth)
        alone = rng.random() >= settings.growth.satellite_share
        least, most = settings.growth.satellites
        satellites = int(rng.integers(least, most + 1)) * (not alone)
        reach = self._extent(radius, satellites) + max(case.spacing) + self.rim
        center = plan_site(case, organ, radius, reach, rng, self.placement, taken, within)
        if center is None:
            return None
        return Plan(organ, center, reach, depth, {**choice, "radius_mm": round(radius, 3), "satellites": satellites})

    def draw(self, patch: Patch, plan: Plan, rng: np.random.Generator) -> Mask | None:
        """Grow the tumor from the planned center; None if that is not in the organ, or less than four voxels grow."""
        center = tuple(int(c) for c in np.subtract(plan.center, patch.corner))
        extent = self._extent(plan.choice["radius_mm"], plan.choice["satellites"])
        box = _box_around(center, extent, patch.spacing, patch.image.shape)
        middle = tuple(c - side.start for c, side in zip(center, box, strict=True))
        host = organ_mask(patch.label[box], plan.organ)
        host &= distance_from(host.shape, patch.spacing, middle) <= extent**2
        if not host[middle]:
            return None
        grown = self._grow(patch.image[box], host, patch.spacing, middle, plan, rng)
        return _as_mask(grown, box, patch, plan)

    def _grow(
        self, image: np.ndarray, host: np.ndarray, spacing: Sequence[float], center: Index, plan: Plan, rng: np.random.Generator
    ) -> Grown:
        rule, radius = self.settings.growth, plan.choice["radius_mm"]
        terrain = make_terrain(image, host, spacing, self.limits[plan.organ], rule)
        satellites = plant(host, spacing, center, plan.choice["satellites"], rule.satellite_distance, rng)
        voxels = 4 / 3 * np.pi * radius**3 / float(np.prod(spacing))
        return grow(terrain, spacing, np.concatenate([[center], satellites]), voxels, rule, rng)

    def _extent(self, radius: float, satellites: int) -> float:
        """Greatest distance in mm of a tumor's voxel from its first cell; satellites need room to grow too."""
        around = self.settings.growth.satellite_distance + radius / 2 if satellites else 0.0
        return max(REACH * radius, around)


def _box_around(center: Index, extent: float, spacing: Sequence[float], shape: Sequence[int]) -> tuple[slice, ...]:
    """The part of an array within ``extent`` mm of a voxel along each axis."""
    half = [int(np.ceil(extent / s)) for s in spacing]
    return tuple(slice(max(c - h, 0), min(c + h + 1, n)) for c, h, n in zip(center, half, shape, strict=True))


def _as_mask(grown: Grown, box: tuple[slice, ...], patch: Patch, plan: Plan) -> Mask | None:
    """A grown tumor in its patch, and its record; None if it has less than four voxels."""
    tumor = grown.state > 0
    voxels = int(np.count_nonzero(tumor))
    if voxels < MIN_VOXELS:
        return None
    array, core = np.zeros((2, *patch.image.shape), bool)
    density = np.zeros(patch.image.shape, np.float32)
    array[box], core[box], density[box] = tumor, grown.core, grown.state / np.float32(FULL)
    facts = {
        "center": list(plan.center),
        "steps": grown.steps,
        "grown_mm": round(ball_radius(voxels * float(np.prod(patch.spacing))), 3),
        "necrotic_share": round(float(np.count_nonzero(grown.core)) / voxels, 4),
        "broken_walls": grown.broken,
    }
    return Mask(array, {**plan.choice, **facts}, density=density, core=core)
