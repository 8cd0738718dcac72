"""The plain table: every metric of every arm, with the numbers of empty masks behind it."""

from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.tables import INTEGER, NUMBER, TEXT, Schema, conform
from freetumor.evaluation.metric_names import EARLY
from freetumor.evaluation.pairing import DEVELOPMENT, TRAINING
from freetumor.evaluation.tasks import TASKS

if TYPE_CHECKING:
    import pandas as pd

ARMS = Schema(
    "arms",
    {
        "metric": TEXT,
        "structure": TEXT,
        "split": TEXT,
        "arm": TEXT,
        "n": INTEGER,  # values: predictions of a case (case x training), for sensitivity_early of a lesion
        "n_empty_references": INTEGER,  # predictions where the structure is absent from the reference
        "n_missed": INTEGER,  # predictions that are empty though the reference is not
        "n_false_alarms": INTEGER,  # predictions that are not empty though the reference is
        "mean": NUMBER,  # over patients of the mean over their scans and trainings; sensitivity_early: over lesions
        "sd": NUMBER,  # between trainings that were scored on the same patients; NaN with one training per fold
        "cases": INTEGER,
        "patients": INTEGER,
        "trainings": INTEGER,
    },
)
EMPTINESS = ["n_empty_references", "n_missed", "n_false_alarms"]
GROUP = ["metric", "structure", "split", "arm"]
VOLUMES = ["reference_ml", "predicted_ml"]  # bookkeeping rows of the score table that tell which masks are empty


def describe_arms(config: Config, scores: "pd.DataFrame", lesions: "pd.DataFrame") -> "pd.DataFrame":
    """Describe every metric, structure, split and arm.

    Args:
        config: the study.
        scores: merged scores.
        lesions: merged reference lesions.

    Returns:
        Rows of :data:`ARMS`, arms in the order of the study.
    """
    import pandas as pd

    task = TASKS[config.task]
    values = scores[~scores["metric"].isin(task.bookkeeping)]
    by_patient = values.groupby([*GROUP, *TRAINING, "patient_id"], as_index=False)["value"].mean()
    tables = [_describe(values, by_patient, by_patient.groupby([*GROUP, "patient_id"])["value"].mean())]
    if EARLY in task.compared:
        early = lesions[lesions["diameter_mm"] <= config.evaluation.early_mm]
        early = early.assign(metric=EARLY, value=early["detected"].astype(float))
        tables.append(_describe(early, early, early.set_index(GROUP)["value"]))
    described = pd.concat(tables, ignore_index=True)
    described = described.merge(_emptiness(scores), on=["structure", "split", "arm"], how="left")
    described = described.fillna(dict.fromkeys(EMPTINESS, 0))  # without masks, none is empty
    order = {arm: position for position, arm in enumerate(config.compared)}
    described = described[described["arm"].isin(list(order))]
    position = described["arm"].map(order)
    described = described.assign(position=position).sort_values(["split", "structure", "metric", "position"])
    return conform(described.drop(columns="position"), ARMS)


def _describe(values: "pd.DataFrame", weighted: "pd.DataFrame", units: "pd.Series") -> "pd.DataFrame":
    """Counts, mean and spread per group.

    Args:
        values: one row per scored unit and training.
        weighted: rows whose plain mean within a training is the mean of that training.
        units: values whose plain mean within a group is the mean of the group, indexed by the group.
    """
    groups = values.groupby(GROUP)
    table = groups.agg(n=("value", "size"), cases=("case_id", "nunique"), patients=("patient_id", "nunique"))
    table["mean"] = units.groupby(level=GROUP).mean()
    trainings = weighted.groupby([*GROUP, *TRAINING], as_index=False)["value"].mean()
    table["trainings"] = trainings.groupby(GROUP).size()
    table["sd"] = _within_fold_sd(trainings)
    return table.reset_index()


def _within_fold_sd(trainings: "pd.DataFrame") -> "pd.Series":
    """Standard deviation between trainings that share their patients, pooled over folds."""
    block = trainings["fold"].where(trainings["split"] == DEVELOPMENT, -1)
    blocks = trainings.assign(block=block).groupby([*GROUP, "block"])["value"]
    degrees = blocks.size() - 1
    squares = blocks.var(ddof=0) * blocks.size()
    return (squares.groupby(level=GROUP).sum() / degrees.groupby(level=GROUP).sum()) ** 0.5


def _emptiness(scores: "pd.DataFrame") -> "pd.DataFrame":
    """Number of predictions with an empty reference, missed and falsely alarmed, per structure, split and arm."""
    volumes = scores[scores["metric"].isin(VOLUMES)]
    keys = ["structure", "split", "arm", "case_id", *TRAINING]
    table = volumes.set_index([*keys, "metric"])["value"].unstack("metric").reindex(columns=VOLUMES)
    absent, silent = table["reference_ml"] == 0, table["predicted_ml"] == 0
    flags = absent.to_frame("n_empty_references")
    flags = flags.assign(n_missed=~absent & silent, n_false_alarms=absent & ~silent)
    return flags.groupby(level=["structure", "split", "arm"]).sum().reset_index()
