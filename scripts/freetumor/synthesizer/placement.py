"""Where a lesion goes: one look into a case's table of sites, no retry, no volume read.

The table (preprocessing.sites) holds sampled voxels of each organ and how deep they lie. Any choice below is uniform over those
of them that are admissible, and an organ without any is a counted outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freetumor.core.config import Placement

from .cases import Case
from .synthetic import Index, Plan

SHALLOW = 0.7  # of the organ's greatest depth: deep enough for any lesion, so that large ones find a place too


@dataclass(frozen=True)
class Box:
    """A box of voxels of the stored volume."""

    low: Index
    high: Index  # exclusive


def deepest(case: Case, organ: int) -> float:
    """Greatest depth of a site of an organ in mm; 0 if the case does not have it."""
    depth = case.places(organ).depth
    return float(depth.max()) if len(depth) else 0.0


def plan_site(
    case: Case,
    organ: int,
    radius: float,
    reach: float,
    rng: np.random.Generator,
    settings: Placement,
    taken: Sequence[Plan] = (),
    within: Box | None = None,
) -> Index | None:
    """Choose the center of a lesion, uniform over the admissible sites of an organ.

    A site is admissible if it lies at least half a radius deep, or 0.7 times as deep as the organ is; as far from border and
    vessels as ``settings`` ask; and if a lesion there cannot touch one that is taken.

    Args:
        case: the volume.
        organ: position of the organ in the study's list.
        radius: of the lesion, in mm.
        reach: no part of the lesion lies farther from its center along an axis, in mm.
        rng: source of randomness.
        settings: margins.
        taken: other lesions of the same volume.
        within: consider only sites in this box.

    Returns:
        A voxel of the stored volume; None if no site is admissible.
    """
    places = case.places(organ)
    if not len(places.depth):
        return None
    least = min(0.5 * radius, SHALLOW * float(places.depth.max()))
    good = places.depth >= max(least, settings.margin)
    if settings.vessel_margin > 0:
        good &= places.vessel >= settings.vessel_margin
    for other in taken:
        apart = np.abs(places.voxels - np.array(other.center)) * np.array(case.spacing)
        good &= (apart > reach + other.reach + max(case.spacing)).any(axis=1)
    if within is not None:
        good &= ((places.voxels >= within.low) & (places.voxels < within.high)).all(axis=1)
    chosen = np.flatnonzero(good)
    if not len(chosen):
        return None
    return tuple(int(index) for index in places.voxels[chosen[rng.integers(len(chosen))]])
