"""Bring long tables of scores into crossed form: every patient with every training.

A training is a pair (fold, seed). Development patients are scored by the trainings of their own fold, external ones by all
trainings; so development gives one block per fold, any other split one block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from freetumor.evaluation.statistics.crossed import Estimate, random_effects, ratio_blocks

if TYPE_CHECKING:
    import pandas as pd

DEVELOPMENT = "development"
VALIDATION = "validation"  # training side of a fold: arms may be chosen by it, and nothing is reported of it
TRAINING = ["fold", "seed"]


@dataclass(frozen=True)
class Block:
    """Patients that were scored by the same trainings.

    Attributes:
        totals: per arm, the sum over a patient's units (scans or lesions), shape ``(patients, trainings)``.
        counts: units of each patient, shape ``(patients,)``.
    """

    totals: Mapping[str, np.ndarray]
    counts: np.ndarray

    @property
    def trainings(self) -> int:
        """Number of trainings."""
        return next(iter(self.totals.values())).shape[1]

    def means(self, arm: str) -> np.ndarray:
        """Mean of each patient's units, shape ``(patients, trainings)``."""
        return self.totals[arm] / self.counts[:, None]


def cross(frame: "pd.DataFrame", arms: Sequence[str], column: str, unit: Sequence[str] = ("case_id",)) -> list[Block]:
    """Cross patients with trainings.

    Trainings that one of the arms lacks are left out, then units that one of the remaining trainings lacks: a difference is
    always taken between values of the same unit.

    Args:
        frame: rows of one split; columns ``split patient_id arm fold seed``, those of ``unit``, and ``column``.
        arms: arms to be compared.
        column: the value.
        unit: what identifies a scan or a lesion within a patient.
    """
    frame = frame[frame["arm"].isin(arms)]
    fold = frame["fold"].where(frame["split"] == DEVELOPMENT, -1)
    blocks = []
    for _, part in frame.groupby(fold, sort=True):
        keys = ["arm", *TRAINING]
        table = part.set_index(["patient_id", *unit, *keys])[column].astype(float).unstack(keys)
        shared = sorted(set.intersection(*({key[1:] for key in table if key[0] == arm} for arm in arms)))
        if not shared:
            continue
        table = table[[(arm, *training) for arm in arms for training in shared]].dropna()
        if table.empty:
            continue
        patients = table.groupby(level="patient_id", sort=True)
        totals = patients.sum()
        blocks.append(Block({arm: totals[arm].to_numpy() for arm in arms}, patients.size().to_numpy(float)))
    return blocks


def left_out(frame: "pd.DataFrame", arms: Sequence[str], blocks: Sequence[Block], unit: Sequence[str] = ("case_id",)) -> str:
    """What :func:`cross` could not pair, in words such as ``paired on 22 of 24 cases``; empty if it paired everything.

    Args:
        frame: the rows that were crossed.
        arms: the arms that were compared.
        blocks: what came out.
        unit: what identifies a scan or a lesion.
    """
    frame = frame[frame["arm"].isin(arms)]
    noun = "cases" if len(unit) == 1 else "lesions"
    parts = []
    for name, found, offered in (
        (noun, int(sum(block.counts.sum() for block in blocks)), len(frame[["patient_id", *unit]].drop_duplicates())),
        ("trainings", sum(block.trainings for block in blocks), len(frame[TRAINING].drop_duplicates())),
    ):
        if found < offered:
            parts.append(f"{found} of {offered} {name}")
    return f"paired on {' and '.join(parts)}" if parts else ""


def reported(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of a score or lesion table that may be reported: all but those of validation cases."""
    return frame[frame["split"] != VALIDATION]


def pooled_ratio(blocks: Sequence[Block], arm: str) -> float:
    """Sum of totals over sum of counts; trainings of a block are averaged."""
    total = sum(block.totals[arm].mean(axis=1).sum() for block in blocks)
    return float(total / sum(block.counts.sum() for block in blocks))


def pooled_estimate(frame: "pd.DataFrame", arm: str, confidence: float, baseline: str | None = None) -> Estimate:
    """A mean over cases, or its difference from the baseline, with patients and trainings random.

    Args:
        frame: score rows of one metric, structure and split.
        arm: the arm.
        confidence: level of the interval.
        baseline: the arm that is subtracted, on the same cases and trainings.
    """
    blocks = cross(frame, [arm] if baseline is None else [arm, baseline], "value")
    totals = [block.totals[arm] - (block.totals[baseline] if baseline is not None else 0) for block in blocks]
    return random_effects(ratio_blocks(totals, [block.counts for block in blocks]), confidence)


def patient_mean(blocks: Sequence[Block], arm: str) -> float:
    """Mean over patients of the mean over a patient's scans and trainings."""
    return float(np.concatenate([block.means(arm).mean(axis=1) for block in blocks]).mean())
