"""The frame of the phantom: body wall, bones, lungs, gut and vessels, painted from the outside inward.

Patient coordinates in mm, order (z, y, x): z toward the head, y toward the back, x toward the left; the origin lies in front
of the first lumbar vertebra. The abdominal cavity has the same size in all patients; pose, warp and fat make them differ.
"""

import math
from dataclasses import dataclass

import numpy as np

from freetumor.download.canvas import Canvas, Point, Tissue, occupancy, ramp

CAVITY = (86.0, 120.0)  # semi-axes (y, x) of the abdominal cavity in mm
CAVITY_CENTER_Y = -9.0
BACK = 13.0  # mm by which the body is deeper behind than in front


@dataclass(frozen=True)
class Phase:
    """Mean HU of enhancing tissue in one contrast phase."""

    liver: float
    spleen: float
    pancreas: float
    cortex: float
    medulla: float
    artery: float
    vein: float
    portal: float


PHASES = {
    "a": Phase(liver=103, spleen=118, pancreas=92, cortex=182, medulla=150, artery=148, vein=142, portal=158),
    "b": Phase(liver=84, spleen=124, pancreas=104, cortex=205, medulla=118, artery=245, vein=104, portal=128),
}


@dataclass(frozen=True)
class Patient:
    """What differs between patients besides the warp."""

    phase: Phase
    fat: float  # mm of subcutaneous fat at the flank
    wall: float  # mm of muscle wall
    bone: float  # HU of cancellous bone
    contrast_meal: float  # HU of the fluid in bowel loops
    kidney_scale: float
    liver_scale: float
    spleen_scale: float


def draw_patient(domain: str, rng: np.random.Generator) -> Patient:
    """Draw a patient; the mean of each enhancement follows the domain's contrast phase."""
    level = PHASES[domain]
    timing = rng.normal(1, 0.05)
    steatosis = 28.0 * rng.random() if rng.random() < 0.1 else 0.0
    enhanced = {name: value * timing * rng.normal(1, 0.04) for name, value in vars(level).items()}
    enhanced["liver"] = float(np.clip(enhanced["liver"] - steatosis, 55, 130))
    return Patient(
        phase=Phase(**enhanced),
        fat=rng.uniform(7, 24),
        wall=rng.uniform(9, 13),
        bone=rng.uniform(130, 230),
        contrast_meal=rng.choice([25.0, 25.0, 210.0]),
        kidney_scale=rng.uniform(0.9, 1.08),
        liver_scale=rng.uniform(0.97, 1.09),
        spleen_scale=rng.uniform(0.85, 1.15),
    )


