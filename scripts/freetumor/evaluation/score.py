"""Score the predictions of one trained recognizer against the references, case by case."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from freetumor.core.config import Config, Evaluation
from freetumor.core.errors import UserError
from freetumor.core.labels import class_codes, class_names, remap
from freetumor.core.progress import Progress
from freetumor.core.tables import (
    CANDIDATES,
    CLASSIFICATIONS,
    LESIONS,
    PREDICTIONS,
    RELIABILITY,
    SCORES,
    Schema,
    make_table,
    read_table,
    write_table,
)
from freetumor.evaluation.candidates import HIT, IGNORED, candidate_rows, find_candidates
from freetumor.evaluation.lesions import Matching, ball_diameter, size_bin
from freetumor.evaluation.metric_names import (
    ACCURACY,
    CANDIDATE_COUNT,
    CATEGORY,
    PREDICTED,
    PROBABILITY,
    SENSITIVITY,
    SPECIFICITY,
)
from freetumor.evaluation.metrics import Scan, lesion_metrics, segmentation_metrics
from freetumor.evaluation.reliability import CANDIDATE, EACH_CATEGORY, TOP_CATEGORY, bins, voxel_bins
from freetumor.evaluation.structures import ALL_LESIONS, ANY_TUMOR, has_lesions, scored_structures
from freetumor.preprocessing.store import read_array

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("case_id", "patient_id", "source", "split", "fold", "arm", "seed")  # columns all output tables share


class Rows(NamedTuple):
    """Rows of the four tables that scoring gives, or their paths."""

    scores: Any
    lesions: Any
    candidates: Any
    reliability: Any


SCHEMAS = Rows(SCORES, LESIONS, CANDIDATES, RELIABILITY)


def score_predictions(config: Config, predictions_path: str | Path, outputs: Rows) -> None:
    """Score every annotated case of a prediction table, as the task of the study asks.

    Args:
        config: the study.
        predictions_path: table of predictions of one arm, fold and seed.
        outputs: paths of the tables: one row per case, structure and metric; per case, tumor structure and reference lesion;
            per lesion candidate; per case, kind of probability and bin.

    Raises:
        UserError: if an array is missing, prediction and reference differ in shape, or a category is not one of the study.
    """
    scorer = SCORERS[config.task]
    predictions = read_table(predictions_path, scorer.schema)
    annotated = predictions[scorer.annotated(predictions)].to_dict("records")
    progress = Progress(f"score {Path(predictions_path).parent}", len(annotated), "case")
    tables = Rows([], [], [], [])
    for row in annotated:
        identity = {name: row[name] for name in IDENTITY}
        for table, found in zip(tables, scorer.score(config, row), strict=True):
            table += [identity | one for one in found]
        progress.advance()
    for table, schema, path in zip(tables, SCHEMAS, outputs, strict=True):
        write_table(make_table(table, schema), path, schema)


def score_case(config: Config, row: Mapping[str, Any]) -> Rows:
    """Score one segmentation.

    Args:
        config: the study.
        row: of the prediction table.

    Returns:
        Rows of the tables, without the columns that name the case.
    """
    names = {int(code): name for code, name in json.loads(row["names"]).items()}
    prediction, reference = read_array(row["prediction"]), read_array(row["reference"])
    _check_shape(row, "prediction", prediction, reference)
    reference = remap(reference, names, class_codes(config.organs))
    scan = Scan.of(reference.shape, tuple(json.loads(row["native_spacing"])))
    structures = scored_structures(config.organs, set(names.values()))
    rows = Rows([], [], [], [])
    for structure, true, found in structure_masks(reference, prediction, structures, len(class_names(config.organs))):
        values = segmentation_metrics(true, found, scan, config.evaluation)
        if has_lesions(structure):
            lesion_values, matching = lesion_metrics(true, found, scan, config.evaluation)
            values |= lesion_values
            rows.lesions.extend({"structure": structure} | lesion for lesion in _lesion_rows(matching, config.evaluation))
        rows.scores.extend({"structure": structure, "metric": name, "value": value} for name, value in values.items())
    if row["probability"] and ANY_TUMOR in structures:
        probability = read_array(row["probability"])
        _check_shape(row, "probability", probability, reference)
        candidates, reliability = score_probability(config, probability, reference, structures, scan)
        rows.scores.append({"structure": ANY_TUMOR, "metric": CANDIDATE_COUNT, "value": float(len(candidates))})
        rows.candidates.extend(candidates)
        rows.reliability.extend(reliability)
    return rows


def score_probability(
    config: Config, probability: np.ndarray, reference: np.ndarray, structures: Mapping[str, Sequence[int]], scan: Scan
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the candidates of a map of tumor probability, and of the reliability of voxels and candidates.

    Voxels count inside the annotated organs: elsewhere hardly any can be tumor, and their number would drown the rest.

    Args:
        config: the study.
        probability: ``uint8`` in steps of 1/255, (z, y, x).
        reference: study codes, same shape.
        structures: codes of each scored structure.
        scan: geometry of the image.
    """
    settings = config.evaluation
    tumor = np.isin(np.arange(256), structures[ANY_TUMOR])
    organ = np.isin(np.arange(256), [code for organ in config.organs for code in structures.get(organ, ())])
    found = find_candidates(probability, scan.voxel_ml, settings.min_lesion_ml, settings.candidate_floor)
    candidates = candidate_rows(found, tumor[reference], scan.voxel_ml, settings.min_lesion_ml, settings.match_iou)
    inside = organ[reference]
    decided = [row for row in candidates if row["outcome"] != IGNORED]
    reliability = voxel_bins(probability[inside], tumor[reference[inside]])
    hits = np.array([row["outcome"] == HIT for row in decided], bool)
    return candidates, reliability + bins(CANDIDATE, [row["confidence"] for row in decided], hits)


