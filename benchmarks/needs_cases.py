"""Made-up inputs of the jobs whose memory is measured: scans, regions, tables of scores, manifests.

What matters is how many there are and how large, not what they show. Axis order is (z, y, x).
"""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from freetumor.core.seeding import generator
from freetumor.core.tables import (
    CANDIDATES,
    FOLD_CASES,
    LESIONS,
    MANIFEST,
    PREDICTIONS,
    QUARANTINE,
    RELIABILITY,
    SCORES,
    VOLUMES,
    make_table,
    write_table,
)
from freetumor.preprocessing.identity import encode_picture
from freetumor.preprocessing.landmarks import Landmarks, encode_landmarks
from freetumor.preprocessing.sites import find_sites, write_sites
from freetumor.preprocessing.store import write_array

Shape = tuple[int, int, int]
NAMES = {1: "liver", 2: "liver_tumor", 3: "kidney", 4: "kidney_tumor"}
ORGANS = ((1, (0.5, 0.5, 0.3), 0.28), (3, (0.5, 0.5, 0.8), 0.15))  # code, center and semi-axes in shares of the sides
CATEGORIES = ("cyst", "metastasis", "hemangioma")
MOST_LANDMARKS = 96
DRAWS = 40  # lesions of a case, in a manifest
OVERLAPS = ("dice", "iou", "surface_dice", "hd95", "assd", "masd", "volume_error")
VALUES = (*OVERLAPS, *(f"{name}_incl_empty" for name in OVERLAPS), "reference_ml", "predicted_ml")
COUNTS = ("false_positives", "lesion_sensitivity", "lesion_precision", "f1", "panoptic_quality", "overlap_sensitivity")
COUNTED = (*VALUES, *COUNTS, "overlap_precision")
METRICS = dict.fromkeys(("liver", "kidney"), VALUES) | dict.fromkeys(("liver_tumor", "kidney_tumor"), COUNTED)
METRICS["tumor"] = (*COUNTED, "candidates")


def make_scan(shape: Shape, number: int) -> tuple[np.ndarray, np.ndarray]:
    """HU and label of a noisy block with two organs, each with a tumor."""
    rng = generator("benchmark", "needs", number)
    image = np.rint(rng.standard_normal(shape, dtype=np.float32) * 12 + 40).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    grids = np.ogrid[tuple(slice(n) for n in shape)]
    for code, center, radius in ORGANS:
        for value, reach in ((code, radius), (code + 1, 0.4 * radius)):
            distance = sum(((grid / n - c) / reach) ** 2 for grid, n, c in zip(grids, shape, center, strict=True))
            label[distance < 1] = value
    image[label > 0] += 60
    return image, label


def write_nifti(folder: Path, shape: Shape) -> tuple[Path, Path]:
    """Write a scan in air and its label as ``.nii.gz``; 0.75 mm in the plane, 1.5 mm between slices."""
    image, label = make_scan(shape, 0)
    margin = shape[1] // 8
    image[:, :margin], image[:, -margin:] = -1000, -1000
    affine = np.diag([-0.75, -0.75, 1.5, 1.0])
    paths = folder / "image.nii.gz", folder / "label.nii.gz"
    for path, array in zip(paths, (image, label), strict=True):
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), affine), path)
    return paths


def case_row(number: int, part: str, shape: Shape, native: Shape, paths: dict[str, Path]) -> dict:
    """A row of a fold table."""
    case_id = f"case-{number:06d}"
    return {
        **dict.fromkeys(FOLD_CASES.columns, ""),
        "case_id": case_id,
        "patient_id": f"patient-{number:06d}",
        "source": "made",
        "labeled": part != "pool",
        **{key: str(path) for key, path in paths.items()},
        "names": json.dumps(NAMES),
        "shape": json.dumps(shape),
        "spacing": "[1.5, 1.5, 1.5]",
        "native_shape": json.dumps(native),
        "native_spacing": json.dumps([1.5 * a / b for a, b in zip(shape, native, strict=True)]),
        "crop": json.dumps([[0, n] for n in native]),
        "affine": json.dumps(np.eye(4).tolist()),
        "organs": "kidney,liver",
        "tumors": "" if part == "pool" else "kidney_tumor,liver_tumor",
        "tumor_ml": 1.0,
        "diameter_mm": float("nan"),
        "voxel_hash": case_id,
        "split": "pool" if part == "pool" else "development",
        "fold": 0 if part == "test" else -1,
        "part": part,
    }


