"""Whether probabilities can be believed: reliability diagrams, and the calibration error and Brier score of each arm."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.calibration import BIN, BRIER, CALIBRATION, ECE
from freetumor.evaluation.reliability import KINDS
from freetumor.figures import style
from freetumor.figures.answers import listing, percent
from freetumor.figures.fragments import Caption
from freetumor.figures.highlights import highlighted
from freetumor.figures.style import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "voxel": ("Voxels", "tumor probability of a voxel", "voxels that are tumor (%)"),
    "candidate": ("Candidates", "confidence of a candidate", "candidates that are lesions (%)"),
    "category": ("Categories", "probability of a category", "cases of the category (%)"),
    "top_category": ("Top category", "greatest probability", "cases classified correctly (%)"),
}
QUANTITIES = {ECE: "calibration error", BRIER: "Brier score"}
MOST = 8  # curves in a panel; of more arms, only the highlighted ones are drawn


def plot_calibration(config: Config, calibration: str | Path, output: str | Path) -> None:
    """Draw a row per split and kind of probability.

    Args:
        config: the study.
        calibration: table of ``evaluation.calibration.CALIBRATION``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    table = read_table(calibration, CALIBRATION)
    if table["arm"].nunique() > MOST:
        table = table[table["arm"].isin(highlighted(config))].reset_index(drop=True)
    rows = [
        (split, kind)
        for split in style.ordered(table["split"], SPLITS)
        for kind in style.ordered(table.loc[table["split"] == split, "kind"], KINDS)
    ]
    arms = style.ordered(table["arm"], config.compared)
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 58 * max(1, len(rows)) + 6)
        grid = figure.subplots(max(1, len(rows)), 3, squeeze=False, width_ratios=[1.2, 1, 1])
        if not rows:
            for axes in grid.flat:
                axes.set_axis_off()
            style.say_empty(grid[0, 1], "no probabilities were scored")
        for line, (split, kind) in enumerate(rows):
            here = table[(table["split"] == split) & (table["kind"] == kind)]
            _draw_bins(grid[line, 0], config, here[here["quantity"] == BIN], kind, arms)
            for column, quantity in enumerate(QUANTITIES, 1):
                _draw_score(grid[line, column], config, here[here["quantity"] == quantity], quantity, arms, column == 1)
            style.title(grid[line, 0], chr(ord("a") + line), f"{TITLES[kind][0]}, {SPLITS.get(split, split)}")
        if rows:
            figure.legend(*_handles(config, arms), loc="outside lower center", ncols=min(6, len(arms)))
        style.save(figure, output, table, _words(config, table))


def _draw_bins(axes: "Axes", config: Config, table: pd.DataFrame, kind: str, arms: list[str]) -> None:
    colors, markers = style.arm_colors(config.compared), style.arm_markers(config.compared)
    axes.plot([0, 1], [0, 100], color=style.FAINT, linewidth=0.8, linestyle=(0, (3, 2)))
    for arm in arms:
        own = table[(table["arm"] == arm) & table["value"].notna()].sort_values("bin_low")
        color = colors.get(arm, style.FAINT)
        axes.vlines(own["predicted"], 100 * own["ci_low"], 100 * own["ci_high"], color=color, linewidth=0.8, alpha=0.4)
        look = {"markersize": 3.6, "markeredgecolor": "white", "markeredgewidth": 0.4, "linewidth": 0.9}
        axes.plot(own["predicted"], 100 * own["value"], marker=markers.get(arm, "o"), color=color, **look)
    _, x, y = TITLES[kind]
    axes.set(xlim=(-0.02, 1.02), ylim=(-2, 102), xlabel=x, ylabel=y)
    axes.grid()


def _draw_score(axes: "Axes", config: Config, table: pd.DataFrame, quantity: str, arms: list[str], named: bool) -> None:
    colors, markers = style.arm_colors(config.compared), style.arm_markers(config.compared)
    for place, arm in enumerate(arms):
        for row in table[table["arm"] == arm].itertuples():
            color = colors.get(arm, style.FAINT)
            axes.hlines(place, row.ci_low, row.ci_high, color=color, linewidth=1.3, alpha=0.6)
            look = {"markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.5, "color": color}
            axes.plot(row.value, place, markers.get(arm, "o"), **look)
    axes.set(yticks=range(len(arms)), ylim=(len(arms) - 0.5, -0.5), xlabel=f"{QUANTITIES[quantity]} (lower is better)")
    axes.set_yticklabels([style.readable(arm) for arm in arms] if named else [])
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _handles(config: Config, arms: list[str]) -> tuple[list, list[str]]:
    from matplotlib.lines import Line2D

    colors, markers = style.arm_colors(config.compared), style.arm_markers(config.compared)
    looks = [{"color": colors.get(arm, style.FAINT), "marker": markers.get(arm, "o"), "markersize": 4} for arm in arms]
    return [Line2D([], [], **look) for look in looks], [style.readable(arm) for arm in arms]


def _words(config: Config, table: pd.DataFrame) -> Caption:
    level = percent(config.evaluation.confidence)
    text = (
        "Left: how often predictions come true, in ten equal bins of the probability; on the dashed line they can be believed. "
        "Middle: expected calibration error, the mean distance from that line. Right: Brier score, the mean squared distance "
        "between probability and outcome. Computed for each training by itself and averaged; every scan weighs the same where "
        f"voxels are counted (inside the annotated organs). Bars: {level} intervals."
    )
    totals = table[table["quantity"] == ECE].groupby(["split", "kind"], sort=False)[["count", "n_patients", "trainings"]].max()
    parts = [
        f"{SPLITS.get(split, split)}, {TITLES[kind][0].lower()}: {row.count:,.0f} predictions of {row.n_patients} patients, "
        f"{row.trainings} trainings"
        for (split, kind), row in zip(totals.index, totals.itertuples(index=False, name="Totals"), strict=True)
    ]
    kinds = sorted(set(table["interval"]).difference([""]))
    return Caption(
        "Calibration.",
        text,
        "Reliability diagrams per arm, and dots of the calibration error and the Brier score with intervals.",
        "; ".join(parts) if parts else "0 predictions",
        "prediction within patient",
        f"none; {level} intervals: {listing(kinds)}" if kinds else "none",
        "two-sided" if kinds else "none",
    )
