"""A small, made-up study whose tables and volumes have the real schemas, to draw all figures from."""

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from freetumor.core.config import Config
from freetumor.core.labels import class_codes, tumor_of
from freetumor.core.seeding import generator
from freetumor.core.tables import (
    CASES,
    FOLD_CASES,
    HISTORY,
    LESIONS,
    MANIFEST,
    QUARANTINE,
    SCORES,
    make_table,
    read_table,
    write_table,
)
from freetumor.evaluation.comparisons import analyze
from freetumor.evaluation.lesions import size_bin
from freetumor.preprocessing.store import read_array, write_array
from freetumor.synthesis.bank import crop_lesion
from tests.factory import EMPTY_ROW, bank_lesion

ORGANS = ["liver", "pancreas", "kidney"]
ARMS = ["real", "constant_contrast", "freetumor", "freetumor_as_published"]
SHAPE, SPACING = (44, 104, 136), (3.0, 2.0, 2.0)
NAMES = {code: name for name, code in class_codes(ORGANS).items() if code}


def make_config(**changes) -> Config:
    """The configuration of the study."""
    base = {
        "study": "demo",
        "title": "Do painted tumors help?",
        "organs": ORGANS,
        "preset": "toy",
        "presets": {"toy": {"spacing": SPACING, "window": (-150, 250), "patch": (32, 32, 32)}},
        "sources": [
            {"name": "phantom_a", "kind": "phantom"},
            {"name": "phantom_b", "kind": "phantom", "split": "external", "domain": "b"},
            {"name": "hospital", "kind": "folder", "root": "/secret/place", "images": "*.nii.gz"},
        ],
        "synthesizers": {
            "constant_contrast": {"painter": {"kind": "constant"}},
            "freetumor": {"painter": {"kind": "difference"}, "gate": {"kind": "segmenter", "threshold": 0.5}},
            "published": {
                "painter": {"kind": "difference"},
                "gate": {"kind": "segmenter", "threshold": 0.7},
                "mode": "as_published",
            },
        },
        "arms": {
            "real": {},
            "constant_contrast": {"synthesizer": "constant_contrast"},
            "freetumor": {"synthesizer": "freetumor"},
            "freetumor_as_published": {"synthesizer": "published"},
        },
        "recognition": {"arms": ARMS},
        "evaluation": {"resamples": 100},
    }
    return Config.model_validate(base | changes)


@dataclass
class Study:
    """Where the inputs of the figures lie."""

    folder: Path
    config: Config
    paths: dict[str, Path] = field(default_factory=dict)
    manifests: list[Path] = field(default_factory=list)
    histories: list[Path] = field(default_factory=list)


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
    write_table(cases.assign(part=part), study.paths["fold_cases"], FOLD_CASES)
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


def make_histories(study: Study) -> None:
    """Training curves of segmenter, two synthesizers and all arms, in two folds with two seeds."""

    def write(path: Path, curves: dict) -> None:
        rows = [
            {"step": int(step), "name": name, "value": float(value)}
            for name, (steps, values) in curves.items()
            for step, value in zip(steps, values, strict=True)
        ]
        write_table(make_table(rows, HISTORY), study.folder / path, HISTORY)
        study.histories.append(study.folder / path)

    steps, checks = np.arange(1, 401), np.arange(100, 401, 100)
    for fold in (0, 1):
        rng = generator("test", "history", fold)

        def decay(rng, low=0.2, scale=1.0):
            return low + scale * np.exp(-steps / 120) + rng.normal(0, 0.05, len(steps))

        def rise(rng, top):
            return top * (1 - np.exp(-checks / 150)) + rng.normal(0, 0.02, len(checks))

        base = Path(f"fold{fold}")
        curves = {"loss": (steps, decay(rng)), "validation_dice": (checks, rise(rng, 0.7)), "learning_rate": (steps, steps)}
        write(base / "synthesizer/segmenter/history.csv", curves)
        for name in ("freetumor", "published"):
            curves = {"loss_generator": (steps, decay(rng, 0.6)), "loss_discriminator": (steps, decay(rng, 0.4, 0.5))}
            write(base / f"synthesizer/{name}/history.csv", curves | {"found": (checks, rise(rng, 0.8))})
        for index, arm in enumerate(ARMS):
            for seed in (1, 2):
                curves = {"loss": (steps, decay(rng)), "validation_dice": (checks, rise(rng, 0.6 + 0.04 * index))}
                write(base / f"recognition/{arm}/seed{seed}/history.csv", curves)


def make_scores(study: Study) -> None:
    """Scores, comparisons, arm means and sensitivity by size."""
    cases = read_table(study.paths["cases"], CASES)
    cases = cases[cases["labeled"] & (cases["tumors"] != "") & (cases["excluded_because"] == "")]
    gains = dict(zip(ARMS, (0.0, 0.02, 0.06, -0.01), strict=True))
    rows, lesions = [], []
    for case in cases.to_dict("records"):
        keys = {key: case[key] for key in ("case_id", "patient_id", "source", "split", "fold")} | {"structure": "tumor"}
        for arm, seed in itertools.product(ARMS, (1, 2)):
            keys = keys | {"arm": arm, "seed": seed}
            for metric in ("dice", "surface_dice", "reference_ml", "predicted_ml"):
                base = generator("test", "base", case["case_id"], metric).beta(4, 3)
                noise = generator("test", "score", case["case_id"], metric, arm, seed).normal(0, 0.06)
                rows.append(keys | {"metric": metric, "value": float(np.clip(base + gains[arm] + noise, 0, 1))})
            for lesion in range(3):
                diameter = float(generator("test", "size", case["case_id"], lesion).uniform(5, 40))
                luck = generator("test", "luck", case["case_id"], lesion, arm, seed).normal(0, 0.2)
                found = diameter / 30 + 3 * gains[arm] + luck > 0.5
                keys_of_lesion = keys | {"lesion": lesion + 1, "diameter_mm": diameter, "iou": 0.4 * found}
                lesions.append(keys_of_lesion | {"size_bin": size_bin(diameter, [10, 20, 30]), "detected": bool(found)})
    for name, table, schema in (("scores", rows, SCORES), ("lesions", lesions, LESIONS)):
        study.paths[name] = study.folder / f"{name}.parquet"
        write_table(make_table(table, schema), study.paths[name], schema)
    for name in ("summary", "sizes", "arms"):
        study.paths[name] = study.folder / f"{name}.csv"
    outputs = [study.paths[name] for name in ("summary", "sizes", "arms")]
    analyze(study.config, study.paths["scores"], study.paths["lesions"], *outputs)


def make_study(folder: Path) -> Study:
    """All inputs of all figures."""
    study = Study(folder, make_config())
    make_cases(study)
    for synthesizer in ("constant_contrast", "freetumor", "published"):
        make_bank(study, synthesizer)
    make_histories(study)
    make_scores(study)
    return study


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """The made-up study, made once."""
    return make_study(tmp_path_factory.mktemp("study"))