def write_fold(folder: Path, parts: Sequence[str], shape: Shape, native: Shape, copies: int = 1) -> Path:
    """Write a preprocessed scan per part and their fold table, each row ``copies`` times; the table's path."""
    rows = []
    for number, part in enumerate(parts):
        image, label = make_scan(shape, number)
        outline = label if native == shape else make_scan(native, number)[1]
        paths = {key: folder / f"{number}.{key}.b2nd" for key in ("image", "label", "native")}
        for key, array in (("image", image), ("label", label), ("native", outline)):
            write_array(paths[key], array)
        paths["sites"] = folder / f"{number}.sites.npz"
        write_sites(paths["sites"], find_sites(label, NAMES, f"case-{number}", (1.5, 1.5, 1.5), image))
        rows += [case_row(number + len(parts) * copy, part, shape, native, paths) for copy in range(copies)]
    write_table(pd.DataFrame(rows), folder / "cases.parquet", FOLD_CASES)
    return folder / "cases.parquet"


def write_predictions(folder: Path, native: Shape, count: int) -> Path:
    """Write a table of predictions, each the truth of another scan; its path."""
    rows = []
    for number in range(count):
        reference, other = (make_scan(native, seed)[1] for seed in (number, number + 100))
        probability = np.where(np.roll(other, 3, axis=1) % 2, 20, 200 * (other > 0)).astype(np.uint8)
        paths = {name: folder / f"{number}.{name}.b2nd" for name in ("reference", "prediction", "probability")}
        for path, array in zip(paths.values(), (reference, np.roll(other, 2, axis=2), probability), strict=True):
            write_array(path, array)
        row = dict.fromkeys(PREDICTIONS.columns, "") | {key: str(path) for key, path in paths.items()}
        facts = {"case_id": f"case-{number}", "patient_id": f"case-{number}", "split": "development", "arm": "real"}
        facts |= {"fold": 0, "seed": 1, "labeled": True, "names": json.dumps(NAMES), "native_spacing": "[1.5, 0.8, 0.8]"}
        rows.append(row | facts)
    write_table(pd.DataFrame(rows), folder / "predictions.parquet", PREDICTIONS)
    return folder / "predictions.parquet"


