"""Early detection: the share of small lesions that are found, beside the share of tumor-free scans without a false alarm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema, make_table
from freetumor.evaluation.metric_names import EARLY, SPECIFICITY
from freetumor.evaluation.pairing import Block, cross, pooled_ratio, reported
from freetumor.evaluation.statistics.crossed import random_effects, ratio_blocks
from freetumor.evaluation.statistics.proportions import wilson_interval
from freetumor.evaluation.structures import ANY_TUMOR

if TYPE_CHECKING:
    import pandas as pd

WILSON = "Wilson, patients as trials"
EARLY_DETECTION = Schema(
    "early detection",
    {
        "split": TEXT,
        "measure": TEXT,  # sensitivity_early or specificity
        "arm": TEXT,
        "value": NUMBER,
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "interval": TEXT,
        "hits": NUMBER,  # found lesions, or scans without a false alarm: mean over trainings
        "n": INTEGER,  # lesions, or tumor-free scans
        "patients": INTEGER,
        "trainings": INTEGER,
    },
)


def early_detection(config: Config, scores: "pd.DataFrame", lesions: "pd.DataFrame") -> "pd.DataFrame":
    """Sensitivity to lesions of at most ``evaluation.early_mm`` and specificity, per split and arm, with intervals.

    Patients (with all their lesions or scans) and trainings are random; where a share is 0 or 1 there is no spread, and
    Wilson's interval with patients as trials is given.

    Args:
        config: the study.
        scores: merged scores.
        lesions: merged reference lesions.

    Returns:
        Rows of :data:`EARLY_DETECTION`.
    """
    small = reported(lesions)
    small = small[(small["structure"] == ANY_TUMOR) & (small["diameter_mm"] <= config.evaluation.early_mm)]
    free = reported(scores)
    free = free[(free["structure"] == ANY_TUMOR) & (free["metric"] == SPECIFICITY)]
    parts = ((EARLY, small, "detected", ("case_id", "lesion")), (SPECIFICITY, free, "value", ("case_id",)))
    rows = []
    for measure, frame, column, unit in parts:
        for split in sorted(set(frame["split"])):
            for arm in config.compared:
                here = frame[(frame["split"] == split) & (frame["arm"] == arm)]
                blocks = cross(here, [arm], column, unit) if len(here) else []
                if blocks:
                    rows.append({"split": split, "measure": measure, "arm": arm} | _share(blocks, arm, config))
    return make_table(rows, EARLY_DETECTION)


def _share(blocks: Sequence[Block], arm: str, config: Config) -> dict:
    """The share of an arm, its interval and its denominators."""
    share, confidence = pooled_ratio(blocks, arm), config.evaluation.confidence
    n, patients = int(sum(block.counts.sum() for block in blocks)), sum(len(block.counts) for block in blocks)
    if share in (0.0, 1.0):
        low, high = wilson_interval(share * patients, patients, confidence)
        interval = WILSON
    else:
        values = ratio_blocks([block.totals[arm] for block in blocks], [block.counts for block in blocks])
        estimate = random_effects(values, confidence)
        low, high = np.clip([estimate.ci_low, estimate.ci_high], 0, 1)
        interval = estimate.test.removeprefix("two-sided ")
    trainings = sum(block.trainings for block in blocks)
    counts = {"hits": share * n, "n": n, "patients": patients, "trainings": trainings}
    return {"value": share, "ci_low": low, "ci_high": high, "interval": interval, **counts}
