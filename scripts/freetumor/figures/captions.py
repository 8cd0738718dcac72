"""The words of the figures that have several panels, with their numbers taken from the tables.

Figures of one kind of panel say their words themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.evaluation.metric_names import EARLY
from freetumor.evaluation.tasks import TASKS
from freetumor.figures.answers import count, listing, percent, test_names
from freetumor.figures.contents import CONTENTS
from freetumor.figures.flow import Flow
from freetumor.figures.fragments import Caption
from freetumor.figures.style import SPLITS, metric_name

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Facts:
    """What captions quote from.

    Attributes:
        config: the study.
        flow: of participants, for the cohort.
        comparisons: those drawn, for the differences.
        sizes: sensitivity by size.
        n: how many units the figure shows, in words.
    """

    config: Config
    flow: Flow | None = None
    comparisons: "pd.DataFrame | None" = None
    sizes: "pd.DataFrame | None" = None
    n: str = ""


def caption(name: str, facts: Facts) -> Caption:
    """The caption of a figure, by its name."""
    return CAPTIONS[name](facts)


def _cohort(facts: Facts) -> Caption:
    flow = facts.flow
    lost = [f"{number:,} {reason}" for reason, number in (("quarantined", flow.quarantined), *flow.excluded.items())]
    by_kind, sizes, examples = COHORT[CONTENTS[facts.config.task].size]
    text = (
        f"a, Of {count(flow.raw, 'case')}, {flow.analyzed:,} were used ({listing(lost)}): {flow.development:,} for "
        f"development, {flow.pool:,} as a pool without tumor labels, {flow.external:,} for external testing. "
        f"b, All cases that could be read, by source and {by_kind}. c, {sizes} (one dot per case; line: median). "
        f"d, Native voxel spacing. e, {examples} (window {_window(facts.config)})."
    )
    alternative = (
        f"Flow chart: {flow.raw} cases entered, {flow.analyzed} were used; bar chart of cases by source; strip plot of lesion "
        "sizes; scatter plot of spacings; axial CT slices with organs and tumors outlined."
    )
    return Caption("The cohort.", text, alternative, f"{count(flow.raw, 'case')}, {flow.analyzed:,} used", "case")


COHORT = {  # by the size of lesions: kinds of cases, sizes, examples
    "tumor_ml": (
        "annotation",
        "Tumor volume of the annotated cases with tumor",
        "One example per source: the case with the median tumor volume, in the slice through the middle of its largest tumor",
    ),
    "diameter_mm": (
        "category",
        "Diameter of the lesions: of the disk of equal area",
        "One example per category: the lesion with the median diameter, in its surroundings as they are stored",
    ),
}


def _lesions(facts: Facts) -> Caption:
    text = (
        "Axial slices through the center of lesions, all at one scale and window "
        f"({_window(facts.config)}). Top: annotated tumors of training cases, plain and outlined. Below, per synthesizer: "
        "the canvas before painting, after painting, and the difference with the outline of the label. Examples are chosen by "
        "rule, spread evenly over organs and from small to large, among the lesions that the gate accepted; the diameter is "
        "that of the ball of equal volume."
    )
    alternative = "Grid of CT image patches: real tumors above synthetic ones."
    return Caption("Real and synthetic lesions.", text, alternative, facts.n, "lesion; examples chosen by rule")


def _realism(facts: Facts) -> Caption:
    text = (
        "Accepted lesions of all folds beside the annotated tumors of the development cases. Gray: real lesions. a, Mean HU by "
        "distance from the border (negative inside), where lesion meets healthy organ, with pointwise "
        f"{percent(facts.config.evaluation.confidence)} bands over patients. b, 10th to 90th percentile, median, and its "
        "confidence interval. c, How well a classifier of features tells painted from real lesions; open: the control, the "
        "same for the healthy ring around them. 0.5 is chance; a control above it says that the place tells as well. d, Kernel "
        "distance of features from half of the real patients; gray: of the other half. e, Distance to the nearest training "
        "lesion per distance to the nearest real one that was never learned from; gray: with other patients in place of the "
        "training patients. Left of the gray, lesions are copied. Sizes are those of all lesions; the rest, but for e, "
        "compares lesions matched by size, whose numbers stand in a."
    )
    alternative = (
        "Line plots of HU profiles, interval plots of lesion measures, and dot plots of tests of painted against real."
    )
    resampled = f"{percent(facts.config.evaluation.confidence)} bootstrap intervals over patients"
    return Caption(
        "Painted beside real lesions.", text, alternative, facts.n, "lesion; patients are resampled", resampled, "two-sided"
    )


def _training(facts: Facts) -> Caption:
    recognition = facts.config.recognition
    text = (
        f"Thin lines: single trainings ({count(len(facts.config.folds), 'fold')}; recognizers also with "
        f"{count(len(recognition.seeds), 'seed')} each). Bold lines: their mean. Each point is the mean since the one before. "
        "Validation cases belong to the training folds."
    )
    alternative = "Line plots of losses and validation scores against the optimizer step."
    return Caption("Training curves.", text, alternative, facts.n, "training (fold and seed)")


def _differences(facts: Facts) -> Caption:
    comparisons, config = facts.comparisons, facts.config
    if comparisons.empty:
        return Caption("Differences from the baseline.", "No comparisons.", "Empty plot.", "0 comparisons", "case")
    numbers = []
    for (split, metric), here in comparisons.groupby(["split", "metric"], sort=False):
        unit = "lesions" if metric == EARLY else "cases"
        counts = f"n = {here['n'].max()} {unit} of {here['patients'].max()} patients, {here['trainings'].max()} trainings"
        numbers.append(f"{metric_name(metric)}, {SPLITS.get(split, split)}: {counts}")
    tests = test_names(comparisons["test"])
    primary = listing([metric_name(name) for name in config.evaluation.primary])
    correction = f"Holm, in the primary family: {primary} in cross-validation, all arms; none elsewhere"
    text = (
        f"Dots: test cases, each the mean over its trainings, arm minus {config.recognition.arms[0]} on the same case. "
        f"Diamonds and bars: mean difference and {percent(config.evaluation.confidence)} confidence interval (a triangle "
        f"means that it goes on). {'; '.join(numbers)}. Test: {tests}; cross-validation is the "
        "primary family (p values adjusted by Holm's method), the rest is secondary."
    )
    return Caption(
        "Paired differences from the baseline.",
        text,
        "Dot plot of per-case differences from the baseline, with mean and interval per arm.",
        "; ".join(numbers),
        "case; of the early sensitivity, lesion within patient",
        tests,
        "two-sided",
        correction,
    )


def _sizes(facts: Facts) -> Caption:
    name = f"Lesions {TASKS[facts.config.task].hit} by size"
    if facts.sizes.empty:
        return Caption(f"{name}.", "No lesions in the test cases.", "Empty plot.", "0 lesions", "lesion")
    largest = facts.sizes.groupby(["split", "size_bin"])["lesions"].max().groupby("split").sum()
    numbers = listing([f"{SPLITS.get(split, split)}: {number:,} lesions" for split, number in largest.items()])
    evaluation = facts.config.evaluation
    intervals = f"with {percent(evaluation.confidence)} confidence intervals; {numbers}"
    texts = {
        "segmentation": "Share of reference lesions that are detected (one-to-one match with an intersection over union of at "
        f"least {evaluation.match_iou:g}), by diameter of the ball of equal volume, {intervals}. Components below "
        f"{evaluation.min_lesion_ml:g} mL do not count as lesions.",
        "classification": "Share of lesions that are assigned to their category, by diameter of the disk of equal area, "
        f"{intervals}.",
    }
    alternative = f"Point plot of the share of lesions {TASKS[facts.config.task].hit} by lesion diameter and arm."
    interval = f"{percent(evaluation.confidence)} intervals by a bootstrap over patients and trainings"
    return Caption(f"{name}.", texts[facts.config.task], alternative, numbers, "lesion within patient", interval, "two-sided")


def _gate(facts: Facts) -> Caption:
    text = (
        "Share of draws by outcome, a, by size class and, b, by organ of the canvas. Refused: the gate's score stayed below "
        "the threshold in every attempt; no place: the organ had no room; empty: nothing visible was painted. "
        "c, By contrast, judged draws only, in five groups. d, Share of judged draws that would be kept at other thresholds "
        "of the main score, by size class: a lower bound where a draw had several attempts; dashed: the threshold in use. "
        "Whiskers and bands: Wilson intervals."
    )
    alternative = "Shares of outcomes by size, organ and contrast, and by threshold, per synthesizer."
    interval = f"{percent(facts.config.evaluation.confidence)} Wilson intervals"
    return Caption("What became of each draw.", text, alternative, facts.n, "draw of a synthetic lesion", interval, "two-sided")


def _window(config: Config) -> str:
    low, high = config.working.window
    return f"{low:g} to {high:g} HU".replace("-", "−")


def _samples(facts: Facts) -> Caption:
    text = (
        "Per category, real lesions of the training part of a fold, which the generators have learned from, and images of each "
        f"synthesizer, all in one window ({_window(facts.config)}). Both are drawn at random."
    )
    alternative = "Grid of CT regions: per category real ones and those of each synthesizer."
    return Caption("Real and synthetic regions.", text, alternative, facts.n, "image; drawn at random")


def _fidelity(facts: Facts) -> Caption:
    text = (
        "How like real ones the synthetic images are: each measure beside what real images reach (gray). Recognized: share of "
        "images that the baseline recognizer, which has seen no synthetic one, assigns to the category asked for. Similarity "
        "of two images of a category: far above that of real ones, there are few distinct images. Distance of features: from "
        "real test images, in the last layer of that recognizer. Nearest training image, and copies: nearer than real test "
        "images come to one, or more of them, means that the generator copies what it has seen."
    )
    alternative = "Dot plots of measures of synthetic images beside those of real ones."
    interval = f"{percent(facts.config.evaluation.confidence)} intervals over random halves of the images"
    return Caption("Fidelity of the synthetic images.", text, alternative, facts.n, "image, per fold", interval, "two-sided")


def _curves(facts: Facts) -> Caption:
    config = facts.config
    chosen = {
        "validation": "stars (nested): by the validation part of the training folds",
        "test": "crosses (optimistic): by the test folds themselves, as papers often do",
    }
    ways = {selection.by for selection in config.evaluation.selections.values()}
    marks = "; ".join(text for by, text in chosen.items() if by in ways)
    text = (
        f"Points: test cases of all folds together, mean over {count(len(config.recognition.seeds), 'seed')}, with "
        f"{percent(config.evaluation.confidence)} confidence intervals that take patients and trainings as random. Synthetic "
        "samples are added to a classic group, whose point a dotted line starts from."
        + (f" Selections, each at the mean number of samples that it chose: {marks}." if marks else "")
    )
    alternative = "Line plot of accuracy against the number of added samples, by kind."
    interval = f"{percent(config.evaluation.confidence)} t intervals, patients and trainings random"
    return Caption("Accuracy by added samples.", text, alternative, facts.n, "test case", interval, "two-sided")


def _confusion(facts: Facts) -> Caption:
    text = (
        f"Counts of test cases of all folds, mean over {count(len(facts.config.recognition.seeds), 'seed')}; below, percent of "
        "the true category. Shown are the baseline, the arms with fewest and with most added samples, and the selections; "
        "evaluation/confusion.csv holds all arms and seeds."
    )
    alternative = "Matrices of true against predicted categories, one per arm."
    return Caption("Confusion matrices.", text, alternative, facts.n, "test case, mean over seeds")


def _embedding(facts: Facts) -> Caption:
    text = (
        "The last layer of recognizers on real test regions of a fold and on classic augmentations of them, arranged by t-SNE. "
        "Distances between far groups, and sizes of groups, carry no meaning."
    )
    alternative = "Scatter plots of test regions, colored by category, one per arm."
    return Caption("How recognizers see the lesions.", text, alternative, facts.n, "test region of one fold")


CAPTIONS: dict[str, Callable[[Facts], Caption]] = {
    "cohort": _cohort,
    "lesions": _lesions,
    "realism": _realism,
    "training": _training,
    "differences": _differences,
    "sizes": _sizes,
    "gate": _gate,
    "samples": _samples,
    "fidelity": _fidelity,
    "curves": _curves,
    "confusion": _confusion,
    "embedding": _embedding,
}
