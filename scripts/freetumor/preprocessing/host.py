"""The body, and organs that a threshold rule finds where no mask exists.

The rules are for data without organ masks, such as soft-tissue sarcomas. They say where a tumor of that kind may lie, not
where an organ ends: ``muscle`` holds all soft tissue of its density, ``lung`` may miss dense parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import cc3d
import edt
import numpy as np
from scipy import ndimage

from freetumor.preprocessing.geometry import Box, find_box

COARSE = 4.0  # mm; the body is found on about this grid
BODY_LEVEL = -400.0  # HU
BODY_OPENING = 6.0  # mm; removes tables and clothes
SMOOTHING = 1.5  # mm, sigma of the images that thresholds are applied to
MUSCLE = (-10.0, 110.0)  # HU
BONE = 180.0  # HU
BONE_MARGIN = 2.0  # mm kept free around bone
MUSCLE_OPENING = 3.0  # mm
MUSCLE_LEAST = 5.0  # ml of a component
LUNG_LEVEL = -400.0  # HU
AIRWAY_LEVEL = -940.0  # HU
AIRWAY_LEAST = 2.0  # ml of a component
AIRWAY_MARGIN = 2.0  # mm
LUNG_CLOSING = 5.0  # mm; takes in vessels
LUNG_LEAST = 100.0  # ml of a component; bowel gas is smaller


@dataclass(frozen=True)
class Body:
    """A mask found on a coarse grid, of which only what is needed is brought to the grid of the image.

    Attributes:
        coarse: bool (z, y, x).
        strides: voxels of the image per coarse voxel, (z, y, x).
        shape: of the image.
    """

    coarse: np.ndarray
    strides: tuple[int, ...]
    shape: tuple[int, ...]

    def box(self) -> Box:
        """The smallest box that holds the body, in voxels of the image; the whole image if there is none."""
        sides = find_box(self.coarse, 0, (1, 1, 1))
        return tuple(
            (start * stride, min(stop * stride, length))
            for (start, stop), stride, length in zip(sides, self.strides, self.shape, strict=True)
        )

    def mask(self) -> np.ndarray:
        """The body on the grid of the image."""
        mask = self.coarse
        for axis, stride in enumerate(self.strides):
            mask = np.repeat(mask, stride, axis)
        return np.ascontiguousarray(mask[tuple(slice(length) for length in self.shape)])


def find_body(image: np.ndarray, spacing: Sequence[float]) -> Body:
    """The body: what is denser than -400 HU, without the table, with its cavities.

    Args:
        image: HU, (z, y, x).
        spacing: mm.

    Returns:
        A mask on a grid of about 4 mm. Components of at least a tenth of the largest are kept (two legs). If nothing is
        found, everything is body.
    """
    strides = tuple(max(1, int(COARSE // step)) for step in spacing)
    centers = [
        np.minimum(np.arange(0, length, stride) + stride // 2, length - 1)
        for length, stride in zip(image.shape, strides, strict=True)
    ]
    dense = image[np.ix_(*centers)] > BODY_LEVEL
    steps = [stride * step for stride, step in zip(strides, spacing, strict=True)]
    # The border is mirrored, so that a body that a crop cuts off is not eroded there.
    pad = [int(np.ceil(BODY_OPENING / step)) for step in steps]
    padded = np.pad(dense, [(width, width) for width in pad], mode="edge")
    inside = tuple(slice(w, w + n) for w, n in zip(pad, dense.shape, strict=True))
    opened = _widen(~_widen(~padded, BODY_OPENING / 2, steps), BODY_OPENING / 2, steps)[inside]
    body = _fill(_largest(opened if opened.any() else dense))
    return Body(body if body.any() else np.ones_like(body), strides, image.shape)


def find_muscle(image: np.ndarray, body: np.ndarray, tumor: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Soft tissue of the density of muscle, between fat and bone.

    Smoothed HU from -10 to 110 inside the body, at least 2 mm from bone (above 180 HU), opened by 3 mm, in components of
    at least 5 ml, without the tumor.
    """
    smooth = _smooth(image, spacing)
    soft = (smooth >= MUSCLE[0]) & (smooth <= MUSCLE[1]) & body
    soft &= ~_grow(smooth > BONE, BONE_MARGIN, spacing)
    soft = _opening(soft | tumor, MUSCLE_OPENING / 2, spacing)
    return _components(soft & ~tumor, MUSCLE_LEAST, spacing)


