"""Draws of patients and trainings for statistics that are no ratio of sums, such as curves and areas.

Statistics are computed for each trained recognizer by itself, then averaged: scores of two networks need not be on one scale.
A training unit is a seed, pooled over the folds, where each fold's patients are scored by its own trainings (development), and
a pair of fold and seed where all trainings score the same patients (any other split).

The resampling is that of :mod:`freetumor.evaluation.statistics.bootstrap`: of ``n`` patients of a fold, or trainings, ``n - 1``
are drawn (Rao and Wu 1988). All arms see the same draws, so that their differences are paired.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.evaluation.pairing import DEVELOPMENT
from freetumor.evaluation.statistics.bootstrap import percentile_interval
from freetumor.evaluation.statistics.proportions import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

BOTH = "percentile bootstrap, patients and trainings resampled"
PATIENTS = "percentile bootstrap, patients resampled, this training only"


@dataclass(frozen=True)
class Draws:
    """Weights of patients and trainings in every draw; the first row of each is the sample itself.

    Attributes:
        patients: ids.
        units: trainings.
        patient_weights: shape ``(1 + resamples, patients)``.
        unit_weights: shape ``(1 + resamples, units)``.
    """

    patients: list[str]
    units: list[str]
    patient_weights: np.ndarray
    unit_weights: np.ndarray

    @property
    def interval(self) -> str:
        """What intervals take as random."""
        return BOTH if len(self.units) > 1 else PATIENTS


@dataclass(frozen=True)
class Averages:
    """Statistics averaged over trainings, each of shape ``(statistics,)``; NaN where there is none.

    Attributes:
        value: of the sample.
        ci_low: of the percentile interval.
        ci_high: of the percentile interval.
        sd: between trainings.
    """

    value: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    sd: np.ndarray


def training_units(frame: "pd.DataFrame") -> "pd.Series":
    """The training unit of every row, as text."""
    seed = frame["seed"].astype(str)
    return seed.where(frame["split"] == DEVELOPMENT, frame["fold"].astype(str) + "/" + seed)


def draw(frame: "pd.DataFrame", resamples: int, rng: np.random.Generator) -> Draws:
    """Draw patients within folds, and trainings.

    Args:
        frame: rows of one split and all arms; columns ``split patient_id fold seed``.
        resamples: number of draws.
        rng: where randomness comes from.
    """
    fold = frame["fold"].where(frame["split"] == DEVELOPMENT, -1)
    folds = fold.groupby(frame["patient_id"]).first().sort_index()
    units = sorted(set(training_units(frame)))
    patient_weights = np.ones((1 + resamples, len(folds)))
    for value in sorted(set(folds)):
        members = np.flatnonzero(folds == value)
        patient_weights[1:, members] = _weights(len(members), resamples, rng)
    unit_weights = np.concatenate([np.ones((1, len(units))), _weights(len(units), resamples, rng)])
    return Draws(list(folds.index), units, patient_weights, unit_weights)


def average(values: np.ndarray, draws: Draws, confidence: float) -> Averages:
    """Average statistics over trainings, in the sample and in every draw.

    Args:
        values: shape ``(units, 1 + resamples, statistics)``; NaN where a training or a draw has no value.
        draws: the draws that gave them.
        confidence: level of the intervals.
    """
    weights = np.where(np.isnan(values), 0.0, draws.unit_weights.T[:, :, None])
    total = weights.sum(axis=0)
    means = np.divide((weights * np.nan_to_num(values)).sum(axis=0), total, out=np.full(total.shape, np.nan), where=total > 0)
    bounds = np.array([percentile_interval(column, confidence) for column in means[1:].T]).reshape(-1, 2)
    spread = np.array([_sd(column[~np.isnan(column)]) for column in values[:, 0].T])
    return Averages(means[0], bounds[:, 0], bounds[:, 1], spread)


def with_differences(
    config: Config, values: Mapping[str, np.ndarray], draws: Draws
) -> Iterator[tuple[str, Averages, Averages]]:
    """Averages of the statistics of every arm, and of their differences from those of the first arm of the study.

    Args:
        config: the study.
        values: of each arm, shape ``(units, 1 + resamples, statistics)``.
        draws: the draws that gave them.
    """
    baseline = config.compared[0]
    level = config.evaluation.confidence
    for arm, own in values.items():
        paired = arm != baseline and baseline in values
        contrast = own - values[baseline] if paired else np.full_like(own, np.nan)
        yield arm, average(own, draws, level), average(contrast, draws, level)


def shares(found: Averages, i: int, units: int, confidence: float) -> dict[str, float]:
    """Columns of statistic ``i``, a share. Where all units agree, resampling shows no spread: Wilson's interval then.

    Args:
        found: averages.
        i: position of the statistic.
        units: patients behind the share; 0 if it is none, and has no such interval.
        confidence: level of the interval.
    """
    value, low, high = float(found.value[i]), float(found.ci_low[i]), float(found.ci_high[i])
    if value in (0.0, 1.0) and low == high and units:
        low, high = wilson_interval(value * units, units, confidence)
    return {"value": value, "ci_low": low, "ci_high": high, "sd": float(found.sd[i])}


def differences(contrast: Averages, i: int) -> dict[str, float]:
    """Columns of the difference of statistic ``i`` from the baseline."""
    columns = {"difference": contrast.value, "difference_low": contrast.ci_low, "difference_high": contrast.ci_high}
    return {name: float(values[i]) for name, values in columns.items()}


def _sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _weights(units: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of each unit in each draw of ``units - 1`` units with replacement; their sum is ``units``."""
    if units == 1:
        return np.ones((resamples, 1))
    return rng.multinomial(units - 1, np.full(units, 1 / units), size=resamples) * (units / (units - 1))
