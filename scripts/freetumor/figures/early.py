"""Early detection: sensitivity to small lesions beside specificity, with denominators."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import LESIONS, SCORES, read_table
from freetumor.evaluation.early import early_detection
from freetumor.evaluation.metric_names import EARLY, SPECIFICITY
from freetumor.figures import style
from freetumor.figures.answers import listing, percent
from freetumor.figures.fragments import Caption
from freetumor.figures.style import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS = {EARLY: "lesions", SPECIFICITY: "tumor-free scans"}


def plot_early(config: Config, scores: str | Path, lesions: str | Path, output: str | Path) -> None:
    """Draw the sensitivity to lesions of at most ``evaluation.early_mm`` and the specificity of each arm.

    Args:
        config: the study.
        scores: table of ``core.tables.SCORES``.
        lesions: table of ``core.tables.LESIONS``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    numbers = early_detection(config, read_table(scores, SCORES), read_table(lesions, LESIONS))
    splits = style.ordered(numbers["split"], SPLITS)
    arms = style.ordered(numbers["arm"], config.compared)
    titles = {EARLY: f"Lesions up to {config.evaluation.early_mm:g} mm found", SPECIFICITY: "Scans without a false alarm"}
    with style.styled():
        rows = max(1, len(splits))
        figure = style.new_figure(style.DOUBLE, (6.5 * max(3, len(arms)) + 19) * rows)
        panels = figure.subplots(rows, len(titles), squeeze=False)
        if not splits:
            for axes in panels.flat:
                axes.set_axis_off()
            style.say_empty(panels[0, 0], "no small lesions and no tumor-free scans in the test cases")
        for index in range(len(splits) * len(titles)):
            row, column = divmod(index, len(titles))
            measure = list(titles)[column]
            here = numbers[(numbers["split"] == splits[row]) & (numbers["measure"] == measure)]
            _draw_panel(panels[row, column], config, here, arms, first=column == 0)
            style.title(
                panels[row, column], chr(ord("a") + index), f"{titles[measure]}, {SPLITS.get(splits[row], splits[row])}"
            )
        style.save(figure, output, numbers, _words(config, numbers))


def _draw_panel(axes: "Axes", config: Config, numbers: pd.DataFrame, arms: list[str], first: bool) -> None:
    if numbers.empty:
        return style.say_empty(axes, "none in these test cases")
    colors, markers = style.arm_colors(config.compared), style.arm_markers(config.compared)
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    for place, arm in enumerate(arms):
        for row in numbers[numbers["arm"] == arm].itertuples():
            color = colors.get(arm, style.FAINT)
            axes.hlines(place, 100 * row.ci_low, 100 * row.ci_high, color=color, linewidth=1.6, alpha=0.6)
            look = {"color": color, "markersize": 5.5, "markeredgecolor": "white", "markeredgewidth": 0.6, "clip_on": False}
            axes.plot(100 * row.value, place, markers.get(arm, "o"), zorder=4, **look)
            axes.annotate(f"{row.hits:.3g} of {row.n}", (1, place), (5, 0), fontsize=style.SMALL, color=style.MUTED, **where)
    axes.set(yticks=range(len(arms)), ylim=(len(arms) - 0.5, -0.5), xlim=(-2, 102), xlabel="share (%)")
    axes.set_yticklabels([style.readable(arm) for arm in arms] if first else [])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return axes.grid(axis="x")


def _words(config: Config, numbers: pd.DataFrame) -> Caption:
    text = (
        f"Left: share of reference lesions of at most {config.evaluation.early_mm:g} mm (diameter of the ball of equal volume) "
        f"that are found: one-to-one match with an intersection over union of at least {config.evaluation.match_iou:g}. Right: "
        f"share of tumor-free scans without any predicted lesion of at least {config.evaluation.min_lesion_ml:g} mL. Both "
        "belong together: a network that marks everything finds every lesion. Numbers: hits, as mean over trainings, of how "
        f"many. Bars: {percent(config.evaluation.confidence)} intervals."
    )
    groups = numbers.groupby(["measure", "split"], sort=False)[["n", "patients", "trainings"]].max()
    parts = [
        f"{row.n} {UNITS[measure]} of {row.patients} patients in {SPLITS.get(split, split)}, {row.trainings} trainings"
        for (measure, split), row in zip(groups.index, groups.itertuples(), strict=True)
    ]
    kinds = sorted(set(numbers["interval"]))
    return Caption(
        "Early detection.",
        text,
        "Point plot of the sensitivity to small lesions and of the specificity, per arm, with intervals and denominators.",
        listing(parts) if parts else "0 lesions",
        "lesion, and scan, within patient",
        f"none; {percent(config.evaluation.confidence)} intervals: {listing(kinds)}" if kinds else "none",
        "two-sided" if kinds else "none",
    )
