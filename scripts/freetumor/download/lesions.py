"""Tumors and benign cysts of the phantom.

A tumor is a union of soft balls, which has a signed distance; its HU follow that distance, as measured in liver tumors of
abdominal CT (mean HU 42, 52, 69, 76, 81 from 12 mm inside to the border, 92 in the first 2 mm outside, 103 beyond).
Neither shape nor texture is one that a synthesizer of this project draws. Axis order (z, y, x); lengths in mm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import edt
import numpy as np

from freetumor.download.anatomy import Patient
from freetumor.download.canvas import Canvas, Cosines, Tissue, occupancy, ramp
from freetumor.download.scanner import Box

ORGANS = {"liver": Tissue.LIVER, "pancreas": Tissue.PANCREAS, "kidney": Tissue.KIDNEY}
LEAST_VOXELS = 8
ATTEMPTS = 24

# Share of the core's contrast at a signed distance, from the means above; -61 HU is 1.
PROFILE_MM = np.array([-10.5, -7.5, -5.0, -3.0, -1.0, 1.0, 2.5])
PROFILE = np.array([1.0, 0.84, 0.56, 0.44, 0.36, 0.18, 0.0])
USUAL_RIM = 5.0


@dataclass(frozen=True)
class Habit:
    """How the tumors of one organ look: medians and spreads in mm and HU."""

    diameter: float
    spread: float  # standard deviation of the logarithm of the diameter
    largest: float
    contrast: float
    deviation: float
    bounds: tuple[float, float]
    dense_share: float  # share of slightly hyperdense tumors
    mottle: float  # standard deviation of the texture inside
    depth: float  # least depth of the center below the organ's surface, in radii


HABITS = {
    "liver": Habit(16.5, 0.55, 60.0, -37.0, 14.0, (-80.0, -20.0), 0.10, 15.0, 0.75),
    "pancreas": Habit(17.5, 0.38, 38.0, -34.0, 10.0, (-50.0, -15.0), 0.0, 10.0, 0.25),
    "kidney": Habit(34.0, 0.58, 56.0, -66.0, 18.0, (-100.0, -30.0), 0.0, 20.0, 0.15),
}
# The other hospital sees other phases and other patients: fainter, more often hyperdense.
CONTRAST_SCALE = {"a": 1.0, "b": 0.8}
DENSE_SCALE = {"a": 1.0, "b": 2.0}


@dataclass(frozen=True)
class Lesion:
    """What was painted, measured on the file's grid.

    Attributes:
        kind: ``tumor`` or ``cyst``.
        diameter_mm: of the ball with the volume of the labeled voxels.
        contrast_hu: mean noise-free difference from healthy tissue in the labeled voxels.
    """

    kind: str
    organ: str
    diameter_mm: float
    contrast_hu: float


@dataclass(frozen=True)
class Balls:
    """A union of soft balls."""

    centers: np.ndarray
    radii: np.ndarray
    blend: float

    def distance(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside, close to exact: a soft minimum over the balls."""
        each = np.stack(
            [
                np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) - radius
                for (cz, cy, cx), radius in zip(self.centers, self.radii, strict=True)
            ]
        )
        least = each.min(0)
        return least - self.blend * np.log(np.exp((least - each) / self.blend).sum(0))


def draw_balls(center: np.ndarray, diameter: float, rng: np.random.Generator) -> Balls:
    """Draw a lobulated shape with the volume of a ball of the given diameter."""
    count = int(rng.integers(4, 9))
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = rng.uniform(0.3, 0.85) + rng.uniform(-0.15, 0.15, (count, 1))
    centers = np.concatenate([np.zeros((1, 3)), direction * reach])
    radii = np.concatenate([[0.8], rng.uniform(0.3, 0.65, count)])
    unit = Balls(centers, radii, 0.08)
    axis = np.linspace(-2, 2, 41)
    volume = np.count_nonzero(unit.distance(*np.meshgrid(axis, axis, axis, indexing="ij")) < 0) * 0.1**3
    scale = (math.pi / 6 * diameter**3 / volume) ** (1 / 3)
    return Balls((center + scale * centers).astype(np.float32), (scale * radii).astype(np.float32), np.float32(0.08 * scale))


def profile(distance: np.ndarray, rim: float = USUAL_RIM) -> np.ndarray:
    """Share of the core's contrast at a signed distance in mm; ``rim`` stretches the measured profile."""
    return np.interp(distance * (USUAL_RIM / rim), PROFILE_MM, PROFILE).astype(np.float32)


def draw_size(organ: str, rng: np.random.Generator) -> float:
    """Draw an equivalent diameter in mm; about 55 % of a cohort's tumors lie between 7 and 20 mm."""
    habit = HABITS[organ]
    return float(np.clip(habit.diameter * math.exp(habit.spread * rng.standard_normal()), 7.5, habit.largest))


