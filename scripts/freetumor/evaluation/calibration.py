"""Calibration: how often predicted probabilities come true.

Four kinds of probability are looked at: of *voxels* inside the annotated organs to be tumor, of lesion *candidates* to match a
lesion, of every *category* of a classification, and of the greatest of them (*top category*). Each scan gives counts in ten
equal bins (:mod:`freetumor.evaluation.reliability`); voxel counts of a scan are divided by their number, so that every scan
weighs the same.

The expected calibration error (Guo et al. 2017) is the mean distance between the mean probability and the observed share of a
bin, weighted by counts; the score of Brier (1950) is the mean squared distance between probability and outcome. Both are
computed for each training by itself and averaged. Categories count as binary events: their Brier score is that of several
categories divided by their number.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import INTEGER, NUMBER, RELIABILITY, TEXT, Schema, make_table, read_table, write_table
from freetumor.evaluation.pairing import TRAINING, reported
from freetumor.evaluation.reliability import BINS, KINDS, SUMS, VOXEL
from freetumor.evaluation.resampling import Draws, average, draw, shares, training_units

if TYPE_CHECKING:
    import pandas as pd

ECE, BRIER, BIN = "ece", "brier", "bin"

CALIBRATION = Schema(
    "calibration",
    {
        "arm": TEXT,
        "split": TEXT,
        "kind": TEXT,  # voxel, candidate, category or top_category
        "quantity": TEXT,  # ece, brier, or bin: the observed share of a bin of the reliability diagram
        "bin_low": NUMBER,  # of a bin
        "bin_high": NUMBER,
        "predicted": NUMBER,  # of a bin: mean probability in it, also over trainings
        "value": NUMBER,  # mean over trainings
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "sd": NUMBER,  # between trainings
        "count": INTEGER,  # predictions, of all trainings together
        "n_patients": INTEGER,
        "trainings": INTEGER,
        "interval": TEXT,  # what intervals take as random
    },
)


def calibration_errors(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected calibration error and Brier score; NaN where there is no prediction.

    Args:
        sums: count, positives, confidence and squared error of each bin, shape ``(..., bins, 4)``.
    """
    count, positives, confidence, squared = np.moveaxis(sums, -1, 0)
    total = count.sum(axis=-1)
    parts = np.abs(confidence - positives).sum(axis=-1), squared.sum(axis=-1)
    return tuple(np.divide(part, total, out=np.full(total.shape, np.nan), where=total > 0) for part in parts)


def analyze_calibration(config: Config, reliability_path: str | Path, output: str | Path) -> None:
    """Write the table of calibration errors and reliability diagrams.

    Args:
        config: the study.
        reliability_path: merged counts in bins.
        output: one row per arm, split, kind and quantity.
    """
    table = reported(read_table(reliability_path, RELIABILITY))
    rows = []
    for split in sorted(set(table["split"])):
        for kind in KINDS:
            part = table[(table["split"] == split) & (table["kind"] == kind)]
            if part.empty:
                continue
            draws = draw(part, config.evaluation.resamples, generator(config.seed, "evaluation", "calibration", split))
            for arm in config.compared:
                here = part[part["arm"] == arm]
                rows += [{"arm": arm, "split": split, "kind": kind} | row for row in _rows(config, here, draws)]
    write_table(make_table(rows, CALIBRATION), output, CALIBRATION)


def _rows(config: Config, table: "pd.DataFrame", draws: Draws) -> list[dict[str, Any]]:
    """Rows of :data:`CALIBRATION` of one arm, split and kind, without these names."""
    if table.empty:
        return []
    sums = _unit_sums(table, draws)
    ece, brier = calibration_errors(sums)
    count = sums[..., 0]
    predicted, observed = (np.divide(sums[..., i], count, out=np.full(count.shape, np.nan), where=count > 0) for i in (2, 1))
    level = config.evaluation.confidence
    found = average(np.concatenate([ece[..., None], brier[..., None], observed], axis=-1), draws, level)
    centers = average(predicted, draws, level).value
    found.ci_low[0], found.ci_high[0] = _centered(ece, draws, level)
    general = {"n_patients": table["patient_id"].nunique(), "trainings": table.groupby(TRAINING).ngroups}
    counts = table.groupby("bin")["count"].sum()
    rows = []
    for i, quantity in enumerate([ECE, BRIER, *[BIN] * BINS]):
        place = {"bin_low": math.nan, "bin_high": math.nan, "predicted": math.nan, "count": int(counts.sum())}
        if quantity == BIN:
            number = i - 2
            if number not in counts.index:
                continue
            place = {"bin_low": number / BINS, "bin_high": (number + 1) / BINS, "count": int(counts[number])}
            place |= {"predicted": float(centers[number])}
        bounds = shares(found, i, general["n_patients"] if quantity == BIN else 0, level)
        rows.append({"quantity": quantity} | place | bounds | general | {"interval": draws.interval})
    return rows


def _unit_sums(table: "pd.DataFrame", draws: Draws) -> np.ndarray:
    """Sums of every training and draw, shape ``(units, draws, bins, 4)``."""
    values = table[SUMS].to_numpy(float)
    if table["kind"].iloc[0] == VOXEL:
        values /= table.groupby(["case_id", *TRAINING])["count"].transform("sum").to_numpy(float)[:, None]
    places = {patient: place for place, patient in enumerate(draws.patients)}
    units = {unit: position for position, unit in enumerate(draws.units)}
    sums = np.zeros((len(units), len(places), BINS, len(SUMS)))
    position = training_units(table).map(units).to_numpy(int), table["patient_id"].map(places).to_numpy(int)
    np.add.at(sums, (*position, table["bin"].to_numpy(int)), values)
    return np.einsum("rp,upbk->urbk", draws.patient_weights, sums, optimize=True)


def _centered(ece: np.ndarray, draws: Draws, confidence: float) -> tuple[float, float]:
    """Interval of the calibration error, moved by its bias: resampled bins are noisier, so that their errors are too great."""
    weights = np.where(np.isnan(ece), 0, draws.unit_weights.T)
    means = np.nansum(weights * ece, axis=0) / weights.sum(axis=0)
    shift = float(np.nanmean(means[1:]) - means[0])
    low, high = np.nanquantile(means[1:], [(1 - confidence) / 2, (1 + confidence) / 2]) - shift
    return max(float(low), 0.0), min(float(high), 1.0)
