"""The cohort of liver-lesion slices: an analytic abdominal slice per lesion, its label, and the truth about it.

A case is a pure function of the source's configuration and seed: no number of workers, order or interruption changes a
byte, and the number of lesions of one category changes none of another.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import edt
import numpy as np

from freetumor.core.config import RoiPhantomSource
from freetumor.core.seeding import generator
from freetumor.core.tables import NUMBER, RAW_CASES, TEXT, Schema, make_table, write_table
from freetumor.download.canvas import Tissue
from freetumor.download.cohort import Made, Task, file_of, make_cohort
from freetumor.download.phantom import paint_patient
from freetumor.download.roi_lesions import draw_likeness, paint_lesion
from freetumor.download.scanner import Grid, Scanner, nifti_bytes, noise

PHASE = "a"  # portal venous
CODES = {"liver": 1, "liver_tumor": 2}
SCANNERS = (  # slices of 1.25 to 5 mm; thin ones are noisier
    Scanner("thin", (1.25, 0.66, 0.66), noise=17.0, correlated=0.26),
    Scanner("usual", (2.5, 0.70, 0.70), noise=14.0, correlated=0.30),
    Scanner("thick", (4.6, 0.74, 0.74), noise=11.0, correlated=0.40, flips=(True, True, False)),
)
SURROUNDINGS = 2.7  # side of the image in lesion diameters
LEAST_SIDE = 120.0  # mm
SLAB = 3  # slices that are painted; the middle one is kept
LEVELS = (-5.0, 38.0)  # mm; heights at which the liver is broad
PLACING = 3.0  # mm; pixels of the slice in which a place for the lesion is looked for
DEPTH = 0.8  # least depth of the center below the liver's surface, in radii, where the liver is deep enough

TRUTH = Schema(
    "truth about the phantom's lesions",
    {
        "case_id": TEXT,
        "category": TEXT,
        "scanner": TEXT,
        "diameter_mm": NUMBER,  # of the disk with the area of the labeled pixels
        "contrast_hu": NUMBER,  # mean noise-free difference from healthy tissue
        "likeness": NUMBER,  # 0 like a typical metastasis, 1 like a typical hemangioma; NaN of a cyst
    },
)


@dataclass(frozen=True)
class RoiCase:
    """One planned lesion."""

    case_id: str
    patient_id: str
    category: str


@dataclass(frozen=True)
class RoiPhantom:
    """One slice in canonical orientation (z, y, x), with a first axis of length one.

    Attributes:
        image: int16 HU.
        label: uint8, see ``CODES``.
        clean: float32 HU without noise.
    """

    image: np.ndarray
    label: np.ndarray
    clean: np.ndarray
    grid: Grid
    scanner: Scanner
    contrast_hu: float
    likeness: float

    @property
    def diameter_mm(self) -> float:
        """Of the disk with the area of the labeled pixels."""
        area = np.count_nonzero(self.label == CODES["liver_tumor"]) * math.prod(self.grid.spacing[1:])
        return round(2 * math.sqrt(area / math.pi), 3)


def plan_rois(source: RoiPhantomSource) -> list[RoiCase]:
    """List the cases of a source; every lesion has a patient of its own."""
    return [
        RoiCase(f"{source.name}-{category}-{index:04d}", f"{source.name}-{category}-p{index:04d}", category)
        for category, count in source.lesions.items()
        for index in range(count)
    ]


def make_roi(source: RoiPhantomSource, case: RoiCase) -> RoiPhantom:
    """Draw the slice of a planned case."""

    def draw(part: str) -> np.random.Generator:
        return generator(source.seed, "download", "roi_phantom", case.case_id, part)

    rng = draw("lesion")
    diameter = float(np.exp(rng.uniform(*np.log(source.diameter))))
    likeness = draw_likeness(case.category, source.ambiguity, rng)
    scanner, spacing = _draw_scanner(draw("scanner"))
    center = _find_place(diameter, spacing[0], draw)
    side = max(SURROUNDINGS * diameter, LEAST_SIDE)
    shift = np.array([0.0, *rng.uniform(-0.03, 0.03, 2)]) * side  # an image need not have its lesion in the middle
    count = math.ceil(side / spacing[1])
    slab = _centered_grid((SLAB, count, count), spacing, center + shift)
    patient, canvas = paint_patient(PHASE, slab, draw)
    painted = paint_lesion(canvas, patient, center, diameter, likeness, draw("appearance"))
    middle = slice(SLAB // 2, SLAB // 2 + 1)
    label = np.where(canvas.tissue[middle] == Tissue.LIVER, CODES["liver"], 0).astype(np.uint8)
    label[painted.mask[middle]] = CODES["liver_tumor"]
    grid = _centered_grid((1, count, count), spacing, center + shift)
    # The noise is separable: a slice of it is noise of the plane alone, as between slices that are far apart.
    plane = replace(grid, spacing=(math.inf, *spacing[1:]))
    image = canvas.hu[middle] + noise(scanner, plane, draw("noise"))
    image = np.clip(np.rint(image), -1024, 3071).astype(np.int16)
    return RoiPhantom(image, label, canvas.hu[middle], grid, scanner, painted.contrast_hu, likeness)


def _draw_scanner(rng: np.random.Generator) -> tuple[Scanner, tuple[float, float, float]]:
    """A machine and the voxel size of one of its scans, mm."""
    scanner = SCANNERS[rng.integers(len(SCANNERS))]
    scale = 1 + scanner.spread * rng.random(2)
    spacing = np.round(np.multiply(scanner.spacing, (min(scale[0], 5 / scanner.spacing[0]), scale[1], scale[1])), 3)
    return scanner, tuple(float(step) for step in spacing)


def _centered_grid(shape: tuple[int, int, int], spacing: tuple[float, float, float], center: np.ndarray) -> Grid:
    """An axial grid whose middle lies at a world position."""
    matrix = np.diag(spacing)
    return Grid(shape, spacing, matrix, center - matrix @ ((np.array(shape) - 1) / 2))


def _find_place(diameter: float, thickness: float, draw: Callable[[str], np.random.Generator]) -> np.ndarray:
    """World position for a lesion: as deep in the liver as its size asks for, in a slice painted coarsely."""
    rng = draw("place")
    level = np.array([rng.uniform(*LEVELS), -10.0, -30.0])
    grid = _centered_grid((SLAB, 72, 90), (thickness, PLACING, PLACING), level)
    _, canvas = paint_patient(PHASE, grid, draw)
    liver = np.ascontiguousarray(canvas.tissue[SLAB // 2] == Tissue.LIVER)
    depth = edt.edt(liver, anisotropy=(PLACING, PLACING), black_border=True, parallel=1)
    least = min(DEPTH * diameter / 2 + 3, 0.85 * float(depth.max()))
    places = np.argwhere(depth >= least)
    y, x = places[rng.integers(len(places))]
    return grid.matrix @ np.array([SLAB // 2, y, x]) + grid.origin


def _encode(source: RoiPhantomSource, case: RoiCase) -> Made:
    """The files of a case, and what its record says."""
    made = make_roi(source, case)
    files = {kind: nifti_bytes(getattr(made, kind), made.grid, made.scanner) for kind in ("image", "label")}
    likeness = None if math.isnan(made.likeness) else made.likeness
    facts = {"diameter_mm": made.diameter_mm, "contrast_hu": made.contrast_hu, "likeness": likeness}
    return Made(files, {"scanner": made.scanner.name, **facts})


def download_roi_phantom(source: RoiPhantomSource, output: Path, workers: int) -> None:
    """Make the cohort beside ``output``; write ``output`` (the cases) and ``truth.csv`` (their lesions).

    Cases whose files are there and unchanged are kept.
    """
    cases = plan_rois(source)
    tasks = {case.case_id: Task(asdict(case), partial(_encode, source, case)) for case in cases}
    settings = [source.seed, list(source.diameter), source.ambiguity]
    records = make_cohort(f"phantom {source.name}", output.parent, settings, tasks, workers, __file__)
    names = {str(code): name for name, code in CODES.items()}
    rows = [
        {
            **asdict(case),
            "source": source.name,
            "domain": source.domain,
            "image": file_of(output.parent, "image", case.case_id).as_posix(),
            "labels": json.dumps([{"path": file_of(output.parent, "label", case.case_id).as_posix(), "map": names}]),
            "labeled": True,
            "region": "",
        }
        for case in cases
    ]
    truth = [
        {"case_id": case.case_id, "category": case.category}
        | {name: records[case.case_id][name] for name in TRUTH.columns if name not in ("case_id", "category")}
        for case in cases
    ]
    write_table(make_table(truth, TRUTH), output.parent / "truth.csv")
    write_table(make_table(rows, RAW_CASES), output)