def write_regions(folder: Path, parts: dict[str, int], side: int) -> Path:
    """Write regions of three categories, so many of each for every part, and their fold table; its path."""
    rows, shape = [], (1, side * 8 // 5, side * 8 // 5)
    for number, (category, part) in enumerate(
        (category, part) for category in CATEGORIES for part, count in parts.items() for _ in range(count)
    ):
        image = np.rint(generator("benchmark", "region", number).normal(100, 30, shape)).astype(np.int16)
        paths = {key: folder / f"{number}.{key}.b2nd" for key in ("image", "label", "native")}
        for key, array in (("image", image), ("label", np.ones(shape, np.uint8))):
            write_array(paths[key], array)
        paths["sites"] = folder / f"{number}.sites.npz"
        write_sites(paths["sites"], {"liver": np.argwhere(image > -999).astype(np.int32)})
        row = case_row(number, part, shape, shape, paths) | {"category": category, "diameter_mm": side / 1.5}
        rows.append(row | {"names": json.dumps({"1": "liver"}), "spacing": "[5.0, 1.0, 1.0]"})
    write_table(pd.DataFrame(rows), folder / "cases.parquet", FOLD_CASES)
    return folder / "cases.parquet"


def fingerprints(count: int) -> list[str]:
    """Texts like those of scans, which no two of share a landmark but by chance."""
    found = []
    for number in range(count):
        rng = generator("benchmark", "fingerprint", number)
        marks = Landmarks(rng.uniform(0, 300, (MOST_LANDMARKS, 3)), rng.normal(0, 60, (MOST_LANDMARKS, 16)))
        found.append(f"{encode_picture(rng.normal(size=(12, 12, 12)))} {encode_landmarks(marks)}")
    return found


def write_volumes(folder: Path, count: int) -> Path:
    """Write a table of so many volumes, a tenth of them labeled, without arrays, and an empty quarantine; its path."""
    paths = dict.fromkeys(("image", "label", "native", "sites"), Path("results/volumes/abdomen/made/store/case.b2nd"))
    rows = []
    for number, text in enumerate(fingerprints(count)):
        row = case_row(number, "pool" if number % 10 else "train", (128, 256, 256), (128, 512, 512), paths)
        digest = generator("benchmark", "hash", number).bytes(32).hex()
        rows.append({name: row.get(name, "") for name in VOLUMES.columns} | {"fingerprint": text, "voxel_hash": digest})
    write_table(pd.DataFrame(rows), folder / "volumes.parquet", VOLUMES)
    write_table(make_table([], QUARANTINE), folder / "quarantine.tsv", QUARANTINE)
    return folder / "volumes.parquet"


def write_manifests(folder: Path, count: int) -> list[Path]:
    """Write a manifest of so many lesions in two shards; their paths."""
    rng, number = generator("benchmark", "manifest", count), np.arange(count)
    cases = [f"case-{n:06d}" for n in number // DRAWS]
    drawn = {"size": "medium", "radius_mm": [12.345, 11.234, 13.456], "blur_mm": 1.534, "sigma_a": 6, "contrast": -87.123}
    frame = pd.DataFrame(
        dict.fromkeys(MANIFEST.columns, "")
        | {"lesion_id": [f"{case}.{n % DRAWS}" for case, n in zip(cases, number, strict=True)], "case_id": cases}
        | {"patient_id": cases, "synthesizer": "constant", "draw": number % DRAWS, "variant": number % DRAWS}
        | {"seed": rng.integers(0, 2**62, count), "organ": "liver", "outcome": "accepted", "attempts": 1, "score": np.nan}
        | {"scores": "{}", "diameter_mm": rng.uniform(5, 40, count), "volume_ml": rng.random(count), "contrast_hu": -50.0}
        | {"center": [json.dumps(place.tolist()) for place in np.round(rng.uniform(0, 200, (count, 3)), 2)]}
        | {"corner": "[100, 120, 90]", "parameters": [json.dumps(drawn | {"level": x}) for x in rng.random(count).round(4)]}
        | {"parent_hash": cases, "patch": [f"bank/{case}.pack" for case in cases], "offset": number, "bytes": 1900}
        | {"patch_sha256": [rng.bytes(32).hex() for _ in number]}
    )
    paths = [folder / f"shard{shard}.parquet" for shard in range(2)]
    for shard, path in enumerate(paths):
        write_table(frame.iloc[shard::2], path, MANIFEST)
    return paths


def write_scores(folder: Path, cases: int, folds: int, arms: Sequence[str], seeds: Sequence[int]) -> dict[str, list[Path]]:
    """Write the tables of scores of all trainings; the paths of each kind. As many cases are validated as are tested."""
    paths: dict[str, list[Path]] = {name: [] for name in ("scores", "lesions", "candidates", "reliability")}
    for fold, arm, seed in product(range(folds), arms, seeds):
        found: dict[str, list[pd.DataFrame]] = {name: [] for name in paths}
        for split, first in (("development", fold), ("validation", (fold + 1) % folds)):
            names = [f"case-{number:05d}" for number in range(first, cases, folds)]
            for kind, frame in _scored(names, generator("benchmark", "scores", fold, arm, seed)).items():
                found[kind].append(frame.assign(source="made", split=split, fold=fold, arm=arm, seed=seed))
        for kind, schema in (
            ("scores", SCORES),
            ("lesions", LESIONS),
            ("candidates", CANDIDATES),
            ("reliability", RELIABILITY),
        ):
            path = folder / f"fold{fold}" / arm / str(seed) / f"{kind}.parquet"
            write_table(pd.concat(found[kind], ignore_index=True), path, schema)
            paths[kind].append(path)
    return paths


def _scored(names: list[str], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Tables of some cases of one training: all metrics, four lesions, ten candidates, and two kinds of reliability."""

    def table(rows: list[dict]) -> pd.DataFrame:
        cases = np.repeat(names, len(rows))
        frame = pd.DataFrame(rows * len(names)).assign(case_id=cases, patient_id=cases)
        for column in {"value", "iou", "confidence"} & set(frame):
            frame[column] = rng.random(len(frame)).round(3)
        return frame

    lesion = {"diameter_mm": 12.0, "size_bin": "10-20", "detected": True, "iou": 0.0}
    candidate = {"confidence": 0.0, "volume_ml": 1.0, "diameter_mm": 12.0, "lesion": 1, "iou": 0.5, "touched": "[1]"}
    counts = {"count": 100, "positives": 40, "squared_error": 10.0, "confidence": 0.0}
    return {
        "scores": table([{"structure": s, "metric": m, "value": 0.0} for s, ms in METRICS.items() for m in ms]),
        "lesions": table([{"structure": s, "lesion": n, **lesion} for s in ("tumor", "liver_tumor") for n in range(1, 5)]),
        "candidates": table(
            [
                {"candidate": n, "outcome": o, "outcome_overlap": o, **candidate}
                for n in range(1, 11)
                for o in [("hit", "false")[n % 2]]
            ]
        ),
        "reliability": table([{"kind": k, "bin": b, **counts} for k in ("voxel", "candidate") for b in range(10)]),
    }
