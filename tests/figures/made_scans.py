"""Scans, cases and painted lesions of the made-up study."""

import json
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from freetumor.core.labels import tumor_of
from freetumor.core.seeding import generator
from freetumor.core.tables import (
    CASES,
    FOLD_CASES,
    MANIFEST,
    QUARANTINE,
    make_table,
    read_table,
    write_table,
)
from freetumor.preprocessing.store import read_array, write_array
from freetumor.synthesis.bank import crop_lesion
from tests.factory import EMPTY_ROW, bank_lesion
from tests.figures.made_config import NAMES, ORGANS, SHAPE, SPACING, Study


def ball(center, radii) -> np.ndarray:
    """An ellipsoid with semi-axes in mm."""
    grids = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    return sum(((g - c) * s / r) ** 2 for g, c, s, r in zip(grids, center, SPACING, radii, strict=True)) <= 1


def make_volume(folder: Path, number: int, tumors: bool) -> dict:
    """A body with three organs and, if asked for, one tumor in each; returns the columns that point to it."""
    rng = generator("test", "volume", number)
    noise = gaussian_filter(rng.normal(size=SHAPE), 0.8) * 40
    label = np.zeros(SHAPE, np.uint8)
    image = np.where(ball((22, 52, 68), (200, 92, 122)), 20.0, -1000.0)
    organs = [((22, 46, 44), (50, 52, 50), 110), ((24, 52, 78), (20, 14, 34), 90), ((18, 74, 104), (40, 24, 20), 150)]
    lesions = []
    for index, (center, radii, level) in enumerate(organs):
        organ = ball(center, radii)
        image[organ], label[organ] = level, 2 * index + 1
        if tumors:
            shift = rng.uniform(-0.25, 0.25, 3) * radii / np.array(SPACING)
            radius = [5, 8, 12, 16][(number + index) % 4] if index != 1 else 6
            tumor = ball(np.array(center) + shift, (radius, radius * 0.9, radius * 1.2)) & organ
            image[tumor], label[tumor] = level - 70, 2 * index + 2
            found = np.argwhere(tumor)
            box = np.stack([found.min(0), found.max(0) + 1], 1).ravel()
            lesions.append([2 * index + 2, len(found), *box])
    body = image > -500
    image = np.clip(np.where(body, gaussian_filter(image, 0.6) + noise, -1000), -1024, 3000).round().astype(np.int16)
    stem = folder / f"case{number}"
    write_array(f"{stem}.image.b2nd", image)
    write_array(f"{stem}.label.b2nd", label)
    np.savez(f"{stem}.sites.npz", lesions=np.array(lesions, np.int32).reshape(-1, 8))
    return {"image": f"{stem.name}.image.b2nd", "label": f"{stem.name}.label.b2nd", "sites": f"{stem.name}.sites.npz"}


