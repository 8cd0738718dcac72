"""A small, made-up study whose tables and volumes have the real schemas, to draw all figures from."""

import importlib
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
    PREDICTIONS,
    QUARANTINE,
    SCORES,
    Schema,
    make_table,
    read_table,
    write_table,
)
from freetumor.evaluation.calibration import BIN, BRIER, CALIBRATION, ECE
from freetumor.evaluation.comparisons import analyze
from freetumor.evaluation.detection import AT_RATE, FROC, FROC_SCORE, ONE_TO_ONE, OPERATING, RATES
from freetumor.evaluation.gate import score_gate
from freetumor.evaluation.lesions import size_bin
from freetumor.evaluation.patients import METRICS, PATIENTS
from freetumor.evaluation.realism_tables import PRIVACY_DISTANCES
from freetumor.evaluation.reliability import CANDIDATE, VOXEL
from freetumor.evaluation.sheets.cohort import collect_cohort
from freetumor.evaluation.sheets.failures import collect_failures
from freetumor.evaluation.sheets.lesions import collect_lesions
from freetumor.preprocessing.store import read_array, write_array
from freetumor.synthesis.bank import crop_lesion
from tests.factory import EMPTY_ROW, bank_lesion

ORGANS = ["liver", "pancreas", "kidney"]
ARMS = ["real", "constant_contrast", "freetumor", "freetumor_as_published"]
SHAPE, SPACING = (44, 104, 136), (3.0, 2.0, 2.0)
NAMES = {code: name for name, code in class_codes(ORGANS).items() if code}
SPLITS = ("development", "external")
INPUTS = {  # of every figure of the study: the arguments of its script
    "overview": ("cases", "scores"),
    "flow": ("cases", "quarantine"),
    "cohort": ("cases", "quarantine", "examples"),
    "lesions": ("lesions:lesion_sheet",),
    "privacy": ("distances",),
    "gate": ("table:gate",),
    "training": ("histories",),
    "differences": ("scores", "lesions", "summary"),
    "defects": ("summary",),
    "boxes": ("scores",),
    "seeds": ("scores", "lesions"),
    "external": ("scores", "lesions"),
    "scaling": ("scores",),
    "early": ("scores", "lesions"),
    "sizes": ("sizes",),
    "froc": ("froc", "patients"),
    "calibration": ("calibration",),
    "failures": ("failures",),
}
MODULES = {"seeds": "trainings", "external": "trainings", "flow": "flow_chart"}


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

    def inputs(self, name: str) -> dict[str, list[Path]]:
        """The arguments of a figure's script, without the configuration and the output."""
        named = (argument.partition(":") for argument in INPUTS[name])
        return {flag: self.histories if flag == "histories" else [self.paths[key or flag]] for flag, _, key in named}

    def draw(self, name: str, output: Path) -> None:
        """Draw a figure by the library."""
        plot = getattr(importlib.import_module(f"freetumor.figures.{MODULES.get(name, name)}"), f"plot_{name}")
        paths = [found if flag == "histories" else found[0] for flag, found in self.inputs(name).items()]
        plot(self.config, *paths, output)


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
        fold = max(case["fold"], 0)
        keys = {key: case[key] for key in ("case_id", "patient_id", "source", "split")} | {"fold": fold, "structure": "tumor"}
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


def make_predictions(study: Study) -> list[Path]:
    """A table of predictions per arm and seed; every arm finds the reference, moved by a few voxels."""
    scores = read_table(study.paths["scores"], SCORES)
    cases = read_table(study.paths["cases"], CASES).set_index("case_id")
    keys = ["case_id", "patient_id", "source", "split", "fold", "arm", "seed"]
    paths = []
    for (arm, seed), rows in scores[keys].drop_duplicates().groupby(["arm", "seed"]):
        rows = rows.assign(
            domain="a",
            prediction=[path.replace("image", "moved") for path in cases.loc[rows["case_id"], "image"]],
            probability="",
            reference=cases.loc[rows["case_id"], "label"].to_numpy(),
            names=json.dumps(NAMES),
            labeled=True,
            native_spacing=json.dumps(SPACING),
        )
        paths.append(study.folder / f"{arm}_{seed}.parquet")
        write_table(rows.reindex(columns=[*PREDICTIONS.columns]).fillna(""), paths[-1], PREDICTIONS)
    for number in range(8):
        label = read_array(study.folder / f"case{number}.label.b2nd")
        write_array(study.folder / f"case{number}.moved.b2nd", np.roll(label, 4, axis=2))
    return paths


