"""Predictions of a recognizer on the test cases of its fold."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.device import Device, prepare
from freetumor.core.progress import Progress
from freetumor.core.tables import CLASSIFICATIONS, FOLD_CASES, PREDICTIONS, Schema, make_table, read_table, write_table
from freetumor.preprocessing.geometry import to_native
from freetumor.preprocessing.store import write_array
from freetumor.synthesizer.assembly import load_segmenter
from freetumor.synthesizer.cases import Case
from freetumor.synthesizer.inference import predict_volume

from .classifier import class_probabilities, load_classifier
from .samples import labeled_part, part_samples

FACTS = ("case_id", "patient_id", "source", "domain", "split")
DIGITS = 6  # of a probability


def predict(config: Config, arm: str, fold: int, seed: int, cases: Path, weights: Path, output: Path) -> None:
    """Predict the labeled test cases of a fold and write a table of predictions.

    A segmentation is written at native resolution, its arrays beside the table. A classification also covers the validation
    cases, by which numbers of samples can be chosen.

    Args:
        config: the study.
        arm: key of ``arms``.
        fold: the fold.
        seed: one of ``recognition.seeds``.
        cases: the fold table.
        weights: the trained recognizer.
        output: output table.
    """
    device = prepare(config.compute)
    table = read_table(cases, FOLD_CASES)
    predict_cases, schema = TASKS[config.task]
    rows = predict_cases(config, table, weights, f"predict {arm} fold {fold} seed {seed}", output.parent, device)
    write_table(make_table(({**row, "fold": fold, "arm": arm, "seed": seed} for row in rows), schema), output, schema)


def segment_cases(config: Config, table: pd.DataFrame, weights: Path, label: str, folder: Path, device: Device) -> list[dict]:
    """Segment the test cases at native resolution; write the arrays below ``folder`` and return the records."""
    table = labeled_part(table, "test").sort_values("case_id")
    network = load_segmenter(weights, config.recognition.network, config, device.torch)
    progress = Progress(label, len(table), "case", interval=10)
    rows = []
    for _, row in table.iterrows():
        case = Case(row, config.organs, hide_tumors=False)
        preset = config.working
        probabilities = predict_volume(
            network, case.image[...], preset.window, preset.patch, config.recognition.overlap, device
        )
        native = to_native(probabilities, json.loads(row["crop"]), json.loads(row["native_shape"]))
        path = folder / "predictions" / f"{row['case_id']}.b2nd"
        write_array(path, native)
        facts = {name: row[name] for name in (*FACTS, "names", "labeled", "native_spacing")}
        rows.append({**facts, "prediction": str(path), "reference": row["native"]})
        progress.advance()
    return rows


def classify_cases(config: Config, table: pd.DataFrame, weights: Path, label: str, folder: Path, device: Device) -> list[dict]:
    """Classify the test and the validation cases; return the records, sorted by part and case."""
    network = load_classifier(weights, config, device.torch)
    parts = {part: labeled_part(table, part).sort_values("case_id") for part in ("test", "validation")}
    progress = Progress(label, sum(len(part) for part in parts.values()), "case", interval=10)
    rows = []
    for part, cases in parts.items():
        probabilities = class_probabilities(network, part_samples(cases, config, part).images) if len(cases) else []
        for (_, row), found in zip(cases.iterrows(), probabilities, strict=True):
            facts = {name: row[name] for name in (*FACTS, "category", "diameter_mm")}
            by_category = {name: round(float(p), DIGITS) for name, p in zip(config.categories, found, strict=True)}
            predicted = config.categories[int(found.argmax())]
            record = {**facts, "predicted": predicted, "probabilities": json.dumps(by_category)}
            rows.append(record | ({"split": part} if part == "validation" else {}))
            progress.advance()
    return rows


TASKS: dict[str, tuple[Callable[[Config, pd.DataFrame, Path, str, Path, Device], list[dict]], Schema]] = {
    "segmentation": (segment_cases, PREDICTIONS),
    "classification": (classify_cases, CLASSIFICATIONS),
}
