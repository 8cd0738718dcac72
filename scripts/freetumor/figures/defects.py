"""What each published defect does: every arm against the corrected method, as a forest plot."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import SUMMARY, read_table
from freetumor.figures import style
from freetumor.figures.answers import bounds, count, listing, p_value, percent, test_names
from freetumor.figures.differences import drawn_comparisons
from freetumor.figures.fragments import Caption
from freetumor.figures.style import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SPREAD = 3.0  # an interval is cut where it exceeds so many times the range of the differences


def plot_defects(config: Config, summary: str | Path, output: str | Path) -> None:
    """Draw the difference of each arm from the first one, in the primary metrics.

    Args:
        config: the study; its first arm is the corrected method.
        summary: table of ``core.tables.SUMMARY``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    comparisons = drawn_comparisons(config, read_table(summary, SUMMARY))
    arms = style.ordered(comparisons["arm"], config.compared)
    panels = list(dict.fromkeys(zip(comparisons["split"], comparisons["metric"], strict=True)))
    panels = sorted(panels, key=lambda panel: (list(SPLITS).index(panel[0]) if panel[0] in SPLITS else 9, panel[1]))
    with style.styled():
        columns = max(1, len({metric for _, metric in panels}))
        rows = max(1, -(-len(panels) // columns))
        figure = style.new_figure(style.DOUBLE, (6.4 * max(3, len(arms)) + 19) * rows)
        grid = figure.subplots(rows, columns, squeeze=False)
        if not panels:
            style.say_empty(grid[0, 0], "no comparisons")
        for index, (axes, (split, metric)) in enumerate(zip(grid.flat, panels, strict=False)):
            here = comparisons[(comparisons["split"] == split) & (comparisons["metric"] == metric)]
            _draw_panel(axes, config, here, arms, first=index % columns == 0)
            name = style.metric_name(metric)
            style.title(axes, chr(ord("a") + index), f"{name[:1].upper()}{name[1:]}, {SPLITS.get(split, split)}")
        style.save(figure, output, comparisons, _words(config, comparisons))


def _draw_panel(axes: "Axes", config: Config, rows: pd.DataFrame, arms: list[str], first: bool) -> None:
    axes.set_xlim(*_limits(rows))
    left, right = axes.get_xlim()
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    for row in rows.itertuples():
        place = arms.index(row.arm)
        sure = row.p_adjusted < 1 - config.evaluation.confidence  # NaN is not
        color = style.CYCLE[1] if sure else style.INK
        if np.isfinite(row.ci_low):
            axes.hlines(place, max(row.ci_low, left), min(row.ci_high, right), color=color, linewidth=1.2)
            for end, cut, marker in ((left, row.ci_low < left, "<"), (right, row.ci_high > right, ">")):
                if cut:
                    axes.plot(end, place, marker, color=color, markersize=3.5, clip_on=False)
        axes.plot(row.difference, place, "s", color=color, markersize=4)
        p = p_value(row.p_adjusted if np.isfinite(row.p_adjusted) else row.p).removeprefix("= ")
        label = f"p adj. {p}" if np.isfinite(row.p_adjusted) else f"p {p}"
        text = f"{row.difference:+.3f} {bounds(row)}\n{label}".replace("-", "−")
        axes.annotate(text, (1, place), (5, 0), fontsize=style.SMALL, color=style.MUTED, linespacing=1.05, **where)
    axes.set(yticks=range(len(arms)), ylim=(len(arms) - 0.5, -0.5))
    axes.set_yticklabels([style.readable(arm) for arm in arms] if first else [])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x")
    better = "← better" if (rows["better"] == "lower").any() else "better →"
    axes.set_xlabel(f"difference from {style.readable(config.recognition.arms[0])}, {better}")


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """All differences and 0, and of their intervals as much as leaves the differences apart."""
    inside = np.append(rows["difference"].dropna().to_numpy(float), 0.0)
    room = MOST_SPREAD * max(np.ptp(inside), 1e-3)
    ends = np.concatenate([rows[["ci_low", "ci_high"]].dropna().to_numpy(float).ravel(), inside])
    left, right = max(ends.min(), inside.min() - room), min(ends.max(), inside.max() + room)
    margin = 0.04 * (right - left)
    return left - margin, right + margin


def _words(config: Config, comparisons: pd.DataFrame) -> Caption:
    corrected = style.readable(config.recognition.arms[0])
    text = (
        f"Each arm differs from the corrected method ({corrected}) in the one thing that it is named after; "
        "negative differences say that the defect does harm. Squares: mean paired difference; lines: "
        f"{percent(config.evaluation.confidence)} confidence interval (a triangle means that it goes on). Orange: adjusted p "
        f"below {1 - config.evaluation.confidence:.2g}."
    )
    parts = [
        f"{style.metric_name(metric)}, {SPLITS.get(split, split)}: n = {here['n'].max()} of {here['patients'].max()} patients, "
        f"{count(int(here['trainings'].max()), 'training')} per arm"
        for (split, metric), here in comparisons.groupby(["split", "metric"], sort=False)
    ]
    tested = len(comparisons) > 0
    return Caption(
        "What each published defect does.",
        text,
        "Forest plot: mean difference of each arm from the corrected method, with confidence interval and p value.",
        "; ".join(parts) if parts else "0 comparisons",
        "case; of the early sensitivity, lesion within patient",
        test_names(comparisons["test"]) if tested else "none",
        "two-sided" if tested else "none",
        f"Holm, in the primary family ({listing([style.metric_name(name) for name in config.evaluation.primary])} in "
        "cross-validation, all arms); none elsewhere"
        if tested
        else "none",
    )