def make_sheets(study: Study) -> None:
    """What figures show of volumes, banks and predictions."""
    folder = study.folder / "evaluation"
    names = {"examples": "cohort", "lesion_sheet": "lesions", "failures": "failures"}
    study.paths |= {key: folder / "sheets" / f"{name}.csv" for key, name in names.items()} | {"gate": folder / "gate.csv"}
    collect_cohort(study.config, study.paths["cases"], study.paths["examples"])
    collect_lesions(study.config, study.paths["fold_cases"], study.manifests, study.paths["lesion_sheet"])
    predictions = make_predictions(study)
    collect_failures(study.config, study.paths["cases"], study.paths["scores"], predictions, study.paths["failures"])
    score_gate(study.config, study.manifests, study.paths["gate"])


def make_detection(study: Study) -> None:
    """Tables of detection, calibration and privacy, with numbers drawn at random."""
    rng = generator("test", "detection")

    def number(low: float = 0.1, high: float = 0.9) -> dict:
        value = float(rng.uniform(low, high))
        return {"value": value, "ci_low": value - 0.05, "ci_high": value + 0.05}

    counts = {
        "lesions": 60,
        "scans": 24,
        "n_patients": 24,
        "n_tumor": 16,
        "trainings": 6,
        "count": 500,
        "interval": "bootstrap",
    }
    froc, patients, calibration, distances = [], [], [], []
    for split, arm in itertools.product(SPLITS, ARMS):
        keys = counts | {"split": split, "arm": arm, "match": ONE_TO_ONE}
        rates = [{"quantity": AT_RATE, "fp_per_scan": rate, "operating": rate in OPERATING} for rate in RATES]
        froc += [keys | row | number() for row in (*rates, {"quantity": FROC_SCORE, "operating": False})]
        patients += [keys | {"metric": metric} | number() for metric in METRICS]
        for kind in (VOXEL, CANDIDATE):
            bins = [
                {"quantity": BIN, "bin_low": b / 10, "bin_high": (b + 1) / 10, "predicted": b / 10 + 0.05} for b in range(10)
            ]
            calibration += [keys | {"kind": kind} | row | number() for row in (*bins, {"quantity": ECE}, {"quantity": BRIER})]
    for kind, name in (("held_out", ""), ("planted", ""), ("painted", "constant_contrast"), ("painted", "freetumor")):
        for place in range(20):
            far = {"distance": float(rng.uniform(1, 3)), "outstanding": float(rng.uniform(1, 4)), "limit": 5.0, "copy": False}
            distances.append({"kind": kind, "synthesizer": name, "lesion_id": f"{kind}.{place}"} | far)
    made = (("froc", froc, FROC), ("patients", patients, PATIENTS), ("calibration", calibration, CALIBRATION))
    for name, rows, schema in (*made, ("distances", distances, PRIVACY_DISTANCES)):
        study.paths[name] = study.folder / "evaluation" / f"{name}.csv"
        write_table(filled(rows, schema), study.paths[name], schema)


def filled(rows: list[dict], schema: Schema):
    """A table of a schema in which every cell that a row does not name is empty, or 0."""
    empty = {"str": "", "float64": float("nan"), "int64": 0, "bool": False}
    return make_table([{name: row.get(name, empty[kind]) for name, kind in schema.columns.items()} for row in rows], schema)


def make_study(folder: Path) -> Study:
    """All inputs of all figures."""
    study = Study(folder, make_config())
    make_cases(study)
    for synthesizer in ("constant_contrast", "freetumor", "published"):
        make_bank(study, synthesizer)
    make_histories(study)
    make_scores(study)
    make_sheets(study)
    make_detection(study)
    return study


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """The made-up study, made once."""
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def drawn(study, tmp_path_factory) -> Path:
    """A folder with all figures, drawn once."""
    folder = tmp_path_factory.mktemp("figures")
    for name in INPUTS:
        study.draw(name, folder / f"{name}.png")
    return folder