def cavity_field(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Fields of the cavity and of the same cylinder with a fuller back, where the spine and its muscles lie.

    Both are rounded cylinders (squircles in section); the unit is a millimeter in front and 1.4 mm at the flanks, so that
    layers at constant values are thicker there, as fat is.
    """
    depth, width = CAVITY
    u = (canvas.x * np.float32(1 / width)) ** 2
    y = canvas.y - np.float32(CAVITY_CENTER_Y)
    v = (y * np.float32(1 / depth)) ** 2
    cavity = (np.sqrt(u + v - np.float32(0.35) * u * v) - 1) * np.float32(depth)
    v = np.where(y > 0, v * np.float32((depth / (depth + BACK)) ** 2), v)
    return cavity, (np.sqrt(u + v - np.float32(0.35) * u * v) - 1) * np.float32(depth)


def paint_body(canvas: Canvas, patient: Patient) -> np.ndarray:
    """Skin, subcutaneous fat, muscle wall and a cavity full of fat; returns the field of the cavity."""
    whole = tuple(slice(0, n) for n in canvas.grid.shape)
    cavity, outer = cavity_field(canvas)
    wall, fat = np.float32(0.72 * patient.wall), np.float32(0.72 * patient.fat)
    layers = (
        (outer - wall - fat - 2, 8 + 10 * canvas.fine, Tissue.SKIN),
        (outer - wall - fat, -106 + 5 * canvas.fine, Tissue.FAT),
        (cavity - wall, 56 + 9 * canvas.fine + 6 * canvas.coarse, Tissue.MUSCLE),
    )
    for field, hu, tissue in layers:
        canvas.paint(whole, occupancy(field), hu, tissue)
    # Fat between the muscle sheets of the flank.
    sheet = np.abs(cavity - np.float32(0.55) * wall) - np.float32(0.5)
    lateral = ramp(np.abs(canvas.x) - 85, 30) * ramp(-canvas.z + 10, 20)
    canvas.paint(whole, np.float32(0.6) * occupancy(sheet) * lateral, -100.0, Tissue.MUSCLE)
    canvas.paint(whole, occupancy(cavity), -102 + 7 * canvas.fine + 4 * canvas.coarse, Tissue.VISCERAL_FAT)
    return cavity


def paint_muscles(canvas: Canvas, rng: np.random.Generator) -> None:
    """Psoas, quadratus lumborum and the erector spinae."""
    for side in (-1, 1):
        thick = rng.uniform(0.9, 1.1)
        chains = (
            ([(20, 46, 24), (-30, 48, 34), (-110, 40, 46)], (6, 15, 23)),
            ([(110, 82, 30), (-110, 81, 32)], (17, 21)),
            ([(10, 64, 62), (-110, 66, 66)], (9, 13)),
        )
        for points, radii in chains:
            chain = [(z, y, side * x) for z, y, x in points]
            box, field = canvas.tube(chain, [thick * radius for radius in radii])
            if box:
                hu = 56 + 12 * canvas.fine[box] + 6 * canvas.coarse[box]
                canvas.paint(box, occupancy(field), hu, Tissue.MUSCLE)


def paint_bones(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Lumbar spine with disks, canal and processes, and the lower ribs; a dense cortex around cancellous bone."""
    box = canvas.box((-110, 28, -48), (110, 108, 48))
    if box:
        _paint_spine(canvas, patient, rng, box)
    phase = rng.uniform(0, 26)
    ends = (55, 90, 135, 150, 155, 158)
    for number, end in enumerate(ends):
        top = phase - 2 + 26 * number
        for side in (-1, 1):
            angles = np.radians(np.linspace(17, end + rng.uniform(-6, 6), 9))
            points = [_rib_point(angle, top, side) for angle in angles]
            rib, field = canvas.tube(points, [5.2] * len(points))
            if rib:
                canvas.paint(rib, occupancy(field), 520.0, Tissue.BONE)
                canvas.paint(rib, occupancy(field + 2.0), patient.bone + 30 * canvas.fine[rib], Tissue.BONE)


def _rib_point(angle: float, top: float, side: int) -> Point:
    y = CAVITY_CENTER_Y + (CAVITY[0] + 5) * math.cos(angle)
    x = side * (CAVITY[1] + 5) * math.sin(angle)
    # The squircle of `shell` is wider than an ellipse on its diagonals.
    stretch = 1 + 0.045 * math.sin(2 * angle) ** 2
    drop = 62 * angle / math.pi
    return (top - drop, CAVITY_CENTER_Y + (y - CAVITY_CENTER_Y) * stretch, x * stretch)


def _paint_spine(canvas: Canvas, patient: Patient, rng: np.random.Generator, box: tuple) -> None:
    z, y, x = canvas.at(box)
    period, offset = 33.0, rng.uniform(0, 33)
    level = np.abs((z + np.float32(offset)) % np.float32(period) - np.float32(period / 2))  # 0 in mid-vertebra
    waist = 1 - np.float32(0.08) * ramp(7 - level, 8)
    column = (np.sqrt((x / (22 * waist)) ** 2 + ((y - 50) / (17 * waist)) ** 2) - 1) * 17
    canvas.paint(box, occupancy(column), 78 + 10 * canvas.fine[box], Tissue.BONE)
    body = np.maximum(column, level - 12.5)
    spongy = patient.bone + 28 * canvas.fine[box] + 10 * canvas.coarse[box]
    canvas.paint(box, occupancy(body), 430.0, Tissue.BONE)
    canvas.paint(box, occupancy(body + np.float32(2.2)), spongy, Tissue.BONE)
    arch = np.maximum(np.sqrt(x**2 + (y - 76) ** 2) - 15, level - 14)
    spine = np.maximum(np.maximum(np.abs(x) - 3.5, np.abs(y - 91) - 10), level - 9)
    transverse = np.maximum(np.maximum(np.abs(y - 74) - 4, np.abs(x) - 40), level - 5)
    for part in (arch, spine, transverse):
        canvas.paint(box, occupancy(part), 420.0, Tissue.BONE)
        canvas.paint(box, occupancy(part + np.float32(2.5)), spongy + 60, Tissue.BONE)
    canvas.paint(box, occupancy(np.sqrt(x**2 + ((y - 76) * np.float32(1.15)) ** 2) - 9.5), 32.0, Tissue.MUSCLE)


def diaphragm(canvas: Canvas) -> np.ndarray:
    """Height in mm above the diaphragm: positive in the chest. Two domes, the right one higher."""
    x, y = canvas.x, canvas.y
    depth = np.float32(46) * ((y + 6) / 84) ** 2
    right = 84 - 32 * ((x + 56) / 60) ** 2 - depth
    left = 76 - 32 * ((x - 58) / 60) ** 2 - depth
    return canvas.z - np.maximum(right, left)


def paint_chest(canvas: Canvas, patient: Patient, cavity: np.ndarray, dome: np.ndarray, rng: np.random.Generator) -> None:
    """Lung bases, the diaphragm's muscle, mediastinal fat, the apex of the heart."""
    box = canvas.box((10, -100, -130), (110, 90, 130))
    if box is None:
        return
    z, y, x = canvas.at(box)
    above, within = dome[box], cavity[box] + 1.5
    chest = np.maximum(within, -above)
    canvas.paint(box, occupancy(np.maximum(within, np.abs(above + 1.5) - 1.5)), 50.0, Tissue.MUSCLE)
    markings = np.maximum(canvas.fine[box] - np.float32(1.1), 0)
    gravity = 0.45 * (y - 10)  # the dependent lung is denser
    canvas.paint(box, occupancy(chest), -845 + gravity + 260 * markings + 20 * canvas.coarse[box], Tissue.LUNG)
    middle = np.maximum(np.sqrt((x / 26) ** 2 + ((y - 14) / 48) ** 2) * 26 - 26, chest)
    canvas.paint(box, occupancy(middle), -95 + 8 * canvas.fine[box], Tissue.FAT)
    heart = (np.sqrt(((x - 22) / 58) ** 2 + ((y + 38) / 44) ** 2 + ((z - 104) / 38) ** 2) - 1) * 38
    heart = np.maximum(heart, chest)
    canvas.paint(box, occupancy(np.maximum(heart - 4, chest)), -90.0, Tissue.FAT)
    canvas.paint(box, occupancy(heart), 100 + 5 * canvas.fine[box], Tissue.MUSCLE)
    canvas.paint(box, occupancy(heart + 11), patient.phase.vein + 6 * canvas.coarse[box], Tissue.VESSEL)


def paint_gut(canvas: Canvas, patient: Patient, cavity: np.ndarray, dome: np.ndarray, rng: np.random.Generator) -> None:
    """Small bowel, colon with feces, stomach with a gas level."""
    for _ in range(22):
        points = [rng.uniform((-105, -72, -78), (-28, -6, 84))]
        for _ in range(4):
            step = rng.normal(0, 1, 3) * (0.6, 1, 1)
            points.append(np.clip(points[-1] + 26 * step / np.linalg.norm(step), (-115, -74, -82), (-26, -2, 88)))
        radii = rng.uniform(9, 13) * rng.uniform(0.85, 1.15, 5)
        fluid = rng.choice([20.0, 30.0, patient.contrast_meal, -60.0])
        _paint_hollow(canvas, cavity, points, radii, 2.2, fluid, gas=rng.choice([1.0, -0.2, 0.2]))
    fat = rng.uniform(0.9, 1.1)
    colon = (
        ([(-115, 18, -92), (-75, 16, -94), (-44, 2, -86)], (24, 22, 18)),
        ([(-44, -20, -84), (-52, -62, -50), (-62, -72, 0), (-40, -64, 52), (10, -20, 92)], (17, 16, 16, 16, 15)),
        ([(10, 8, 98), (-40, 26, 98), (-115, 30, 94)], (14, 13, 14)),
    )
    for points, radii in colon:
        wiggled = [np.add(point, rng.normal(0, 4, 3)) for point in points]
        _paint_hollow(canvas, cavity, wiggled, np.multiply(radii, fat), 2.0, np.nan, gas=rng.uniform(-0.2, 0.6))
    stomach = [(58, 14, 60), (44, -16, 68), (14, -44, 62), (-14, -56, 34), (-20, -50, 4), (-12, -38, -18)]
    size = rng.uniform(0.8, 1.0) * np.array([30, 31, 27, 22, 16, 9])
    _paint_hollow(canvas, np.maximum(cavity, dome), stomach, size, 4.0, rng.uniform(5, 40), gas=rng.uniform(0.1, 0.6))


def _paint_hollow(
    canvas: Canvas,
    limit: np.ndarray,
    points: list,
    radii: np.ndarray,
    wall: float,
    fluid: float,
    gas: float,
) -> None:
    """A hollow organ: wall, contents, and gas above a level surface. ``fluid`` that is NaN stands for feces."""
    box, field = canvas.tube([tuple(float(c) for c in point) for point in points], [float(r) for r in radii])
    if box is None:
        return
    field = np.maximum(field + np.float32(1.5) * canvas.fine[box], limit[box] + 2)
    canvas.paint(box, occupancy(field), 72 + 8 * canvas.fine[box], Tissue.GUT)
    lumen = occupancy(field + np.float32(wall))
    if np.isnan(fluid):
        bubbles = np.maximum(canvas.fine[box] - np.float32(0.5), 0)
        hu = 28 + 25 * canvas.coarse[box] - np.minimum(330 * bubbles, 620)
    else:
        hu = np.float32(fluid) + 4 * canvas.fine[box]
    canvas.paint(box, lumen, hu, Tissue.GUT)
    # The patient lies on the back: gas gathers in front, down to one level over the whole loop.
    front = min(float(p[1]) - float(r) for p, r in zip(points, radii, strict=True))
    back = max(float(p[1]) + float(r) for p, r in zip(points, radii, strict=True))
    level = front + gas * 0.6 * (back - front)
    canvas.paint(box, lumen * ramp(level - canvas.y[box], 2.0), -950.0, Tissue.GUT)


def paint_vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Aorta, mesenteric and splenic vessels, and small vessels in the mesenteric fat."""
    phase = patient.phase
    named = (
        ([(-2, 16, 8), (-8, -4, 5), (-50, -22, 4), (-115, -26, 10)], (4.0, 3.8, 3.4, 2.8), phase.artery),
        ([(-10, -6, -6), (-50, -24, -10), (-115, -28, -14)], (6.0, 5.4, 4.6), phase.portal),
        ([(-8, -4, -6), (8, 4, 14), (18, 14, 42), (34, 34, 72)], (5.5, 4.4, 4.2, 3.8), phase.portal),
        ([(8, 18, 8), (14, 2, 10), (20, 10, 40), (34, 30, 70)], (4.0, 3.0, 2.8, 2.4), phase.artery),
    )
    for points, radii, hu in named:
        box, field = canvas.tube(points, radii)
        if box:
            canvas.paint(box, occupancy(field), hu, Tissue.VESSEL)
    for _ in range(12):
        start = np.array([rng.uniform(-100, -20), rng.uniform(-40, -10), rng.uniform(-30, 40)])
        end = start + rng.normal(0, 1, 3) * (22, 20, 30)
        middle = (start + end) / 2 + rng.normal(0, 5, 3)
        box, field = canvas.tube([start, middle, end], (2.2, 1.7, 1.2))
        if box:
            share = occupancy(field) * (canvas.tissue[box] == Tissue.VISCERAL_FAT)
            canvas.paint(box, share, phase.portal, Tissue.VESSEL)


def paint_great_vessels(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Aorta (with calcified plaques in some) and inferior vena cava, which passes behind the liver."""
    phase = patient.phase
    aorta = [(110, 26, 14), (30, 24, 12), (-110, 22, 6)]
    cava = [(100, 14, -18), (50, 22, -22), (-20, 24, -20), (-110, 22, -18)]
    for points, radii, hu in ((aorta, (12, 10.5, 8.5), phase.artery), (cava, (11, 12, 11, 10), phase.vein)):
        box, field = canvas.tube(points, radii)
        if box:
            canvas.paint(box, occupancy(field), hu + 3 * canvas.coarse[box], Tissue.VESSEL)
            if hu == phase.artery and rng.random() < 0.5:
                plaque = np.maximum(np.abs(field + 1.0) - 1.0, np.float32(1.5) - canvas.fine[box])
                canvas.paint(box, occupancy(plaque), 600.0, Tissue.VESSEL)
