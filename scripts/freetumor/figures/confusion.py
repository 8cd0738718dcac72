"""Confusion matrices pooled over the test folds."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.classification import CONFUSION
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption
from freetumor.figures.highlights import highlighted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PER_ROW = 3


def plot_confusion(config: Config, confusion: str | Path, output: str | Path) -> None:
    """Draw the matrices of the baseline, of the arms with fewest and most added samples, and of the selections.

    Args:
        config: the study.
        confusion: table of ``evaluation.classification.CONFUSION``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    table = mean_counts(read_table(confusion, CONFUSION))
    table = table[table["arm"].isin(highlighted(config))]
    arms = style.ordered(table["arm"], highlighted(config))
    rows = max(1, -(-len(arms) // PER_ROW))
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 60 * rows)
        panels = figure.subplots(rows, PER_ROW, squeeze=False)
        for axes in panels.flat:
            axes.set_axis_off()
        if not arms:
            style.say_empty(panels[0, 1], "no classifications")
        for index, (axes, arm) in enumerate(zip(panels.flat, arms, strict=False)):
            _draw_matrix(axes, config, table[table["arm"] == arm], first=index % PER_ROW == 0)
            style.title(axes, chr(ord("a") + index), style.readable(arm) + (" (baseline)" if arm == config.compared[0] else ""))
        cases = round(table.groupby("arm")["count"].sum().max()) if arms else 0
        style.save(figure, output, table, caption("confusion", Facts(config, n=f"{count(cases, 'test case')} per arm")))


def mean_counts(table: "pd.DataFrame") -> "pd.DataFrame":
    """Counts as means over seeds, and as shares of the true category: ``arm true predicted count share``."""
    means = table.groupby(["arm", "true", "predicted"], sort=False)["count"].mean().reset_index()
    totals = means.groupby(["arm", "true"])["count"].transform("sum")
    return means.assign(share=means["count"] / totals)


def _draw_matrix(axes: "Axes", config: Config, table: "pd.DataFrame", first: bool) -> None:
    names = config.categories
    counts, shares = (
        table.pivot(index="true", columns="predicted", values=value).reindex(index=names, columns=names).to_numpy(float)
        for value in ("count", "share")
    )
    axes.set_axis_on()
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1.15)
    for (i, j), found in np.ndenumerate(counts):
        color = "white" if shares[i, j] > 0.6 else style.INK
        number = f"{found:.1f}".removesuffix(".0")
        share = "–" if np.isnan(shares[i, j]) else f"{100 * shares[i, j]:.0f} %"
        axes.text(j, i - 0.1, number, ha="center", va="center", color=color, fontsize=8)
        axes.text(j, i + 0.22, share, ha="center", va="center", color=color, fontsize=6)
    labels = [style.readable(name) for name in names]
    axes.set(xticks=range(len(names)), yticks=range(len(names)), xticklabels=labels, yticklabels=labels if first else [])
    axes.set(xlabel="predicted", ylabel="true" if first else "")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