def _lesion_rows(matching: Matching, settings: Evaluation) -> Iterator[dict[str, Any]]:
    for number, (volume, iou) in enumerate(zip(matching.volumes, matching.ious, strict=True), 1):
        diameter = float(ball_diameter(volume))
        yield {
            "lesion": number,
            "diameter_mm": diameter,
            "size_bin": size_bin(diameter, settings.size_bins),
            "detected": bool(iou > 0),
            "iou": float(iou),
        }


def _check_shape(row: Mapping[str, Any], name: str, array: np.ndarray, reference: np.ndarray) -> None:
    if array.shape != reference.shape:
        raise UserError(f"{row[name]}: shape {array.shape} differs from the shape {reference.shape} of {row['reference']}")


def score_category(config: Config, row: Mapping[str, Any]) -> Rows:
    """Score one classification.

    Args:
        config: the study.
        row: of the table of classifications.

    Returns:
        Rows of the score table: for all lesions together the accuracy (1 or 0) and the positions of the true and the predicted
        category; per category its probability and the sensitivity (cases of the category) or specificity (cases of others),
        each 1 or 0. Rows of the lesion table: the lesion under its category and under the union; detected means classified
        correctly. Rows of reliability: of all categories, and of the greatest probability alone.

    Raises:
        UserError: if a category is not one of the study, or one has no probability.
    """
    probabilities = json.loads(row["probabilities"])
    unknown = {row["category"], row["predicted"]}.difference(config.categories)
    if unknown or set(probabilities) != set(config.categories):
        named = ", ".join(sorted(unknown or probabilities))
        raise UserError(f"categories: case {row['case_id']} has {named or 'none'}; expected {', '.join(config.categories)}")
    true, found = (config.categories.index(row[name]) for name in ("category", "predicted"))
    values = {(ALL_LESIONS, ACCURACY): float(true == found), (ALL_LESIONS, CATEGORY): true, (ALL_LESIONS, PREDICTED): found}
    for position, category in enumerate(config.categories):
        metric = SENSITIVITY if position == true else SPECIFICITY
        values[category, PROBABILITY] = probabilities[category]
        values[category, metric] = float((found == position) == (true == position))
    scores = [{"structure": s, "metric": m, "value": float(value)} for (s, m), value in values.items()]
    diameter = float(row["diameter_mm"])
    lesion = {"lesion": 1, "diameter_mm": diameter, "size_bin": size_bin(diameter, config.evaluation.size_bins)}
    outcome = {"detected": true == found, "iou": float("nan")}
    lesions = [{"structure": s} | lesion | outcome for s in dict.fromkeys([row["category"], ANY_TUMOR])]
    every = [probabilities[name] for name in config.categories]
    reliability = bins(EACH_CATEGORY, every, np.arange(len(every)) == true)
    return Rows(scores, lesions, [], reliability + bins(TOP_CATEGORY, [max(every)], np.array([true == found])))


@dataclass(frozen=True)
class Scorer:
    """How the predictions of a task are scored.

    Attributes:
        schema: of the prediction table.
        annotated: which of its rows have a reference.
        score: from the study and a row to the rows it gives.
    """

    schema: Schema
    annotated: Callable[["pd.DataFrame"], "pd.Series"]
    score: Callable[[Config, Mapping[str, Any]], Rows]


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
