"""What is scored, compared and shown in each task."""

from collections.abc import Callable
from dataclasses import dataclass

from freetumor.core.config import Config
from freetumor.evaluation.metric_names import (
    ACCURACY,
    CANDIDATE_COUNT,
    CATEGORY,
    COMPARED,
    PREDICTED,
    PROBABILITY,
    SENSITIVITY,
    SPECIFICITY,
)
from freetumor.evaluation.structures import ALL_LESIONS, ANY_TUMOR, tumor_structures


@dataclass(frozen=True)
class Task:
    """A kind of study, as the evaluation sees it.

    Attributes:
        overall: the structure that primary comparisons are made for.
        compared: metrics that arms are compared in, in order.
        bookkeeping: rows of the score table that are no metric of an arm.
        structures: structures that comparisons are made for, the overall one first.
        masks: whether predictions are masks, which may be empty.
        hit: what has become of a lesion that counts as detected.
    """

    overall: str
    compared: tuple[str, ...]
    bookkeeping: tuple[str, ...]
    structures: Callable[[Config], list[str]]
    masks: bool
    hit: str


TASKS = {
    "segmentation": Task(
        ANY_TUMOR,
        COMPARED,
        ("reference_ml", "predicted_ml", CANDIDATE_COUNT),
        lambda config: tumor_structures(config.organs),
        True,
        "detected",
    ),
    "classification": Task(
        ALL_LESIONS,
        (ACCURACY, SENSITIVITY, SPECIFICITY),
        (CATEGORY, PREDICTED, PROBABILITY),
        lambda config: [ALL_LESIONS, *config.categories],
        False,
        "classified correctly",
    ),
}
OVERALL = tuple(task.overall for task in TASKS.values())
