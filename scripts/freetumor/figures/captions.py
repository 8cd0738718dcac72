"""Captions and alternative texts of the figures, with their numbers taken from the tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.evaluation.metrics import EARLY
from freetumor.figures.answers import count, listing, percent, test_names
from freetumor.figures.differences import SPLITS
from freetumor.figures.flow import Flow
from freetumor.figures.style import metric_name, readable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Facts:
    """The tables that captions quote from."""

    config: Config
    flow: Flow
    comparisons: "pd.DataFrame"  # the primary ones
    sizes: "pd.DataFrame"


@dataclass(frozen=True)
class Caption:
    """What a figure shows: a title, a text, and a description for those who cannot see it."""

    title: str
    text: str
    alternative: str


def caption(name: str, facts: Facts) -> Caption:
    """The caption of a figure; one that this module does not know is named after its file."""
    made = CAPTIONS.get(name)
    return made(facts) if made else Caption(f"{readable(name).capitalize()}.", "", f"Figure {readable(name)}.")


def _cohort(facts: Facts) -> Caption:
    flow = facts.flow
    lost = [f"{number:,} {reason}" for reason, number in (("quarantined", flow.quarantined), *flow.excluded.items())]
    text = (
        f"a, Of {count(flow.raw, 'case')}, {flow.analyzed:,} were used ({listing(lost)}): {flow.development:,} for "
        f"development, {flow.pool:,} as a pool without tumor labels, {flow.external:,} for external testing. "
        "b, All cases that could be read, by source and annotation. c, Tumor volume of the annotated cases with tumor "
        "(one dot per case; line: median). "
        "d, Native voxel spacing. e, One example per source: the case with the median tumor volume, in the slice through the "
        f"middle of its largest tumor (window {_window(facts.config)})."
    )
    alternative = (
        f"Flow chart: {flow.raw} cases entered, {flow.analyzed} were used; bar chart of cases by source; strip plot of tumor "
        "volumes; scatter plot of spacings; axial CT slices with organs and tumors outlined."
    )
    return Caption("The cohort.", text, alternative)


def _lesions(facts: Facts) -> Caption:
    text = (
        "Axial slices through the center of lesions, all at one scale and window "
        f"({_window(facts.config)}). Top: annotated tumors of training cases, plain and outlined. Below, per synthesizer: "
        "the canvas before painting, after painting, and the difference with the outline of the label. Examples are chosen by "
        "rule, spread evenly over organs and from small to large, among the lesions that the gate accepted; the diameter is "
        "that of the ball of equal volume."
    )
    return Caption("Real and synthetic lesions.", text, "Grid of CT image patches: real tumors above synthetic ones.")


def _training(facts: Facts) -> Caption:
    recognition = facts.config.recognition
    text = (
        f"Thin lines: single trainings ({count(len(facts.config.folds), 'fold')}; recognizers also with "
        f"{count(len(recognition.seeds), 'seed')} each). Bold lines: their mean. Each point is the mean since the one before. "
        "Validation cases belong to the training folds."
    )
    return Caption("Training curves.", text, "Line plots of losses and validation scores against the optimizer step.")


def _differences(facts: Facts) -> Caption:
    comparisons, config = facts.comparisons, facts.config
    if comparisons.empty:
        return Caption("Differences from the baseline.", "No comparisons.", "Empty plot.")
    numbers = []
    for (split, metric), here in comparisons.groupby(["split", "metric"], sort=False):
        unit = "lesions" if metric == EARLY else "cases"
        counts = f"n = {here['n'].max()} {unit} of {here['patients'].max()} patients, {here['trainings'].max()} trainings"
        numbers.append(f"{metric_name(metric)}, {SPLITS.get(split, split)}: {counts}")
    text = (
        f"Dots: test cases, each the mean over its trainings, arm minus {config.recognition.arms[0]} on the same case. "
        f"Diamonds and bars: mean difference and {percent(config.evaluation.confidence)} confidence interval (a triangle "
        f"means that it goes on). {'; '.join(numbers)}. Test: {test_names(comparisons['test'])}; cross-validation is the "
        "primary family (p values adjusted by Holm's method), the rest is secondary."
    )
    return Caption(
        "Paired differences from the baseline.", text, "Dot plot of per-case differences; values are in the table above."
    )


def _sizes(facts: Facts) -> Caption:
    if facts.sizes.empty:
        return Caption("Lesions detected by size.", "No lesions in the test cases.", "Empty plot.")
    largest = facts.sizes.groupby(["split", "size_bin"])["lesions"].max().groupby("split").sum()
    numbers = listing([f"{SPLITS.get(split, split)}: {number:,} lesions" for split, number in largest.items()])
    evaluation = facts.config.evaluation
    text = (
        f"Share of reference lesions that are detected (one-to-one match with an intersection over union of at least "
        f"{evaluation.match_iou:g}), by diameter of the ball of equal volume, with {percent(evaluation.confidence)} confidence "
        f"intervals; {numbers}. Components below {evaluation.min_lesion_ml:g} mL do not count as lesions."
    )
    return Caption("Lesions detected by size.", text, "Point plot of the share of detected lesions by lesion diameter and arm.")


def _gate(facts: Facts) -> Caption:
    text = (
        "Share of draws by outcome, a, by size class and, b, by organ of the canvas. Refused: the gate's score stayed below "
        "the threshold in every attempt; no place: the organ had no room; empty: nothing visible was painted. "
        "c, Scores of the gate; the dashed line is the threshold."
    )
    return Caption("What became of each draw.", text, "Stacked bars of outcomes and histograms of gate scores per synthesizer.")


def _window(config: Config) -> str:
    low, high = config.working.window
    return f"{low:g} to {high:g} HU".replace("-", "−")


CAPTIONS: dict[str, Callable[[Facts], Caption]] = {
    "cohort": _cohort,
    "lesions": _lesions,
    "training": _training,
    "differences": _differences,
    "sizes": _sizes,
    "gate": _gate,
}
