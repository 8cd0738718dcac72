"""Choosing an arm among several, and reporting the chosen one as if it were an arm.

A researcher who tries several amounts of data reports the best. Chosen on the test folds, the best is partly best by luck, so
its score is too high (optimistic selection); chosen within the training folds it is not (nested selection).
"""

from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config, Selection
from freetumor.core.errors import UserError
from freetumor.core.tables import FLAG, INTEGER, NUMBER, TEXT, Schema, make_table
from freetumor.evaluation.metric_names import BETTER, EARLY
from freetumor.evaluation.pairing import DEVELOPMENT, VALIDATION
from freetumor.evaluation.tasks import TASKS

if TYPE_CHECKING:
    import pandas as pd

SELECTIONS = Schema(
    "selections",
    {
        "fold": INTEGER,
        "selection": TEXT,
        "by": TEXT,  # validation (nested) or test (optimistic)
        "candidate": TEXT,
        "value": NUMBER,  # mean over cases and seeds: of the fold's validation cases, or of the test cases of all folds
        "chosen": FLAG,
    },
)


def select_arms(config: Config, scores: "pd.DataFrame") -> "pd.DataFrame":
    """Choose a candidate per selection and fold; of equals, the one named first.

    The criterion is the first metric of ``evaluation.primary``. By ``validation``, a fold's choice rests on the validation
    cases of its own training side. By ``test``, one choice for all folds rests on their test cases together.

    Args:
        config: the study.
        scores: merged scores, validation cases included.

    Returns:
        Rows of :data:`SELECTIONS`.

    Raises:
        UserError: if a candidate has no scores to be chosen by.
    """
    rows = []
    if config.evaluation.selections:
        metric = _criterion(config)
        scores = scores[(scores["metric"] == metric) & (scores["structure"] == TASKS[config.task].overall)]
    for name, selection in config.evaluation.selections.items():
        for fold in config.folds:
            values = _values(name, selection, fold, scores)
            best = int(np.argmax(values if BETTER[metric] == "higher" else [-value for value in values]))
            for place, (candidate, value) in enumerate(zip(selection.candidates, values, strict=True)):
                row = {"fold": fold, "selection": name, "by": selection.by, "candidate": candidate}
                rows.append(row | {"value": value, "chosen": place == best})
    return make_table(rows, SELECTIONS)


def with_selections(frame: "pd.DataFrame", selections: "pd.DataFrame") -> "pd.DataFrame":
    """A score or lesion table with the rows of the chosen arms once more, under the names of the selections."""
    import pandas as pd

    copies = [
        frame[(frame["arm"] == row.candidate) & (frame["fold"] == row.fold)].assign(arm=row.selection)
        for row in selections[selections["chosen"]].itertuples()
    ]
    return pd.concat([frame, *copies], ignore_index=True) if copies else frame


def _criterion(config: Config) -> str:
    metric = config.evaluation.primary[0] if config.evaluation.primary else ""
    if metric not in TASKS[config.task].compared or metric == EARLY:
        raise UserError(f"evaluation.primary: selections need a metric of cases as the first entry, got '{metric}'")
    return metric


def _values(name: str, selection: Selection, fold: int, scores: "pd.DataFrame") -> list[float]:
    """The criterion of each candidate."""
    if selection.by == "validation":
        seen = scores[(scores["split"] == VALIDATION) & (scores["fold"] == fold)]
        expected = f"of validation cases in fold {fold}: a classification has them if cohort.validation is above 0"
    else:
        seen, expected = scores[scores["split"] == DEVELOPMENT], "of test cases"
    means = seen.groupby("arm")["value"].mean()
    for candidate in selection.candidates:
        if candidate not in means:
            raise UserError(f"evaluation.selections.{name}: '{candidate}' has no scores {expected}")
    return [float(means[candidate]) for candidate in selection.candidates]
