"""Refuse score tables that cannot be right, before anything is computed from them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.errors import UserError
from freetumor.evaluation.empty import INCLUDING_EMPTY
from freetumor.evaluation.metric_names import BETTER

if TYPE_CHECKING:
    import pandas as pd

WITHOUT_LIMIT = {"hd95", "assd", "masd", "false_positives"}  # from 0 up; all others end at 1
SCORE_KEY = ["split", "arm", "fold", "seed", "case_id", "structure", "metric"]
LESION_KEY = ["split", "arm", "fold", "seed", "case_id", "structure", "lesion"]


def check_scores(scores: "pd.DataFrame", path: str | Path) -> None:
    """Check that no score is there twice, and that each lies in the range of its metric. A missing value (NaN) is allowed.

    Raises:
        UserError: naming the file, and the case, arm and seed of the first bad row.
    """
    _check_once(scores, SCORE_KEY, path)
    metric = scores["metric"].str.removesuffix(INCLUDING_EMPTY)
    value = scores["value"].to_numpy(float)
    limit = np.where(metric.isin(WITHOUT_LIMIT), np.finfo(float).max, 1 + 1e-9)
    wrong = metric.isin(BETTER).to_numpy() & ~np.isnan(value) & ~((value >= -1e-9) & (value <= limit))
    if wrong.any():
        row = scores[wrong].iloc[0]
        expected = "0 or more" if row["metric"].removesuffix(INCLUDING_EMPTY) in WITHOUT_LIMIT else "0 to 1"
        raise UserError(f"{path}: {_name(row)}: {row['metric']} is {row['value']:g}, expected {expected}")


def check_lesions(lesions: "pd.DataFrame", path: str | Path) -> None:
    """Check that no reference lesion is there twice for the same arm and training.

    Raises:
        UserError: naming the file, and the case, arm and seed of the first bad row.
    """
    _check_once(lesions, LESION_KEY, path)


def _check_once(frame: "pd.DataFrame", key: list[str], path: str | Path) -> None:
    twice = frame.duplicated(key)
    if twice.any():
        row = frame[twice].iloc[0]
        what = f"{row[key[-1]]}" if key[-1] == "metric" else f"lesion {row[key[-1]]}"
        raise UserError(f"{path}: {_name(row)}: {what} of {row['structure']} is there twice, expected once")


def _name(row: "pd.Series") -> str:
    return f"case {row['case_id']}, arm {row['arm']}, fold {row['fold']}, seed {row['seed']}"
