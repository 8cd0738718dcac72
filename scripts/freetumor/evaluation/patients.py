"""Patients with and without tumor, told apart by the confidence of their surest lesion candidate."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema
from freetumor.evaluation.metric_names import CANDIDATE_COUNT, SENSITIVITY, SPECIFICITY
from freetumor.evaluation.pairing import TRAINING
from freetumor.evaluation.resampling import Draws, differences, shares, training_units, with_differences
from freetumor.evaluation.statistics.roc import auc_interval, youden_threshold
from freetumor.evaluation.structures import ANY_TUMOR

if TYPE_CHECKING:
    import pandas as pd

AUC = "auc"
NEVER = 2.0  # a threshold that no confidence reaches
METRICS = (AUC, SENSITIVITY, SPECIFICITY)
PATIENTS = Schema(
    "patients",
    {
        "arm": TEXT,
        "split": TEXT,
        "metric": TEXT,  # auc; sensitivity and specificity at the threshold
        "value": NUMBER,  # mean over trainings; NaN without patients of the kind, or without a threshold
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "sd": NUMBER,  # between trainings
        "difference": NUMBER,  # from the baseline
        "difference_low": NUMBER,
        "difference_high": NUMBER,
        "baseline": TEXT,
        "threshold": NUMBER,  # median over trainings of the one with the greatest Youden index on validation; 2: none
        "n_patients": INTEGER,
        "n_tumor": INTEGER,  # with a tumor
        "trainings": INTEGER,
        "interval": TEXT,  # what intervals take as random
    },
)
KEY = ["arm", *TRAINING]


def scored_scans(scores: "pd.DataFrame") -> "pd.DataFrame":
    """One row per scan and training whose candidates were looked for, with a flag ``tumor``."""
    rows = scores[scores["structure"] == ANY_TUMOR]
    keys = ["split", *KEY, "case_id"]
    volumes = rows.loc[rows["metric"] == "reference_ml", [*keys, "value"]].rename(columns={"value": "reference"})
    scans = rows[rows["metric"] == CANDIDATE_COUNT].merge(volumes, on=keys, validate="one_to_one")
    return scans.assign(tumor=scans["reference"] > 0)


def thresholds(scans: "pd.DataFrame", candidates: "pd.DataFrame") -> dict[tuple, float]:
    """The threshold of each arm, fold and seed: the greatest Youden index on its validation patients.

    Args:
        scans: of validation cases.
        candidates: of validation cases.

    Returns:
        NaN where the validation patients of a training are all of one kind.
    """
    patients = _by_patient(scans, candidates)
    fixed = {}
    for key, part in patients.groupby(KEY):
        kinds = part["tumor"].nunique()
        chosen = youden_threshold(part["tumor"].to_numpy(), part["confidence"].to_numpy()) if kinds > 1 else math.nan
        fixed[key] = float(np.clip(chosen, 0.0, NEVER))
    return fixed


def patient_rows(
    config: Config, scans: "pd.DataFrame", candidates: "pd.DataFrame", fixed: dict[tuple, float], draws: Draws
) -> list[dict[str, Any]]:
    """Rows of :data:`PATIENTS` of one split, without its name.

    Args:
        config: the study.
        scans: one row per scan and training.
        candidates: of the same scans.
        fixed: threshold of each arm, fold and seed.
        draws: of patients and trainings.
    """
    patients = _by_patient(scans, candidates)
    patients = patients.assign(
        unit=training_units(patients),
        threshold=[fixed.get(key, math.nan) for key in zip(*(patients[name] for name in KEY), strict=True)],
    )
    present = [arm for arm in config.compared if arm in set(patients["arm"])]
    values = {arm: _statistics(patients[patients["arm"] == arm], draws) for arm in present}
    rows = []
    for arm, own, contrast in with_differences(config, values, draws):
        here = patients[patients["arm"] == arm]
        kinds = here.groupby("patient_id")["tumor"].first()
        counts = {"n_patients": len(kinds), "n_tumor": int(kinds.sum()), "trainings": here.groupby(TRAINING).ngroups}
        for i, metric in enumerate(METRICS):
            row = {"arm": arm, "metric": metric, "baseline": config.compared[0], "interval": draws.interval} | counts
            row |= {"threshold": math.nan if metric == AUC else here.groupby(TRAINING)["threshold"].first().median()}
            of_kind = {SENSITIVITY: counts["n_tumor"], SPECIFICITY: len(kinds) - counts["n_tumor"]}
            row |= shares(own, i, of_kind.get(metric, 0), config.evaluation.confidence) | differences(contrast, i)
            rows.append(row | (_bounds_without_spread(row, here, config) if metric == AUC else {}))
    return rows


def weighted_auc(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve for several weightings of the patients; a tie counts one half.

    Args:
        truth: flags, shape ``(patients,)``.
        scores: shape ``(patients,)``.
        weights: shape ``(draws, patients)``.

    Returns:
        Shape ``(draws,)``; NaN where a draw lacks a kind of patient.
    """
    above = scores[truth][:, None] - scores[~truth][None]
    wins = (above > 0) + 0.5 * (above == 0)
    pairs = np.einsum("rp,pn,rn->r", weights[:, truth], wins, weights[:, ~truth], optimize=True)
    total = weights[:, truth].sum(axis=1) * weights[:, ~truth].sum(axis=1)
    return np.divide(pairs, total, out=np.full(len(weights), np.nan), where=total > 0)


def _by_patient(scans: "pd.DataFrame", candidates: "pd.DataFrame") -> "pd.DataFrame":
    """One row per patient and training: whether a scan shows a tumor, and the greatest confidence of a candidate (or 0)."""
    keys = ["split", *KEY, "patient_id"]
    patients = scans.groupby(keys, as_index=False)["tumor"].any()
    surest = candidates.groupby(keys, as_index=False)["confidence"].max()
    return patients.merge(surest, on=keys, how="left").fillna({"confidence": 0.0})


def _statistics(patients: "pd.DataFrame", draws: Draws) -> np.ndarray:
    """Area, sensitivity and specificity of one arm, shape ``(units, draws, 3)``."""
    places = {patient: place for place, patient in enumerate(draws.patients)}
    values = np.full((len(draws.units), len(draws.patient_weights), len(METRICS)), np.nan)
    for position, unit in enumerate(draws.units):
        here = patients[patients["unit"] == unit]
        weights = draws.patient_weights[:, here["patient_id"].map(places).to_numpy(int)]
        truth, scores = here["tumor"].to_numpy(bool), here["confidence"].to_numpy(float)
        values[position, :, 0] = weighted_auc(truth, scores, weights)
        called = (here["confidence"] >= here["threshold"]).to_numpy()
        if here["threshold"].isna().any():
            continue
        for column, (kind, right) in enumerate(((truth, called), (~truth, ~called)), 1):
            total = weights[:, kind].sum(axis=1)
            hits = weights[:, kind & right].sum(axis=1)
            np.divide(hits, total, out=values[position, :, column], where=total > 0)
    return values


def _bounds_without_spread(row: dict[str, Any], patients: "pd.DataFrame", config: Config) -> dict[str, float]:
    """Where all trainings separate the patients perfectly, or not at all, resampling says nothing: the bounds of one area."""
    kinds = patients.groupby("patient_id")["tumor"].first().to_numpy(bool)
    if row["value"] not in (0.0, 1.0) or min(kinds.sum(), (~kinds).sum()) < 2:
        return {}
    area = auc_interval(kinds, kinds == (row["value"] == 1), config.evaluation.confidence)
    return {"ci_low": area.ci_low, "ci_high": area.ci_high}
