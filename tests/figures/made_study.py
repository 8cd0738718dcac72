"""The tables of the made-up study, with the real schemas, to draw all figures from."""

import itertools
import json
from pathlib import Path

import numpy as np

from freetumor.core.seeding import generator
from freetumor.core.tables import (
    CASES,
    HISTORY,
    LESIONS,
    PREDICTIONS,
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
from tests.figures.made_config import ARMS, NAMES, SPACING, SPLITS, Study, make_config
from tests.figures.made_scans import make_bank, make_cases


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
