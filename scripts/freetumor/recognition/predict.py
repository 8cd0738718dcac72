"""Predictions of a recognizer on the test cases of its fold, and on the validation cases, by which choices are made."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.device import Device, prepare
from freetumor.core.labels import annotated_tumors, class_codes
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
    """Predict the labeled test and validation cases of a fold and write a table of predictions.

    A segmentation is written at native resolution, its arrays beside the table. By validation cases, whose split is called so
    in the table, thresholds and numbers of samples can be chosen.

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
    """Segment the cases at native resolution; write arrays below ``folder``; return the records, sorted by part and case."""
    cases = pd.concat(_parts(table))
    network = load_segmenter(weights, config.recognition.network, config, device.torch)
    progress = Progress(label, len(cases), "case", interval=10)
    preset, overlap, codes = config.working, config.recognition.overlap, class_codes(config.organs)
    rows = []
    for _, row in cases.iterrows():
        case = Case(row, config.organs, hide_tumors=False)
        probabilities = predict_volume(network, case.image[...], preset.window, preset.patch, overlap, device)
        tumors = [codes[name] for name in annotated_tumors(config.organs, case.names.values())]
        maps = to_native(probabilities, json.loads(row["crop"]), json.loads(row["native_shape"]), tumors)
        record = {name: row[name] for name in (*FACTS, "names", "labeled", "native_spacing")} | {"reference": row["native"]}
        for column, suffix, array in zip(("prediction", "probability"), (".b2nd", ".tumor.b2nd"), maps, strict=True):
            record[column] = str(folder / "predictions" / f"{row['case_id']}{suffix}")
            write_array(record[column], array)
        rows.append(record)
        progress.advance()
    return rows


def classify_cases(config: Config, table: pd.DataFrame, weights: Path, label: str, folder: Path, device: Device) -> list[dict]:
    """Classify the cases; return the records, sorted by part and case."""
    network = load_classifier(weights, config, device.torch)
    parts = _parts(table)
    progress = Progress(label, sum(len(part) for part in parts), "case", interval=10)
    rows = []
    for cases in parts:
        if cases.empty:
            continue
        images = part_samples(cases, config, cases["part"].iloc[0]).images
        for (_, row), found in zip(cases.iterrows(), class_probabilities(network, images), strict=True):
            facts = {name: row[name] for name in (*FACTS, "category", "diameter_mm")}
            by_category = {name: round(float(p), DIGITS) for name, p in zip(config.categories, found, strict=True)}
            predicted = config.categories[int(found.argmax())]
            rows.append({**facts, "predicted": predicted, "probabilities": json.dumps(by_category)})
            progress.advance()
    return rows


def _parts(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The labeled test cases and the labeled validation cases, whose split is then called ``validation``, each by case."""
    test, validation = (labeled_part(table, part).sort_values("case_id") for part in ("test", "validation"))
    return [test, validation.assign(split="validation")]


TASKS: dict[str, tuple[Callable[[Config, pd.DataFrame, Path, str, Path, Device], list[dict]], Schema]] = {
    "segmentation": (segment_cases, PREDICTIONS),
    "classification": (classify_cases, CLASSIFICATIONS),
}
