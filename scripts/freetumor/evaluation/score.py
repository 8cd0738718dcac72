"""Score the predictions of one trained recognizer against the references, case by case."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.labels import class_codes, class_names, remap
from freetumor.core.progress import Progress
from freetumor.core.tables import CLASSIFICATIONS, LESIONS, PREDICTIONS, SCORES, Schema, make_table, read_table, write_table
from freetumor.evaluation.lesions import ball_diameter, size_bin
from freetumor.evaluation.metrics import (
    ACCURACY,
    CATEGORY,
    PREDICTED,
    PROBABILITY,
    SENSITIVITY,
    SPECIFICITY,
    Scan,
    lesion_metrics,
    segmentation_metrics,
)
from freetumor.evaluation.structures import ALL_LESIONS, ANY_TUMOR, has_lesions, scored_structures
from freetumor.preprocessing.store import read_array

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("case_id", "patient_id", "source", "split", "fold", "arm", "seed")  # columns both output tables share


def score_predictions(
    config: Config, predictions_path: str | Path, scores_output: str | Path, lesions_output: str | Path
) -> None:
    """Score every annotated case of a prediction table, as the task of the study asks.

    Args:
        config: the study.
        predictions_path: table of predictions of one arm, fold and seed.
        scores_output: one row per case, structure and metric.
        lesions_output: one row per case, tumor structure and reference lesion.

    Raises:
        UserError: if an array is missing, prediction and reference differ in shape, or a category is not one of the study.
    """
    scorer = SCORERS[config.task]
    predictions = read_table(predictions_path, scorer.schema)
    annotated = predictions[scorer.annotated(predictions)].to_dict("records")
    progress = Progress(f"score {Path(predictions_path).parent}", len(annotated), "case")
    scores: list[dict[str, Any]] = []
    lesions: list[dict[str, Any]] = []
    for row in annotated:
        case_scores, case_lesions = scorer.score(config, row)
        scores += case_scores
        lesions += case_lesions
        progress.advance()
    write_table(make_table(scores, SCORES), scores_output, SCORES)
    write_table(make_table(lesions, LESIONS), lesions_output, LESIONS)


def score_case(config: Config, row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Score one segmentation.

    Args:
        config: the study.
        row: of the prediction table.

    Returns:
        Rows of the score table and rows of the lesion table.
    """
    names = {int(code): name for code, name in json.loads(row["names"]).items()}
    prediction = read_array(row["prediction"])
    reference = remap(read_array(row["reference"]), names, class_codes(config.organs))
    if prediction.shape != reference.shape:
        raise UserError(
            f"{row['prediction']}: shape {prediction.shape} differs from the shape {reference.shape} of {row['reference']}"
        )
    identity = {name: row[name] for name in IDENTITY}
    scan = Scan.of(reference.shape, tuple(json.loads(row["native_spacing"])))
    structures = scored_structures(config.organs, set(names.values()))
    scores, lesions = [], []
    for structure, true, found in structure_masks(reference, prediction, structures, len(class_names(config.organs))):
        values = segmentation_metrics(true, found, scan, config.evaluation)
        if has_lesions(structure):
            lesion_values, matching = lesion_metrics(true, found, scan, config.evaluation)
            values |= lesion_values
            for number, (volume, iou) in enumerate(zip(matching.volumes, matching.ious, strict=True), 1):
                diameter = float(ball_diameter(volume))
                lesions.append(
                    identity
                    | {
                        "structure": structure,
                        "lesion": number,
                        "diameter_mm": diameter,
                        "size_bin": size_bin(diameter, config.evaluation.size_bins),
                        "detected": bool(iou > 0),
                        "iou": float(iou),
                    }
                )
        scores += [identity | {"structure": structure, "metric": m, "value": v} for m, v in values.items()]
    return scores, lesions


def score_category(config: Config, row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Score one classification.

    Args:
        config: the study.
        row: of the table of classifications.

    Returns:
        Rows of the score table: for all lesions together the accuracy (1 or 0) and the positions of the true and the predicted
        category; per category its probability and the sensitivity (cases of the category) or specificity (cases of others),
        each 1 or 0. Rows of the lesion table: the lesion under its category and under the union; detected means classified
        correctly.

    Raises:
        UserError: if a category is not one of the study, or one has no probability.
    """
    probabilities = json.loads(row["probabilities"])
    unknown = {row["category"], row["predicted"]}.difference(config.categories)
    if unknown or set(probabilities) != set(config.categories):
        named = ", ".join(sorted(unknown or probabilities))
        raise UserError(f"categories: case {row['case_id']} has {named or 'none'}; expected {', '.join(config.categories)}")
    identity = {name: row[name] for name in IDENTITY}
    true, found = (config.categories.index(row[name]) for name in ("category", "predicted"))
    values = {(ALL_LESIONS, ACCURACY): float(true == found), (ALL_LESIONS, CATEGORY): true, (ALL_LESIONS, PREDICTED): found}
    for position, category in enumerate(config.categories):
        metric = SENSITIVITY if position == true else SPECIFICITY
        values[category, PROBABILITY] = probabilities[category]
        values[category, metric] = float((found == position) == (true == position))
    scores = [identity | {"structure": s, "metric": m, "value": float(value)} for (s, m), value in values.items()]
    diameter = float(row["diameter_mm"])
    lesion = {"lesion": 1, "diameter_mm": diameter, "size_bin": size_bin(diameter, config.evaluation.size_bins)}
    outcome = {"detected": true == found, "iou": float("nan")}
    return scores, [identity | {"structure": s} | lesion | outcome for s in dict.fromkeys([row["category"], ANY_TUMOR])]


@dataclass(frozen=True)
class Scorer:
    """How the predictions of a task are scored.

    Attributes:
        schema: of the prediction table.
        annotated: which of its rows have a reference.
        score: from the study and a row to rows of the score table and of the lesion table.
    """

    schema: Schema
    annotated: Callable[["pd.DataFrame"], "pd.Series"]
    score: Callable[[Config, Mapping[str, Any]], tuple[list[dict[str, Any]], list[dict[str, Any]]]]


SCORERS = {
    "segmentation": Scorer(PREDICTIONS, lambda table: table["labeled"], score_case),
    "classification": Scorer(CLASSIFICATIONS, lambda table: table["category"] != "", score_category),
}


def structure_masks(
    reference: np.ndarray, prediction: np.ndarray, structures: Mapping[str, Sequence[int]], classes: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each structure with its reference and predicted mask, both cropped to the box that holds them.

    Args:
        reference: study codes, (z, y, x).
        prediction: study codes, same shape.
        structures: codes of each structure.
        classes: number of codes.
    """
    boxes = [ndimage.find_objects(array, max_label=classes - 1) for array in (reference, prediction)]
    for structure, codes in structures.items():
        found = [array_boxes[code - 1] for array_boxes in boxes for code in codes if array_boxes[code - 1] is not None]
        box = tuple(
            slice(min(each[axis].start for each in found), max(each[axis].stop for each in found)) if found else slice(0, 1)
            for axis in range(3)
        )
        table = np.zeros(256, bool)
        table[list(codes)] = True
        yield structure, table[reference[box]], table[prediction[box]]
