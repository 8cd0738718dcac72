"""Regions of interest: one lesion in the middle of a square of a slice, and its classic augmentation.

Preprocessing stores more of the surroundings than a region shows, so that turning, shifting and scaling find real tissue.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.ndimage import affine_transform, spline_filter

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.seeding import derive_seed, generator

from .cases import Case

ROTATIONS, FLIPS, SHIFTS, SCALES = 30, 3, 7, 5  # of a lesion; every rotated region is flipped, shifted and scaled
VARIANTS = 1 + FLIPS + SHIFTS + SCALES
POOL = ROTATIONS * VARIANTS  # 480 samples of a lesion
MARGIN = (0.1, 0.4)  # tissue around the lesion after scaling, in diameters
MOST_SHIFT = 4  # pixels of the original image
SHIFT = 0.1  # diameters
EDGE = 12  # pixels: beyond them the edge of an array no longer changes the coefficients of its inner pixels
MIRRORS = ((-1, 1), (1, -1), (-1, -1))  # up-down, left-right, both


@dataclass(frozen=True)
class Region:
    """A lesion in its surroundings.

    Attributes:
        case_id: its case.
        patient_id: its patient.
        category: position in the categories of the study.
        array: float32 HU (s, s), the lesion in the middle.
        diameter: of the lesion, in pixels of ``array``.
        native_pixel: side of a pixel of the original image, in pixels of ``array``.
        seed: seed key of the draws.
    """

    case_id: str
    patient_id: str
    category: int
    array: np.ndarray
    diameter: float
    native_pixel: float
    seed: int

    @cached_property
    def spline(self) -> np.ndarray:
        """Coefficients of the bicubic interpolation, with replicated edges around."""
        return spline_filter(np.pad(self.array, EDGE, mode="edge"), order=3, output=np.float32, mode="mirror")

    def crop(
        self, side: float, size: int, angle: float = 0, shift: Sequence[float] = (0, 0), mirror: Sequence[int] = (1, 1)
    ) -> np.ndarray:
        """A square of ``side`` pixels around the lesion as float32 HU (size, size), turned, then shifted and mirrored.

        Args:
            side: of the square, in pixels of ``array``.
            size: pixels of the result per axis.
            angle: in degrees, clockwise on the screen.
            shift: of the square in the turned image, in pixels of ``array``.
            mirror: -1 for an axis (y, x) that is mirrored.
        """
        turn = np.deg2rad(angle)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        matrix = rotation @ np.diag(np.multiply(mirror, side / size))
        middle = (np.array(self.spline.shape) - 1) / 2 + rotation @ np.asarray(shift, float)
        offset = middle - matrix @ np.full(2, (size - 1) / 2)
        return affine_transform(self.spline, matrix, offset, (size, size), np.float32, order=3, mode="nearest", prefilter=False)


def open_regions(table: pd.DataFrame, config: Config, *parts: str) -> list[Region]:
    """The regions of the given parts of a fold table, sorted by case.

    Raises:
        UserError: if a case has a category that the study does not name.
    """
    regions = []
    for _, row in table[table["part"].isin(parts)].sort_values("case_id").iterrows():
        if row["category"] not in config.categories:
            raise UserError(f"categories: case {row['case_id']} has the category '{row['category']}', which is not among them")
        case = Case(row, config.organs, hide_tumors=False)
        array = case.image[0].astype(np.float32)
        diameter = config.working.patch[1] / config.working.fit
        pixel = float(np.mean(json.loads(row["native_spacing"])[1:])) / case.spacing[1]
        category = config.categories.index(row["category"])
        regions.append(Region(case.case_id, case.patient_id, category, array, diameter, pixel, config.seed))
    return regions


def plain(region: Region, config: Config) -> np.ndarray:
    """The region as it is, float32 HU (n, n)."""
    return region.crop(region.diameter * config.working.fit, config.working.patch[1])


def classic_sample(region: Region, number: int, config: Config) -> np.ndarray:
    """Sample ``number`` of a lesion's pool of 480: a rotation by up to 180 degrees; that mirrored, shifted or scaled.

    Reference:
        Frid-Adar et al. 2018, section 3.1: 30 rotations, each flipped (3), translated (7) by up to min(4, 0.1 d) pixels and
        scaled (5) to a margin of 0.1 d to 0.4 d around the lesion of diameter d. No shear: the shape must survive.
    """
    rotation, variant = divmod(number, VARIANTS)
    angle = generator(region.seed, "classic", region.case_id, "rotation", rotation).uniform(0, 180)
    rng = generator(region.seed, "classic", region.case_id, "variant", number)
    side, shift, mirror = region.diameter * config.working.fit, (0.0, 0.0), (1, 1)
    if variant > FLIPS + SHIFTS:
        side = region.diameter * (1 + 2 * rng.uniform(*MARGIN))
    elif variant > FLIPS:
        reach = min(MOST_SHIFT * region.native_pixel, SHIFT * region.diameter)
        shift = rng.uniform(-reach, reach, 2)
    elif variant > 0:
        mirror = MIRRORS[variant - 1]
    return region.crop(side, config.working.patch[1], angle, shift, mirror)


def classic_group(regions: Sequence[Region], size: int, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """A group of classically augmented samples, equally many of every lesion; smaller groups are parts of larger ones.

    Args:
        regions: lesions of the training part.
        size: samples in all; a remainder falls to lesions in an order of their own.
        config: the study.

    Returns:
        Images (size, n, n) float32 HU and their categories (size,).

    Raises:
        UserError: if the pool of 480 samples a lesion is too small.
    """
    if size > POOL * len(regions):
        raise UserError(f"group: {size} samples are asked for, {len(regions)} lesions give at most {POOL * len(regions)}")
    orders = [generator(region.seed, "classic", region.case_id, "order").permutation(POOL) for region in regions]
    # Cases are sorted, often by category: whose turn it is must not follow that order, or a remainder favors a category.
    turns = sorted(range(len(regions)), key=lambda lesion: derive_seed("classic", "turn", regions[lesion].case_id))
    chosen = [(turns[place % len(turns)], place // len(turns)) for place in range(size)]
    images = [classic_sample(regions[lesion], int(orders[lesion][turn]), config) for lesion, turn in chosen]
    n = config.working.patch[1]
    categories = [regions[lesion].category for lesion, _ in chosen]
    return np.array(images, np.float32).reshape(-1, n, n), np.array(categories, np.int64)
