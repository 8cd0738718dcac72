"""How like real ones the images of each synthesizer are: every measure beside what real images reach."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.fidelity_table import FIDELITY
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MEASURES = {  # title, label of the axis, factor
    "recognition": ("recognized as their category", "share of images (%)", 100),
    "similarity": ("similarity of two images", "structural similarity (1: the same)", 1),
    "kernel_distance": ("distance of features", "kernel inception distance", 1),
    "neighbor_distance": ("nearest training image", "distance (HU)", 1),
    "copies": ("copies", "share of images (%)", 100),
}
REFERENCE = "real images"
NOTE = "large markers: mean of the folds\nsmall dots: single folds, with their intervals\ngray: interval of real images"


def plot_fidelity(config: Config, tables: Sequence[str | Path], output: str | Path) -> None:
    """Draw one panel per measure: categories down, a dot per synthesizer (the mean of the folds), small dots for folds.

    Args:
        config: the study.
        tables: tables of ``evaluation.fidelity.FIDELITY``, of any number of folds and synthesizers.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    import pandas as pd

    table = pd.concat([read_table(path, FIDELITY) for path in tables], ignore_index=True)
    names = style.ordered(table["synthesizer"], [*config.banks, *config.synthesizers])
    categories = style.ordered(table["category"], config.categories)
    measures = style.ordered(table["measure"], MEASURES)
    with style.styled():
        columns = min(3, max(1, len(measures)))
        lines = -(-max(1, len(measures)) // columns)
        figure = style.new_figure(style.DOUBLE, lines * (14 + 12 * len(categories)) + 9)
        panels = figure.subplots(lines, columns, squeeze=False)
        for axes, measure, letter in zip(panels.flat, measures, "abcdefghij", strict=False):
            _draw_panel(axes, table[table["measure"] == measure], measure, categories, names)
            style.title(axes, letter, MEASURES[measure][0] if measure in MEASURES else style.readable(measure))
        for axes in panels.flat[len(measures) :]:
            style.say_empty(axes, NOTE)
        for axes in panels[:, 1:].flat:
            axes.set_yticklabels([])
        if measures:
            figure.legend(*_legend(panels[0, 0]), loc="outside lower center", ncols=len(names) + 1)
        folds = count(table["fold"].nunique(), "fold")
        n = f"{_range(table['n_synthetic'])} synthetic and {_range(table['n_real'])} real images per category and fold; {folds}"
        style.save(figure, output, fidelity_numbers(table), caption("fidelity", Facts(config, n=n)))


def _range(numbers: "pd.Series") -> str:
    """``5 to 8``, or ``5`` if all are the same."""
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low} to {high}"


def fidelity_numbers(table: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of all folds, and their means as fold ``mean``; the intervals belong to single folds."""
    import pandas as pd

    keys = ["synthesizer", "category", "measure"]
    means = table.groupby(keys, sort=True, as_index=False)[["value", "reference", "n_real", "n_synthetic"]].mean()
    return pd.concat([table.astype({"fold": str}).sort_values([*keys, "fold"]), means.assign(fold="mean")], ignore_index=True)


def _draw_panel(axes: "Axes", table: "pd.DataFrame", measure: str, categories: Sequence[str], names: Sequence[str]) -> None:
    _, label, factor = MEASURES.get(measure, ("", style.readable(measure), 1))
    colors = dict(zip(names, style.CYCLE * len(names), strict=False))
    step = 0.6 / max(1, len(names))
    for row, category in enumerate(categories):
        here = table[table["category"] == category]
        reference = factor * here["reference"].mean()
        axes.vlines(reference, row - 0.4, row + 0.4, color=style.INK, linewidth=1.6, label=REFERENCE, zorder=2)
        low, high = factor * here["reference_low"].mean(), factor * here["reference_high"].mean()
        if np.isfinite(low + high):
            axes.fill_betweenx([row - 0.4, row + 0.4], low, high, color=style.GRID, linewidth=0, zorder=0)
        for index, name in enumerate(names):
            mine = here[here["synthesizer"] == name]
            place = row + step * (index - (len(names) - 1) / 2)
            folds = place + 0.3 * step * style.spread(len(mine), f"{measure}.{category}.{name}")
            axes.hlines(folds, factor * mine["ci_low"], factor * mine["ci_high"], color=colors[name], linewidth=0.7, alpha=0.45)
            axes.plot(factor * mine["value"], folds, ".", color=colors[name], markersize=3, alpha=0.6)
            axes.plot(
                factor * mine["value"].mean(),
                place,
                style.MARKERS[index % len(style.MARKERS)],
                color=colors[name],
                markersize=5.5,
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=style.readable(name),
                zorder=4,
            )
    axes.set(yticks=range(len(categories)), yticklabels=[style.readable(category) for category in categories])
    axes.set(ylim=(len(categories) - 0.5, -0.5), xlabel=label)
    if measure == "recognition":
        axes.set_xlim(-3, 103)
    elif measure == "copies":
        axes.set_xlim(-0.5, max(10.0, 1.05 * factor * float(table["ci_high"].max())))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _legend(axes: "Axes") -> tuple[list, list[str]]:
    """One entry per label."""
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    return list(entries.values()), list(entries)