def draw_contrast(organ: str, diameter: float, domain: str, rng: np.random.Generator) -> float:
    """Draw the mean contrast to healthy tissue in HU: stronger for larger tumors; only small ones are ever hyperdense."""
    habit = HABITS[organ]
    if rng.random() < habit.dense_share * DENSE_SCALE[domain] and diameter < 25:
        return rng.uniform(12, 28)
    typical = habit.contrast - 0.2 * (diameter - habit.diameter)
    return CONTRAST_SCALE[domain] * float(np.clip(rng.normal(typical, habit.deviation), *habit.bounds))


def draw_organs(index: int, rng: np.random.Generator, choice: Sequence[str] = tuple(ORGANS)) -> list[str]:
    """Organs of the one to four tumors of a diseased case, out of ``choice``; the main organ goes round by the case's index."""
    round_trip = [organ for organ in ("liver", "kidney", "pancreas", "liver") if organ in choice]
    main = round_trip[index % len(round_trip)]
    counts = {"liver": (0.30, 0.30, 0.22, 0.18), "pancreas": (1.0,), "kidney": (0.85, 0.15)}[main]
    organs = [main] * int(rng.choice(len(counts), p=counts) + 1)
    others = [organ for organ in ORGANS if organ != main and organ in choice]
    if others and len(organs) < 4 and rng.random() < 0.3:
        organs.append(str(rng.choice(others)))
    return organs


def host_intensity(organ: str, patient: Patient) -> float:
    """HU of the healthy tissue that a lesion of the organ is compared with (of the kidney: cortex and medulla alike)."""
    phase = patient.phase
    # Against the cortex alone, tumors of an arterial phase would be brighter than the medulla.
    kidney = (phase.cortex + phase.medulla) / 2
    return {"liver": phase.liver, "pancreas": phase.pancreas, "kidney": kidney}[organ]


