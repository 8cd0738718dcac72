"""Accuracy against the number of samples that were added to the training set."""

import math
from typing import TYPE_CHECKING, Any

from freetumor.core.config import Config
from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema, make_table
from freetumor.evaluation.metric_names import ACCURACY
from freetumor.evaluation.pairing import pooled_estimate
from freetumor.evaluation.structures import ALL_LESIONS

if TYPE_CHECKING:
    import pandas as pd

CLASSIC, SELECTION = "classic", "selection"
CURVES = Schema(
    "accuracy by added samples",
    {
        "kind": TEXT,  # classic, the synthesizer of the arm, or selection
        "arm": TEXT,
        "group": NUMBER,  # classically augmented samples; none of a selection
        "synthetic": NUMBER,  # synthetic samples of all categories together
        "added": NUMBER,  # both together
        "accuracy": NUMBER,  # mean over test cases and seeds
        "ci_low": NUMBER,
        "ci_high": NUMBER,
        "interval": TEXT,  # what the interval takes as random
        "n": INTEGER,  # test cases
        "seeds": INTEGER,
    },
)


def added_samples(config: Config, arm: str) -> tuple[int, int]:
    """Samples that an arm adds to the originals: classically augmented ones, and synthetic ones of all categories."""
    settings = config.arms[arm]
    return settings.group, settings.synthetic * len(config.categories) if settings.synthesizer else 0


def accuracy_curves(config: Config, scores: "pd.DataFrame") -> "pd.DataFrame":
    """The accuracy of every arm and selection with an interval for patients and trainings as random.

    Args:
        config: the study.
        scores: scores of the development split.

    Returns:
        Rows of :data:`CURVES`, by kind and number of samples.
    """
    here = scores[(scores["metric"] == ACCURACY) & (scores["structure"] == ALL_LESIONS)]
    rows = []
    for arm in config.compared:
        estimate = pooled_estimate(here, arm, config.evaluation.confidence)
        own = here[here["arm"] == arm]
        row = _place(config, arm) | {"arm": arm, "accuracy": estimate.difference, "interval": estimate.test}
        row |= {"ci_low": max(estimate.ci_low, 0.0), "ci_high": min(estimate.ci_high, 1.0)}
        rows.append(row | {"n": own["case_id"].nunique(), "seeds": own["seed"].nunique()})
    order = [CLASSIC, *config.synthesizers, SELECTION]
    rows.sort(key=lambda row: (order.index(row["kind"]), 0 if row["kind"] == SELECTION else row["added"]))
    return make_table(rows, CURVES)


def _place(config: Config, arm: str) -> dict[str, Any]:
    if arm in config.evaluation.selections:
        return {"kind": SELECTION, "group": math.nan, "synthetic": math.nan, "added": math.nan}
    group, synthetic = added_samples(config, arm)
    kind = config.arms[arm].synthesizer if synthetic else CLASSIC
    return {"kind": kind, "group": group, "synthetic": synthetic, "added": group + synthetic}
