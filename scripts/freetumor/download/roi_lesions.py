"""How liver lesions of three categories look in the portal phase, painted on a canvas.

A cyst has the uniform density of water and a sharp rim. A metastasis is darker than the liver, irregular, with a soft rim,
sometimes with a faint ring or bright specks. A hemangioma has bright nodules at its edge around a dark center. Between the
two latter there are all shades: the ``likeness`` of a lesion, 0 a typical metastasis, 1 a typical hemangioma.
Axis order (z, y, x); lengths in mm.

Reference:
    The appearances are those that Frid-Adar et al. 2018, section 2.1, describe; the rim of a metastasis is the one measured
    in liver tumors (see ``lesions``).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from freetumor.download.anatomy import Patient
from freetumor.download.canvas import Canvas, Cosines, Tissue, occupancy, ramp
from freetumor.download.lesions import Balls, draw_balls, profile

Field = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

WATER = (0.0, 16.0)  # HU of a cyst
CONTRAST = (-50.0, 13.0)  # mean and standard deviation of the core of the others, HU
CONTRAST_BOUNDS = (-80.0, -25.0)
RIM = (5.0, 2.0)  # mm of the graded rim of a metastasis and of a hemangioma
STEEPEST = 0.3  # greatest width of the rim in diameters
MOTTLE = 7.0  # HU
NODULES = (4, 8)  # at the edge of a hemangioma
RING_SHARE, SPECKS_SHARE = 0.4, 0.2  # of the metastases


@dataclass(frozen=True)
class Painted:
    """What was painted.

    Attributes:
        mask: voxels of the lesion, of the shape of the canvas.
        contrast_hu: mean noise-free difference from the healthy liver.
    """

    mask: np.ndarray
    contrast_hu: float


def draw_likeness(category: str, ambiguity: float, rng: np.random.Generator) -> float:
    """Draw where a lesion lies between a typical metastasis (0) and a typical hemangioma (1); NaN of a cyst.

    With ``ambiguity`` 0 all are typical; with 1 the two categories are drawn from one distribution.
    """
    if category == "cyst":
        return math.nan
    side = 1 if category == "hemangioma" else -1
    return float(np.clip(0.5 + side * 0.5 * (1 - ambiguity) + 0.4 * ambiguity * rng.standard_normal(), 0, 1))


def paint_lesion(
    canvas: Canvas, patient: Patient, center: np.ndarray, diameter: float, likeness: float, rng: np.random.Generator
) -> Painted:
    """Paint a lesion into the liver; what would lie outside is left out.

    Args:
        canvas: thin slab of slices with a liver; changed in place.
        patient: gives the HU of liver and vessels.
        center: world position in mm.
        diameter: of the disk with the area of the lesion in the middle slice, in mm.
        likeness: from :func:`draw_likeness`; NaN paints a cyst.
        rng: source of shape and texture.
    """
    whole = tuple(slice(0, length) for length in canvas.grid.shape)
    at = [c - np.float32(m) for c, m in zip(canvas.grid.world(whole), center, strict=True)]
    liver = canvas.tissue == Tissue.LIVER
    host = np.float32(patient.phase.liver) + 3 * canvas.coarse + np.float32(2.5) * canvas.fine
    if math.isnan(likeness):
        field = _sized(_round_shape(diameter, rng), at, diameter)
        change = np.float32(rng.uniform(*WATER)) - host
        fade = share = occupancy(field)
    else:
        field = _sized(draw_balls(np.zeros(3), diameter, rng).distance, at, diameter)
        change = _solid_change(at, field, diameter, likeness, patient, rng)
        fade, share = ramp(-field - 0.5, 3.0), np.float32(1)  # vessels fade over a few millimeters
    change = share * change
    canvas.hu += liver * (fade * (host - canvas.hu) + change)
    mask = (field < 0) & liver
    return Painted(mask, round(float(change[mask].mean()) if mask.any() else math.nan, 3))


def _round_shape(diameter: float, rng: np.random.Generator) -> Field:
    """A slightly uneven ellipsoid."""
    stretch = rng.uniform(0.88, 1.13, 3)
    uneven = Cosines(rng, (0.8 * diameter, 1.6 * diameter))

    def field(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        squares = sum((o * np.float32(s)) ** 2 for o, s in zip((z, y, x), stretch, strict=True))
        return np.sqrt(squares) - np.float32(diameter / 2) + np.float32(0.02 * diameter) * uneven(z, y, x)

    return field


def _sized(field: Field, at: Sequence[np.ndarray], diameter: float) -> np.ndarray:
    """Evaluate a shape, enlarged so that its area in the middle slice is that of a disk of the diameter."""
    axis = np.linspace(-1, 1, 201, dtype=np.float32) * np.float32(diameter)
    inside = field(np.float32(0), axis[:, None], axis[None]) < 0
    scale = np.float32(diameter / math.sqrt(4 / math.pi * np.count_nonzero(inside) * (0.01 * diameter) ** 2))
    return scale * field(*(coordinate / scale for coordinate in at))


def _solid_change(
    at: Sequence[np.ndarray], field: np.ndarray, diameter: float, likeness: float, patient: Patient, rng: np.random.Generator
) -> np.ndarray:
    """Noise-free difference of a metastasis or hemangioma from healthy liver, HU."""
    contrast = float(np.clip(rng.normal(*CONTRAST), *CONTRAST_BOUNDS))
    rim = min(RIM[0] + likeness * (RIM[1] - RIM[0]), STEEPEST * diameter)
    graded = profile(field, rim)
    inside = field[len(field) // 2] < 0
    # Small lesions never reach the core's contrast; their rims are steeper, within reason.
    change = graded * np.float32(contrast / max(float(graded[len(field) // 2][inside].mean()), 0.5))
    covered = occupancy(field)
    change = change + covered * np.float32(MOTTLE * min(diameter / 18, 1.0)) * Cosines(rng, (5.0, 16.0))(*at)
    bright = np.float32(patient.phase.portal - patient.phase.liver)
    edge = ramp(_nodules(at, field, diameter, rng), max(2.0, 0.05 * diameter)) * covered
    change = change + edge * np.float32(likeness) * (bright - change)
    if rng.random() < RING_SHARE:
        width = np.float32(max(1.5, 0.05 * diameter))
        ring = np.exp(-(((field + width) / width) ** 2)) * covered
        change = change + np.float32((1 - likeness) * rng.uniform(15, 40)) * ring
    if rng.random() < SPECKS_SHARE:
        change = change + np.float32((1 - likeness) * rng.uniform(60, 160)) * covered * _specks(at, diameter, rng)
    return change


def _nodules(at: Sequence[np.ndarray], field: np.ndarray, diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Positive inside nodules that hang on the inner side of the edge, of sizes and places as irregular as real ones."""
    count = int(rng.integers(*NODULES))
    angles = (np.arange(count) + rng.uniform(-0.45, 0.45, count)) * 2 * np.pi / count + rng.uniform(0, 2 * np.pi)
    heights = rng.uniform(-0.15, 0.15, count) * diameter
    reach = diameter * rng.uniform(0.36, 0.46, count)
    centers = np.stack([heights, reach * np.sin(angles), reach * np.cos(angles)], axis=1)
    radii = diameter * rng.uniform(0.06, 0.15, count)
    blobs = Balls(centers.astype(np.float32), radii.astype(np.float32), np.float32(0.03 * diameter))
    ragged = Cosines(rng, (0.12 * diameter, 0.35 * diameter))(*at) * np.float32(0.035 * diameter)
    return np.minimum(ragged - blobs.distance(*at), -field)


def _specks(at: Sequence[np.ndarray], diameter: float, rng: np.random.Generator) -> np.ndarray:
    """A few small calcifications, from 0 to 1."""
    total = np.float32(0)
    for _ in range(int(rng.integers(2, 6))):
        place = rng.normal(0, 0.15 * diameter, 3) * (0.2, 1, 1)
        squares = sum((c - np.float32(p)) ** 2 for c, p in zip(at, place, strict=True))
        total = total + np.exp(-squares / np.float32(rng.uniform(0.8, 1.8) ** 2))
    return np.minimum(total, 1)