def make_cases(study: Study) -> None:
    """Sixty cases of three sources that share eight volumes, two duplicates, and a quarantine table."""
    with_tumor = [make_volume(study.folder, number, True) for number in range(6)]
    without = [make_volume(study.folder, number, False) for number in (6, 7)]
    rng = generator("test", "cases")
    rows = []
    for number in range(60):
        source = ["phantom_a", "phantom_b", "hospital"][number % 3]
        labeled = source != "hospital" or number % 2 == 0
        tumors = labeled and number % 5 != 0
        classes = [tumor_of(ORGANS[number // 3 % 3])] + (["kidney_tumor"] if number % 7 == 0 else []) if tumors else []
        split = "external" if source == "phantom_b" else "development"
        rows.append(
            dict.fromkeys(CASES.columns, "")
            | (with_tumor[number % 6] if tumors else without[number % 2])
            | {
                "case_id": f"{source}_{number:03d}",
                "patient_id": f"p{number:03d}",
                "source": source,
                "labeled": labeled,
                "names": json.dumps(NAMES),
                "shape": json.dumps(SHAPE),
                "spacing": json.dumps(SPACING),
                "native_shape": json.dumps(SHAPE),
                "crop": json.dumps([[0, count] for count in SHAPE]),
                "native_spacing": json.dumps([float(rng.choice([1.0, 1.25, 2.5, 5.0])), *[float(rng.uniform(0.6, 0.95))] * 2]),
                "organs": ",".join(ORGANS),
                "tumors": ",".join(sorted(set(classes))),
                "tumor_ml": float(np.exp(rng.normal(1.5, 1.2))) if tumors else 0.0,
                "diameter_mm": float("nan"),
                "split": split,
                "fold": number % 3 if split == "development" else -1,
                "excluded_because": "duplicate of phantom_a_000" if number in (3, 6) else "",
            }
        )
    cases = make_table(rows, CASES)
    study.paths["cases"] = study.folder / "cases.parquet"
    write_table(cases, study.paths["cases"], CASES)
    part = np.select([cases["split"] == "external", ~cases["labeled"], cases["fold"] == 0], ["test", "pool", "test"], "train")
    study.paths["fold_cases"] = study.folder / "fold_cases.parquet"
    write_table(cases.assign(part=part).drop(columns="fingerprint"), study.paths["fold_cases"], FOLD_CASES)
    lost = [("bad_1", "preprocessing", "hu_range"), ("bad_2", "preprocessing", "hu_range"), ("bad_3", "download", "file_empty")]
    lost += [("phantom_a_000", "evaluation", "prediction_missing")]
    quarantine = [
        {"case_id": case, "stage": stage, "code": code, "path": "/secret/place/Jane_Doe.nii", "reason": "Jane Doe"}
        for case, stage, code in lost
    ]
    study.paths["quarantine"] = study.folder / "quarantine.tsv"
    write_table(make_table(quarantine, QUARANTINE), study.paths["quarantine"], QUARANTINE)


def make_bank(study: Study, synthesizer: str, draws: int = 48) -> None:
    """A manifest of one synthesizer; accepted ones have a bank file."""
    cases = read_table(study.paths["fold_cases"], FOLD_CASES)
    parents = cases[cases["part"] == "train"].to_dict("records")
    folder = study.folder / "fold0" / "synthesis" / synthesizer
    rows = []
    for draw in range(draws):
        rng = generator("test", "bank", synthesizer, draw)
        parent, organ = parents[draw % len(parents)], ORGANS[draw % 3]
        size = ["tiny", "small", "medium", "large"][draw % 4]
        score = float(rng.beta(4, 2)) if synthesizer != "constant_contrast" else float("nan")
        outcome = "no_place" if size == "large" and organ == "pancreas" else "refused" if score < 0.5 else "accepted"
        row = EMPTY_ROW | {
            "lesion_id": f"{parent['case_id']}.{draw}",
            "case_id": parent["case_id"],
            "patient_id": parent["patient_id"],
            "source": parent["source"],
            "synthesizer": synthesizer,
            "draw": draw,
            "seed": 1,
            "organ": organ,
            "outcome": outcome,
            "attempts": 1,
            "score": score if outcome != "no_place" else float("nan"),
            "diameter_mm": {"tiny": 8, "small": 14, "medium": 22, "large": 34}[size] * float(rng.uniform(0.85, 1.15)),
            "volume_ml": 1.0,
            "contrast_hu": -60.0,
            "parameters": json.dumps({} if outcome == "no_place" else {"size": size, "blur_mm": 1.5}),
        }
        if outcome == "accepted":
            row |= paint(study.folder, folder, parent, row, rng)
        rows.append(row)
    path = folder / "manifest.parquet"
    write_table(make_table(rows, MANIFEST), path, MANIFEST)
    study.manifests.append(path)


def paint(volumes: Path, folder: Path, parent: dict, row: dict, rng: np.random.Generator) -> dict:
    """Paint a soft-edged dark ellipsoid into an organ and store the patch around it."""
    image, label = (read_array(volumes / parent[name]) for name in ("image", "label"))
    inside = np.argwhere(label == 2 * ORGANS.index(row["organ"]) + 1)
    center = inside[rng.integers(len(inside) // 3, 2 * len(inside) // 3)]
    radius = row["diameter_mm"] / 2
    mask = ball(center, (radius, radius * rng.uniform(0.8, 1.2), radius)) & (label > 0)
    found = np.argwhere(mask)
    low = np.maximum(found.min(0) - 4, 0)
    box = tuple(slice(a, b) for a, b in zip(low, found.max(0) + 5, strict=True))
    soft = gaussian_filter(mask[box].astype(float), 0.7) * (label[box] > 0)
    painted = np.round(image[box] - 60 * soft).astype(np.int16)
    changed = np.abs(painted.astype(int) - image[box]) > 1
    painted = np.where(changed, painted, image[box])
    lesion = crop_lesion(image[box], painted, changed, tuple(int(c) for c in low))
    return bank_lesion(folder, row["lesion_id"], lesion) | {"center": json.dumps(center.tolist())}
