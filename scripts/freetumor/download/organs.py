"""The solid organs of the phantom: pancreas, spleen, liver with its vessel trees, gallbladder, kidneys.

Patient coordinates in mm, order (z, y, x), as in :mod:`freetumor.download.anatomy`.
"""

import numpy as np

from freetumor.download.anatomy import Patient
from freetumor.download.canvas import Canvas, Point, Tissue, occupancy, ramp, smooth_union


def paint_pancreas(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """A lobulated gland from the duodenal loop to the hilum of the spleen."""
    points = [(-30, -2, -34), (-14, -8, -28), (-2, -16, -6), (6, -12, 14), (12, 0, 38), (22, 18, 62), (26, 24, 70)]
    radii = rng.uniform(1.12, 1.45) * np.array([13.5, 13.5, 10.0, 10.5, 10.5, 10.5, 9.0])
    box, field = canvas.tube(points, list(radii))
    if box is None:
        return
    field = field + np.float32(1.8) * canvas.fine[box]
    infiltration = np.maximum(canvas.fine[box] - np.float32(0.9), 0) * np.float32(rng.uniform(5, 22))
    hu = patient.phase.pancreas + 5 * canvas.coarse[box] - infiltration
    canvas.paint(box, occupancy(field), hu, Tissue.PANCREAS)
    duct, core = canvas.tube([(z, y, x) for z, y, x in points[1:]], [1.1] * (len(points) - 1))
    if duct:
        canvas.paint(duct, 0.5 * occupancy(core), 25.0, Tissue.PANCREAS)


def paint_spleen(canvas: Canvas, patient: Patient, cavity: np.ndarray, dome: np.ndarray) -> None:
    """A crescent under the left dome of the diaphragm."""
    scale = patient.spleen_scale
    box, field = canvas.ellipsoid((34, 34, 80), (46 * scale, 42 * scale, 27 * scale))
    if box is None:
        return
    z, y, x = canvas.at(box)
    hollow = 34 - np.sqrt((x - 42) ** 2 + (y - 8) ** 2 + (0.6 * (z - 30)) ** 2)
    field = smooth_max(field, hollow, 4.0)
    field = np.maximum(field, np.maximum(cavity[box], dome[box]) + 3)
    canvas.paint(box, occupancy(field), patient.phase.spleen + 4 * canvas.coarse[box], Tissue.SPLEEN)


def smooth_max(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """Intersection of two solids with a rounded edge of about ``blend``."""
    return -smooth_union(-first, -second, blend)


def paint_liver(canvas: Canvas, patient: Patient, cavity: np.ndarray, dome: np.ndarray, rng: np.random.Generator) -> None:
    """Right and left lobe with an oblique visceral surface, hepatic and portal veins, gallbladder."""
    box = canvas.box((-90, -110, -135), (100, 90, 90))
    if box is None:
        return
    scale = np.float32(patient.liver_scale)
    z, y, x = (coordinate / scale for coordinate in canvas.at(box))
    right = (np.sqrt(((x + 64) / 62) ** 2 + ((y + 6) / 82) ** 2 + ((z - 14) / 80) ** 2) - 1) * 60
    left = (np.sqrt(((x - 0) / 72) ** 2 + ((y + 48) / 40) ** 2 + ((z - 38) / 38) ** 2) - 1) * 38
    middle = (np.sqrt(((x + 40) / 50) ** 2 + ((y + 34) / 48) ** 2 + ((z - 34) / 44) ** 2) - 1) * 44
    field = smooth_union(smooth_union(right, middle, 14), left, 10)
    # The visceral surface: a plane that faces down, back and left, with a notch at the hilum.
    visceral = (-0.62 * (z - 6) + 0.48 * (y - 4) + 0.62 * (x + 34)) - 22
    field = smooth_max(field, visceral, 16)
    notch = 15 - np.sqrt((0.7 * (x + 24)) ** 2 + (y + 4) ** 2 + (z - 4) ** 2)
    fissure = 2.5 - np.sqrt((0.9 * (x + 8 + 0.15 * y)) ** 2 + (0.35 * np.minimum(y + 60, 0)) ** 2 + np.maximum(z - 26, 0) ** 2)
    field = smooth_max(smooth_max(field, notch, 6), fissure, 2)
    field = field + np.float32(1.6) * canvas.coarse[box] + np.float32(0.35) * canvas.fine[box]
    field = np.maximum(field, np.maximum(cavity[box], dome[box]) + np.float32(3))
    hu = patient.phase.liver + 3 * canvas.coarse[box] + 2.5 * canvas.fine[box]
    canvas.paint(box, occupancy(field), hu, Tissue.LIVER)
    _paint_hepatic_veins(canvas, patient, rng)
    _paint_portal_tree(canvas, patient, rng)
    _paint_gallbladder(canvas, rng)


def _paint_hepatic_veins(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    for tip in ((18, 22, -92), (12, -46, -56), (34, -58, 14)):
        tip = np.add(tip, rng.normal(0, 6, 3))
        root = np.array([66.0, 14.0, -20.0])
        bow = (root + tip) / 2 + (10, -4, 0)
        _paint_in_liver(canvas, [root, bow, tip], [5.0, 3.9, 2.0], patient.phase.vein)
        for share in (0.35, 0.6, 0.8):
            start = (1 - share) * bow + share * tip
            end = start + rng.normal(0, 1, 3) * (14, 18, 18)
            _paint_in_liver(canvas, [start, end], [2.5 - share, 1.3], patient.phase.vein)


def _paint_portal_tree(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    hilum = np.array([10.0, -10.0, -36.0])
    trunk = [np.array([-8.0, -4.0, -8.0]), np.array([2.0, -6.0, -24.0]), hilum]
    box, field = canvas.tube(trunk, [7.0, 6.8, 6.4])
    if box:
        canvas.paint(box, occupancy(field), patient.phase.portal, Tissue.VESSEL)
    for first, radius in ((np.array([16.0, -8.0, -62.0]), 5.2), (np.array([32.0, -42.0, -4.0]), 4.4)):
        _paint_in_liver(canvas, [hilum, first], [6.0, radius], patient.phase.portal)
        _branch(canvas, patient, first, first - hilum, radius, 4, rng)


def _branch(
    canvas: Canvas,
    patient: Patient,
    start: np.ndarray,
    heading: np.ndarray,
    radius: float,
    depth: int,
    rng: np.random.Generator,
) -> None:
    """Split in two; the radii follow Murray's law, the lengths are about nine radii."""
    for share in (0.6, 0.4):
        thin = radius * share ** (1 / 3)
        turn = rng.normal(0, 1, 3)
        direction = heading / np.linalg.norm(heading) + 0.75 * turn / np.linalg.norm(turn)
        end = start + direction / np.linalg.norm(direction) * (9 + 4.0 * thin) * rng.uniform(0.8, 1.2)
        _paint_in_liver(canvas, [start, end], [thin, 0.85 * thin], patient.phase.portal)
        if depth > 1:
            _branch(canvas, patient, end, direction, 0.85 * thin, depth - 1, rng)


def _paint_in_liver(canvas: Canvas, points: list[np.ndarray], radii: list[float], hu: float) -> None:
    box, field = canvas.tube(points, radii, far=4.0)
    if box:
        inside = canvas.tissue[box] == Tissue.LIVER
        canvas.paint(box, occupancy(field) * inside, hu, Tissue.LIVER)


def _paint_gallbladder(canvas: Canvas, rng: np.random.Generator) -> None:
    size = rng.uniform(0.75, 1.1)
    box, field = canvas.ellipsoid((-14, -44, -44), (24 * size, 15 * size, 14 * size))
    if box:
        canvas.paint(box, occupancy(field), 60.0, Tissue.GALLBLADDER)
        canvas.paint(box, occupancy(field + 1.5), rng.uniform(4, 18), Tissue.GALLBLADDER)


def paint_kidneys(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Both kidneys in their fat capsules: cortex, medullary pyramids, a sinus of fat, renal vessels."""
    for side, z in ((-1, -24.0), (1, -12.0)):
        center = np.add((z, 33.0, side * 63.0), rng.normal(0, 3, 3))
        _paint_kidney(canvas, patient, tuple(center), side, rng)


def _paint_kidney(canvas: Canvas, patient: Patient, center: Point, side: int, rng: np.random.Generator) -> None:
    scale = patient.kidney_scale
    radii = (54 * scale, 27 * scale, 26 * scale)
    # The upper pole leans inward and back.
    axis = np.array([1.0, 0.16, -0.2 * side])
    axis /= np.linalg.norm(axis)
    across = np.cross(axis, (0.0, 0.35, 1.0))
    across /= np.linalg.norm(across)
    tilt = np.array([axis, across, np.cross(axis, across)])
    box, field = canvas.ellipsoid(center, radii, tilt)
    if box is None:
        return
    capsule = np.float32(rng.uniform(2, 5))
    soft = (canvas.tissue[box] != Tissue.BONE) & (canvas.tissue[box] != Tissue.MUSCLE)
    soft &= (canvas.tissue[box] != Tissue.FAT) & (canvas.tissue[box] != Tissue.LUNG)
    canvas.paint(box, occupancy(field - capsule) * soft, -104 + 6 * canvas.fine[box], Tissue.VISCERAL_FAT)
    offset = [c - np.float32(m) for c, m in zip(canvas.at(box), center, strict=True)]
    long, _, _ = (sum(np.float32(w) * o for w, o in zip(row, offset, strict=True)) for row in tilt)
    inner = offset[2] * side + 17 * np.float32(scale)  # distance from the hilum's axis, laterally positive
    sinus = 13 * np.float32(scale) - np.sqrt(inner**2 + (0.9 * (offset[1] + 5)) ** 2 + (0.5 * long) ** 2)
    parenchyma = smooth_max(field + np.float32(0.5) * canvas.fine[box], sinus, 4)
    depth = np.minimum(-field, -sinus * np.float32(0.6))
    columns = np.cos(long * np.float32(2 * np.pi / 15) + 2 * canvas.coarse[box])
    medulla = ramp(-field - np.float32(6.5) - 2 * columns, 2.5) * ramp(depth + 6, 20)
    phase = patient.phase
    hu = phase.cortex + medulla * np.float32(phase.medulla - phase.cortex) + 4 * canvas.fine[box]
    hilum = (center[0], center[1] - 5, center[2] - side * 22)
    for hilar, radius, root in (
        (phase.artery, 2.8, (center[0] + 6, 24.0, 11.0)),
        (phase.vein, 5.0, (center[0] + 2, 17.0, 4.0 if side > 0 else -18.0)),
    ):
        vessel, tube = canvas.tube([root, hilum, tuple(np.add(hilum, (4, 0, side * 12)))], [radius, radius, radius / 2])
        if vessel:
            canvas.paint(vessel, occupancy(tube), hilar, Tissue.VESSEL)
    pelvis, tube = canvas.tube([tuple(np.add(hilum, (-10, 4, side * 6))), tuple(np.add(hilum, (8, 0, side * 10)))], [5, 4])
    if pelvis:
        canvas.paint(pelvis, occupancy(tube), 14.0, Tissue.VESSEL)
    canvas.paint(box, occupancy(parenchyma) * soft, hu, Tissue.KIDNEY)