class Disease:
    """Places and paints the lesions of one case, keeping them apart.

    Attributes:
        tumor: voxels inside a tumor's surface, where an expert would annotate, as organ index + 1; uint8.
        lesions: what was painted.
    """

    def __init__(self, canvas: Canvas, patient: Patient, domain: str) -> None:
        self.canvas, self.patient, self.domain = canvas, patient, domain
        self.tumor = np.zeros(canvas.grid.shape, np.uint8)
        self.lesions: list[Lesion] = []
        self._taken: list[tuple[np.ndarray, float]] = []
        self._depths: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def add_tumor(self, organ: str, rng: np.random.Generator) -> bool:
        """Paint a tumor; shrink it until it fits. Returns whether there was a place."""
        diameter = draw_size(organ, rng)
        contrast = draw_contrast(organ, diameter, self.domain, rng)
        for attempt in range(ATTEMPTS):
            center = self._place(organ, diameter / 2, HABITS[organ].depth, rng)
            balls = None if center is None else draw_balls(center, diameter, rng)
            if balls is not None and self._paint_tumor(organ, balls, diameter, contrast, rng):
                self._taken.append((center, diameter / 2))
                return True
            if attempt % 4 == 3:
                diameter = max(0.85 * diameter, 8.0)
        return False

    def add_cyst(self, organ: str, rng: np.random.Generator) -> bool:
        """Paint a simple cyst: round, sharply bounded, of water's density, never labeled."""
        radius = rng.uniform(4, 11)
        center = self._place(organ, radius, 0.5, rng)
        if center is None:
            return False
        box = self._world_box(center, radius + 4)
        if box is None:
            return False
        stretch = rng.uniform(0.85, 1.15, 3)
        offset = [c - np.float32(m) for c, m in zip(self.canvas.grid.world(box), center, strict=True)]
        field = np.sqrt(sum((o * np.float32(s)) ** 2 for o, s in zip(offset, stretch, strict=True))) - np.float32(radius)
        share = occupancy(field) * self._allowed(organ, box)
        water = float(rng.uniform(2, 14))
        view = self.canvas.hu[box]
        view += share * (water - view)
        volume = float(share.sum()) * math.prod(self.canvas.grid.spacing)
        contrast = water - host_intensity(organ, self.patient)
        self.lesions.append(Lesion("cyst", organ, _diameter(volume), round(contrast, 3)))
        self._taken.append((center, radius))
        return True

    def _paint_tumor(self, organ: str, balls: Balls, diameter: float, contrast: float, rng: np.random.Generator) -> bool:
        box = self._world_box(balls.centers.mean(0), float(np.ptp(balls.centers) + balls.radii.max() + 8))
        if box is None:
            return False
        canvas = self.canvas
        z, y, x = canvas.grid.world(box)
        distance = balls.distance(z, y, x)
        allowed = self._allowed(organ, box)
        label = (distance < 0) & allowed
        if np.count_nonzero(label) < max(LEAST_VOXELS, 0.5 * np.count_nonzero(distance < 0)):
            return False
        in_organ = canvas.tissue[box] == ORGANS[organ]
        covered = occupancy(distance)
        # Inside the organ, vessels fade over a few millimeters; outside, a bulge ends in fat as sharply as an organ does.
        fade = np.where(in_organ, ramp(-distance - 0.5, 3.0), covered)
        change = self._change(organ, (z, y, x), distance, covered, diameter, contrast, label, rng)
        change = np.where(in_organ, change, covered * change)
        host = np.float32(host_intensity(organ, self.patient)) + 3 * canvas.coarse[box] + 2 * canvas.fine[box]
        view = canvas.hu[box]
        view += allowed * (fade * (host - view) + change)
        self.tumor[box][label] = list(ORGANS).index(organ) + 1
        volume = float(np.count_nonzero(label)) * math.prod(canvas.grid.spacing)
        self.lesions.append(Lesion("tumor", organ, _diameter(volume), round(float(change[label].mean()), 3)))
        return True

    def _change(
        self,
        organ: str,
        at: Sequence[np.ndarray],
        distance: np.ndarray,
        covered: np.ndarray,
        diameter: float,
        contrast: float,
        label: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Noise-free difference from healthy tissue: graded rim, mottled core, sometimes necrosis or a bright rim."""
        graded = profile(distance, rng.uniform(4.0, 6.0))
        # Small tumors never reach the core's contrast; their rims are steeper, within reason.
        change = graded * np.float32(contrast / max(float(graded[label].mean()), 0.38))
        mottle = HABITS[organ].mottle * rng.uniform(0.6, 1.3) * min(diameter / 18, 1.0)
        field = Cosines(rng, (5.0, 16.0))(*at)
        change = change + covered * np.float32(mottle) * (field - np.float32(field[label].mean()))
        if diameter > 20 and rng.random() < 0.4 and contrast < 0:
            dead = ramp(Cosines(rng, (18.0, 40.0))(*at) - np.float32(0.4), 0.6) * ramp(-distance - 4, 3)
            change = change - dead * np.float32(rng.uniform(8, 20))
        if rng.random() < {"a": 0.12, "b": 0.25}[self.domain]:
            change = change + np.float32(rng.uniform(15, 35)) * np.exp(-(((distance + 2) / np.float32(1.6)) ** 2))
        return change

    def _allowed(self, organ: str, box: Box) -> np.ndarray:
        """Where lesions may be: in their organ; from kidney and pancreas they may bulge into fat. Never in another lesion."""
        tissue = self.canvas.tissue[box]
        allowed = tissue == ORGANS[organ]
        if organ != "liver":
            allowed |= tissue == Tissue.VISCERAL_FAT
        return allowed & (self.tumor[box] == 0)

    def _place(self, organ: str, radius: float, depth: float, rng: np.random.Generator) -> np.ndarray | None:
        """World position for a lesion: deep enough in the organ, away from the others; ``None`` if there is none."""
        if organ not in self._depths:
            mask = self.canvas.tissue == ORGANS[organ]
            spacing = self.canvas.grid.spacing
            distance = edt.edt(np.ascontiguousarray(mask), anisotropy=spacing, black_border=True, parallel=1)
            voxels = np.argwhere(distance > 2.5)
            self._depths[organ] = (voxels, distance[tuple(voxels.T)])
        voxels, depths = self._depths[organ]
        candidates = np.flatnonzero(depths >= max(depth * radius, 2.5))
        if len(candidates) == 0:
            return None
        grid = self.canvas.grid
        center = grid.matrix @ (voxels[candidates[rng.integers(len(candidates))]] + rng.uniform(-0.5, 0.5, 3)) + grid.origin
        apart = all(np.linalg.norm(center - other) > 1.2 * (radius + reach) + 6 for other, reach in self._taken)
        return center if apart else None

    def _world_box(self, center: np.ndarray, reach: float) -> Box | None:
        grid = self.canvas.grid
        middle = np.linalg.solve(grid.matrix, center - grid.origin)
        # Along a tilted axis a ball reaches as many millimeters as along a straight one.
        half = reach / np.array(grid.spacing)
        start = np.maximum(np.floor(middle - half), 0).astype(int)
        stop = np.minimum(np.ceil(middle + half) + 1, grid.shape).astype(int)
        if np.any(stop - start < 3):
            return None
        return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))


def _diameter(volume: float) -> float:
    return round((6 * volume / math.pi) ** (1 / 3), 3)