def find_lung(image: np.ndarray, body: np.ndarray, tumor: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Air-filled tissue inside the body, without the large airways.

    Smoothed HU below -400 inside the body, minus components of at least 2 ml below -940 HU (trachea and main bronchi)
    and 2 mm around them, in components of at least 100 ml, closed by 5 mm, without the tumor.
    """
    smooth = _smooth(image, spacing)
    air = (smooth < LUNG_LEVEL) & body
    airway = _grow(_components((smooth < AIRWAY_LEVEL) & body, AIRWAY_LEAST, spacing), AIRWAY_MARGIN, spacing)
    lung = _components(air & ~airway, LUNG_LEAST, spacing)
    closed = ~_grow(~_grow(lung, LUNG_CLOSING, spacing), LUNG_CLOSING, spacing)
    return (closed | lung) & body & ~tumor & ~airway


RULES: dict[str, Callable[..., np.ndarray]] = {"muscle": find_muscle, "lung": find_lung}


def _smooth(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    sigmas = [SMOOTHING / step for step in spacing]
    return ndimage.gaussian_filter(image.astype(np.float32), sigmas, truncate=3.0, mode="nearest")


def _grow(mask: np.ndarray, distance: float, spacing: Sequence[float]) -> np.ndarray:
    """All voxels up to ``distance`` mm from the mask."""
    if not mask.any():
        return mask.copy()
    away = edt.edt((~mask).astype(np.uint8), anisotropy=tuple(map(float, spacing)), black_border=False, parallel=1)
    return away <= distance


def _widen(mask: np.ndarray, distance: float, spacing: Sequence[float]) -> np.ndarray:
    """What :func:`_grow` gives, faster for the few voxels of a small distance."""
    reach = [int(distance / step + 1e-6) for step in spacing]
    result = mask.copy()
    for offset in product(*(range(-most, most + 1) for most in reach)):
        if any(offset) and np.linalg.norm(np.multiply(offset, spacing)) <= distance * (1 + 1e-6):
            here = tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, mask.shape, strict=True))
            there = tuple(slice(max(0, o), n - max(0, -o)) for o, n in zip(offset, mask.shape, strict=True))
            result[here] |= mask[there]
    return result


def _fill(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of each plane: background that no path within the plane joins to the plane's border."""
    planes = 1 + (np.arange(len(mask), dtype=np.uint8) % 2)[:, None, None]  # neighbors differ, and are never joined
    labels = cc3d.connected_components(np.where(mask, np.uint8(0), planes), connectivity=6)
    open_air = np.zeros(int(labels.max()) + 1, bool)
    for border in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        open_air[border] = True
    open_air[0] = False
    return ~open_air[labels]


def _opening(mask: np.ndarray, radius: float, spacing: Sequence[float]) -> np.ndarray:
    """Opening by a ball of ``radius`` mm; beyond the array lies more of the same."""
    return _grow(~_grow(~mask, radius, spacing), radius, spacing)


def _largest(mask: np.ndarray) -> np.ndarray:
    """Components of at least a tenth of the largest."""
    labels = cc3d.connected_components(mask, connectivity=6)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return (counts >= max(1, counts.max() / 10))[labels]


def _components(mask: np.ndarray, least_ml: float, spacing: Sequence[float]) -> np.ndarray:
    """Components of at least ``least_ml``."""
    labels = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=6)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return (counts * float(np.prod(spacing)) / 1000 >= least_ml)[labels]
