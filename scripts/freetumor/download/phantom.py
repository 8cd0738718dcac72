"""The phantom cohort: an analytic abdominal CT per case, its annotation, and the truth about every lesion.

A case is a pure function of the source's configuration and seed: no number of workers, order or interruption changes a byte.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from freetumor.core.config import PhantomSource
from freetumor.core.labels import tumor_of
from freetumor.core.seeding import generator
from freetumor.core.tables import FLAG, NUMBER, RAW_CASES, TEXT, Schema, make_table, write_table
from freetumor.download.anatomy import (
    Patient,
    diaphragm,
    draw_patient,
    paint_body,
    paint_bones,
    paint_chest,
    paint_great_vessels,
    paint_gut,
    paint_muscles,
    paint_vessels,
)
from freetumor.download.canvas import Canvas
from freetumor.download.cohort import Made, Task, file_of, make_cohort
from freetumor.download.lesions import ORGANS, Disease, draw_organs
from freetumor.download.organs import paint_kidneys, paint_liver, paint_pancreas, paint_spleen
from freetumor.download.scanner import SCANNERS, Grid, Scanner, make_grid, nifti_bytes, noise

CYST_SHARE = 0.25
# Hospitals number structures as they like; the table says what each number means.
CODES = {
    "a": {"liver": 1, "liver_tumor": 2, "pancreas": 3, "pancreas_tumor": 4, "kidney": 5, "kidney_tumor": 6},
    "b": {"kidney": 10, "kidney_tumor": 20, "liver": 11, "liver_tumor": 21, "pancreas": 12, "pancreas_tumor": 22},
}

TRUTH = Schema(
    "truth about the phantom's lesions",
    {
        "case_id": TEXT,
        "kind": TEXT,  # tumor or cyst
        "organ": TEXT,
        "diameter_mm": NUMBER,  # of the ball of equal volume
        "contrast_hu": NUMBER,  # mean noise-free difference from healthy tissue
        "hidden": FLAG,  # a tumor that the label file does not show
    },
)


@dataclass(frozen=True)
class PhantomCase:
    """One planned case: its role in the cohort is fixed before anything is drawn."""

    case_id: str
    patient_id: str
    index: int
    role: str  # labeled, tumor_free or unlabeled
    diseased: bool


@dataclass(frozen=True)
class Phantom:
    """One scan, in canonical orientation (z, y, x).

    Attributes:
        image: int16 HU.
        label: uint8 codes of the domain, see ``CODES``, as an annotator would have left it.
        clean: float32 HU without noise.
        tumor: uint8, index of the organ in ``ORGANS`` plus one wherever there is a tumor, annotated or not.
        disease: painted lesions.
    """

    image: np.ndarray
    label: np.ndarray
    clean: np.ndarray
    tumor: np.ndarray
    disease: Disease
    grid: Grid
    scanner: Scanner
    patient: Patient


def plan_cases(source: PhantomSource) -> list[PhantomCase]:
    """List the cases of a source: labeled ones first, then tumor-free, then unlabeled ones."""
    roles = ["labeled"] * source.labeled + ["tumor_free"] * source.tumor_free + ["unlabeled"] * source.unlabeled
    cases, unlabeled = [], 0
    for index, role in enumerate(roles):
        diseased = role == "labeled"
        if role == "unlabeled":
            share = source.hidden_tumor_share
            diseased = int((unlabeled + 1) * share + 1e-9) > int(unlabeled * share + 1e-9)
            unlabeled += 1
        name = f"{source.name}-{index:04d}"
        cases.append(PhantomCase(name, f"{source.name}-p{index:04d}", index, role, diseased))
    return cases


def make_phantom(source: PhantomSource, case: PhantomCase, scanner: Scanner | None = None) -> Phantom:
    """Draw one scan of a planned case.

    Args:
        source: configuration of the cohort.
        case: which case.
        scanner: machine to use instead of the one that the case's seed chooses.
    """

    def draw(part: str) -> np.random.Generator:
        return generator(source.seed, "download", "phantom", case.case_id, part)

    machines = SCANNERS[source.domain]
    scanner = scanner or machines[case.index % len(machines)]
    grid = make_grid(scanner, draw("grid"))
    patient, canvas = paint_patient(source.domain, grid, draw)
    disease = Disease(canvas, patient, source.domain)
    chance = draw("lesions")
    if case.diseased:
        for organ in draw_organs(case.index, chance, source.tumor_organs):
            disease.add_tumor(organ, chance)
    benign = draw("cysts")
    if benign.random() < CYST_SHARE:
        for _ in range(int(benign.integers(1, 4))):
            disease.add_cyst(str(benign.choice(["liver", "kidney"])), benign)
    clean = canvas.hu
    radius = np.sqrt(sum(np.square(c / np.float32(s)) for c, s in zip(grid.world(_whole(grid))[1:], (90, 120), strict=True)))
    # More is absorbed on the way through the middle of the body, so more noise comes out of it.
    envelope = np.float32(1.08) - np.float32(0.14) * np.minimum(radius, 1.5)
    image = clean + envelope * noise(scanner, grid, draw("noise"))
    image = np.clip(np.rint(image), -1024, 3071).astype(np.int16)
    label = annotate(canvas, disease.tumor, source.domain, show_tumors=case.role != "unlabeled")
    return Phantom(image, label, clean, disease.tumor, disease, grid, scanner, patient)


def _whole(grid: Grid) -> tuple[slice, slice, slice]:
    return tuple(slice(0, length) for length in grid.shape)


def paint_patient(domain: str, grid: Grid, draw: Any) -> tuple[Patient, Canvas]:
    """Paint the healthy anatomy. Later organs lie over earlier ones."""
    rng = draw("patient")
    patient = draw_patient(domain, rng)
    turn, lean = np.radians(rng.normal(0, 2.5, 2))
    about_z = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    about_y = np.array([[np.cos(lean), 0, -np.sin(lean)], [0, 1, 0], [np.sin(lean), 0, np.cos(lean)]])
    size = rng.uniform(0.93, 1.05, 3) * (1.0, 0.99, 0.99)
    pose = np.diag(1 / size) @ about_z @ about_y
    canvas = Canvas(grid, pose, rng.normal(0, (5, 1.5, 2)), warp=3.2, rng=draw("warp"))
    rng = draw("anatomy")
    cavity = paint_body(canvas, patient)
    paint_muscles(canvas, rng)
    dome = diaphragm(canvas)
    paint_chest(canvas, patient, cavity, dome, rng)
    paint_bones(canvas, patient, rng)
    paint_gut(canvas, patient, cavity, dome, rng)
    paint_vessels(canvas, patient, rng)
    paint_pancreas(canvas, patient, rng)
    paint_spleen(canvas, patient, cavity, dome)
    paint_liver(canvas, patient, cavity, dome, rng)
    paint_kidneys(canvas, patient, rng)
    paint_great_vessels(canvas, patient, rng)
    return patient, canvas


def annotate(canvas: Canvas, tumor: np.ndarray, domain: str, show_tumors: bool) -> np.ndarray:
    """The label file of an expert, or of an annotator who knows organs only and takes tumors for organ."""
    codes = CODES[domain]
    label = np.zeros(canvas.grid.shape, np.uint8)
    for index, (organ, tissue) in enumerate(ORGANS.items()):
        label[canvas.tissue == tissue] = codes[organ]
        label[tumor == index + 1] = codes[tumor_of(organ) if show_tumors else organ]
    return label


def _encode(source: PhantomSource, case: PhantomCase) -> Made:
    """The files of a case, and what its record says."""
    phantom = make_phantom(source, case)
    arrays = {"image": phantom.image, "label": phantom.label}
    files = {kind: nifti_bytes(array, phantom.grid, phantom.scanner) for kind, array in arrays.items()}
    return Made(files, {"scanner": phantom.scanner.name, "lesions": [asdict(lesion) for lesion in phantom.disease.lesions]})


def download_phantom(source: PhantomSource, output: Path, workers: int) -> None:
    """Make the cohort beside ``output``; write ``output`` (the cases) and ``truth.csv`` (their lesions).

    Cases whose files are there and unchanged are kept.
    """
    cases = plan_cases(source)
    tasks = {case.case_id: Task(asdict(case), partial(_encode, source, case)) for case in cases}
    records = make_cohort(f"phantom {source.name}", output.parent, [source.domain, source.seed], tasks, workers, __file__)
    names = {str(code): name for name, code in sorted(CODES[source.domain].items(), key=lambda item: item[1])}
    rows = [
        {
            "case_id": case.case_id,
            "patient_id": case.patient_id,
            "source": source.name,
            "domain": source.domain,
            "image": file_of(output.parent, "image", case.case_id).as_posix(),
            "labels": json.dumps([{"path": file_of(output.parent, "label", case.case_id).as_posix(), "map": names}]),
            "labeled": case.role != "unlabeled",
            "category": "",
            "region": "",
        }
        for case in cases
    ]
    truth = [
        {"case_id": case.case_id, "hidden": case.role == "unlabeled" and lesion["kind"] == "tumor", **lesion}
        for case in cases
        for lesion in records[case.case_id]["lesions"]
    ]
    write_table(make_table(truth, TRUTH), output.parent / "truth.csv")
    write_table(make_table(rows, RAW_CASES), output)
