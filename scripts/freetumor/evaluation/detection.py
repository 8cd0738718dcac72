"""Detection: free-response curves of lesion candidates, and patients told apart by their surest candidate.

A free-response curve (FROC) plots the share of lesions that are found against false positives per scan, over all thresholds of
the confidence. Its summary are the operating points of LUNA16 (1/8 to 8 false positives per scan) and their mean; the lowest
point of a curve is joined to (0, 0). Patients are called positive at a threshold that was fixed on the validation patients of
the training; nothing else of validation patients is reported.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.tables import (
    CANDIDATES,
    FLAG,
    INTEGER,
    LESIONS,
    NUMBER,
    SCORES,
    TEXT,
    Schema,
    make_table,
    read_table,
    write_table,
)
from freetumor.evaluation.candidates import FALSE, HIT
from freetumor.evaluation.pairing import TRAINING, VALIDATION, reported
from freetumor.evaluation.patients import PATIENTS, patient_rows, scored_scans, thresholds
from freetumor.evaluation.resampling import (
    Draws,
    differences,
    draw,
    shares,
    training_units,
    with_differences,
)
from freetumor.evaluation.structures import ANY_TUMOR

if TYPE_CHECKING:
    import pandas as pd

OPERATING = tuple(2.0**power for power in range(-3, 4))  # false positives per scan (LUNA16)
RATES = tuple(2.0 ** (power / 4) for power in range(-12, 13))  # where curves are tabulated; holds the operating points
CHUNK = 2_000_000  # weights of candidates held at once
ONE_TO_ONE, ANY_OVERLAP = "one_to_one", "any_overlap"
AT_RATE, FROC_SCORE, AVERAGE_PRECISION = "sensitivity", "froc_score", "average_precision"

FROC = Schema(
    "free-response curves",
    {
        "arm": TEXT,
        "split": TEXT,
        "match": TEXT,  # one_to_one at evaluation.match_iou, or any_overlap
        "quantity": TEXT,  # sensitivity; froc_score: its mean over the operating points; average_precision: step form
        "fp_per_scan": NUMBER,  # of a sensitivity
        "operating": FLAG,  # whether that is one of the seven operating points
        "value": NUMBER,  # mean over trainings
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "sd": NUMBER,  # between trainings
        "difference": NUMBER,  # from the baseline
        "difference_low": NUMBER,
        "difference_high": NUMBER,
        "baseline": TEXT,
        "lesions": INTEGER,
        "scans": INTEGER,
        "n_patients": INTEGER,
        "trainings": INTEGER,
        "interval": TEXT,  # what intervals take as random
    },
)


@dataclass(frozen=True)
class Detections:
    """Candidates of one training on all scans, in any order.

    Attributes:
        confidences: shape ``(candidates,)``.
        found: reference lesions that each adds to those found, same shape.
        false: whether each is a false positive, same shape.
        patients: position of the patient of each, same shape.
        lesions: reference lesions of each patient, shape ``(patients,)``.
        scans: scans of each patient, same shape.
    """

    confidences: np.ndarray
    found: np.ndarray
    false: np.ndarray
    patients: np.ndarray
    lesions: np.ndarray
    scans: np.ndarray


def free_response(detections: Detections, rates: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sensitivity at rates of false positives per scan, interpolated linearly, and the average precision.

    Candidates of equal confidence enter together. The curve begins at (0, 0), and stays level after its last point. The
    average precision is the step form, ``sum (R_i - R_{i-1}) P_i`` over descending thresholds, with lesions pooled.

    Args:
        detections: of one training.
        rates: ascending, positive.
        weights: of the patients, shape ``(draws, patients)``; each counts once if not given.

    Returns:
        Shape ``(draws, rates + 1)``: sensitivities, and the average precision last; NaN where a draw holds no lesion.
    """
    if weights is None:
        weights = np.ones((1, len(detections.scans)))
    order = np.argsort(-detections.confidences, kind="stable")
    sure = detections.confidences[order]
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], True)) if len(sure) else np.zeros(0, int)
    found, false, patients = (array[order] for array in (detections.found, detections.false, detections.patients))
    result = np.full((len(weights), len(rates) + 1), np.nan)
    step = max(1, CHUNK // max(len(sure), 1))
    for start in range(0, len(weights), step):
        part = weights[start : start + step]
        drawn = np.take(part, patients, axis=1)  # rows in one piece, unlike part[:, patients]
        hits, misses = ((drawn * array).cumsum(axis=1)[:, last] for array in (found, false))
        lesions, scans = part @ detections.lesions, part @ detections.scans
        for row in np.flatnonzero((lesions > 0) & (scans > 0)):
            recall, rate = (np.append(0.0, counts[row] / n[row]) for counts, n in ((hits, lesions), (misses, scans)))
            called = hits[row] + misses[row]
            precision = np.divide(hits[row], called, out=np.zeros(len(called)), where=called > 0)
            result[start + row] = np.append(np.interp(rates, rate, recall), (np.diff(recall) * precision).sum())
    return result


def analyze_detection(
    config: Config,
    scores_path: str | Path,
    lesions_path: str | Path,
    candidates_path: str | Path,
    froc_output: str | Path,
    patients_output: str | Path,
) -> None:
    """Write the tables of free-response curves and of patients.

    Args:
        config: the study; the first of ``recognition.arms`` is the baseline.
        scores_path: merged scores, validation cases included.
        lesions_path: merged reference lesions.
        candidates_path: merged lesion candidates.
        froc_output: one row per arm, split, way to match, and quantity.
        patients_output: one row per arm, split and metric.

    Raises:
        UserError: if the study is no segmentation.
    """
    if config.task != "segmentation":
        raise UserError(f"task: expected 'segmentation', got '{config.task}'")
    scores, lesions = read_table(scores_path, SCORES), read_table(lesions_path, LESIONS)
    scans = scored_scans(scores)
    candidates = _with_found(read_table(candidates_path, CANDIDATES))
    fixed = thresholds(*(table[table["split"] == VALIDATION] for table in (scans, candidates)))
    scans, candidates = reported(scans), reported(candidates)
    lesions = reported(lesions[lesions["structure"] == ANY_TUMOR])
    froc, patients = [], []
    for split in sorted(set(scans["split"])):
        parts = [table[table["split"] == split] for table in (scans, candidates, lesions)]
        draws = draw(parts[0], config.evaluation.resamples, generator(config.seed, "evaluation", "detection", split))
        froc += [{"split": split} | row for row in froc_rows(config, *parts, draws)]
        patients += [{"split": split} | row for row in patient_rows(config, *parts[:2], fixed, draws)]
    write_table(make_table(froc, FROC), froc_output, FROC)
    write_table(make_table(patients, PATIENTS), patients_output, PATIENTS)


def froc_rows(
    config: Config, scans: "pd.DataFrame", candidates: "pd.DataFrame", lesions: "pd.DataFrame", draws: Draws
) -> list[dict[str, Any]]:
    """Rows of :data:`FROC` of one split, without its name.

    Args:
        config: the study.
        scans: one row per scan and training.
        candidates: of the same scans, with the lesions that each adds.
        lesions: reference lesions.
        draws: of patients and trainings.
    """
    quantities = [*((AT_RATE, rate) for rate in RATES), (FROC_SCORE, math.nan), (AVERAGE_PRECISION, math.nan)]
    present = [arm for arm in config.compared if arm in set(scans["arm"])]
    rows = []
    for match in (ONE_TO_ONE, ANY_OVERLAP):
        values = {arm: _statistics(arm, match, scans, candidates, lesions, draws) for arm in present}
        for arm, own, contrast in with_differences(config, values, draws):
            here = scans[scans["arm"] == arm]
            mine = lesions[lesions["arm"] == arm].drop_duplicates(["case_id", "lesion"])
            counts = {"lesions": len(mine), "scans": here["case_id"].nunique(), "n_patients": here["patient_id"].nunique()}
            counts |= {"trainings": here.groupby(TRAINING).ngroups, "baseline": config.compared[0], "interval": draws.interval}
            for i, (quantity, rate) in enumerate(quantities):
                row = {"arm": arm, "match": match, "quantity": quantity, "fp_per_scan": rate, "operating": rate in OPERATING}
                row |= shares(own, i, mine["patient_id"].nunique(), config.evaluation.confidence)
                rows.append(row | differences(contrast, i) | counts)
    return rows


def _statistics(
    arm: str, match: str, scans: "pd.DataFrame", candidates: "pd.DataFrame", lesions: "pd.DataFrame", draws: Draws
) -> np.ndarray:
    """Sensitivities at all rates, their mean over the operating points, and the average precision: (units, draws, these)."""
    places = {patient: place for place, patient in enumerate(draws.patients)}
    operating = np.isin(RATES, OPERATING)
    values = np.full((len(draws.units), len(draws.patient_weights), len(RATES) + 2), np.nan)
    parts = [table[table["arm"] == arm] for table in (scans, candidates, lesions)]
    parts = [table.assign(unit=training_units(table), place=table["patient_id"].map(places)) for table in parts]
    for position, unit in enumerate(draws.units):
        here, found, true = (table[table["unit"] == unit] for table in parts)
        if here.empty:
            continue
        counts = [np.bincount(table["place"].to_numpy(int), minlength=len(places)) for table in (true, here)]
        columns = [found[name].to_numpy() for name in ("confidence", f"found_{match}", f"false_{match}", "place")]
        curve = free_response(Detections(*columns, *counts), np.array(RATES), draws.patient_weights)
        score = curve[:, :-1][:, operating].mean(axis=1)
        values[position] = np.column_stack([curve[:, :-1], score, curve[:, -1]])
    return values


def _with_found(candidates: "pd.DataFrame") -> "pd.DataFrame":
    """Candidates with the number of lesions that each adds to those found, and whether it is false, for both ways to match."""
    order = candidates.sort_values([*TRAINING, "arm", "split", "case_id", "candidate"])
    seen: set[tuple] = set()
    added = []
    for row in order[[*TRAINING, "arm", "split", "case_id", "touched"]].itertuples(index=False):
        new = {(*row[:-1], lesion) for lesion in json.loads(row.touched)} - seen
        seen |= new
        added.append(len(new))
    return order.assign(
        **{
            f"found_{ONE_TO_ONE}": (order["outcome"] == HIT).astype(float),
            f"false_{ONE_TO_ONE}": (order["outcome"] == FALSE).astype(float),
            f"found_{ANY_OVERLAP}": np.array(added, float),
            f"false_{ANY_OVERLAP}": (order["outcome_overlap"] == FALSE).astype(float),
        }
    )
