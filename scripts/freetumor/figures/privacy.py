"""How close painted lesions come to training lesions, beside real lesions that were never learned from and planted copies."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.realism_tables import PRIVACY_DISTANCES
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.fragments import Caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAINTED, HELD_OUT, PLANTED = "painted", "held_out", "planted"
BINS = 24
MEASURES = {  # column: label of the axis
    "distance": "distance of features to the nearest training lesion",
    "outstanding": "similarity of texture to a training lesion (SD above usual)",
}
COLUMNS = ["synthesizer", "measure", "kind", "low", "high", "count", "share"]
LOOKS = {HELD_OUT: (style.BASELINE, "real, never learned from"), PLANTED: (style.INK, "planted copies")}


def plot_privacy(config: Config, distances: str | Path, output: str | Path) -> None:
    """Draw two histograms per synthesizer: distances of features, and similarities of texture.

    Args:
        config: the study.
        distances: table of ``evaluation.realism_tables.PRIVACY_DISTANCES``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    table = read_table(distances, PRIVACY_DISTANCES)
    names = style.ordered(table.loc[table["kind"] == PAINTED, "synthesizer"], [*config.banks, *config.synthesizers])
    numbers = privacy_numbers(table, names)
    colors = style.synthesizer_colors(names, config.compared)
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 40 * max(1, len(names)) + 8)
        grid = figure.subplots(max(1, len(names)), len(MEASURES), squeeze=False, sharex="col")
        if not names:
            for axes in grid.flat:
                axes.set_axis_off()
            style.say_empty(grid[0, 0], "no painted lesion was compared")
        for row, name in enumerate(names):
            for axes, (measure, label) in zip(grid[row], MEASURES.items(), strict=True):
                here = numbers[(numbers["synthesizer"] == name) & (numbers["measure"] == measure)]
                _draw_panel(axes, here, colors[name])
                axes.set_xlabel(label if row == len(names) - 1 else "")
            limit = table.loc[(table["kind"] == PAINTED) & (table["synthesizer"] == name), "limit"].dropna()
            if len(limit):
                grid[row, 1].axvline(limit.median(), color=style.INK, linewidth=0.9, linestyle=(0, (3, 2)))
            grid[row, 0].set_ylabel("lesions (%)")
            style.title(grid[row, 0], chr(ord("a") + row), f"{style.readable(name)}{_copies(table, name)}")
        if names:
            _legend(figure)
        style.save(figure, output, numbers, _words(table, names))


def privacy_numbers(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Histograms: per synthesizer, measure and kind the lesions of each bin; bins of a measure are the same throughout."""
    rows = []
    for measure in MEASURES:
        values = table[measure].dropna()
        if values.empty:
            continue
        edges = np.histogram_bin_edges(values, BINS)
        for name in names:
            for kind in (HELD_OUT, PLANTED, PAINTED):
                own = table[(table["kind"] == kind) & ((table["synthesizer"] == name) | (kind != PAINTED))][measure].dropna()
                counts = np.histogram(own, edges)[0]
                shares = counts / max(1, len(own))
                keys = zip(edges[:-1], edges[1:], counts, shares, strict=True)
                rows += [(name, measure, kind, low, high, int(found), share) for low, high, found, share in keys]
    return pd.DataFrame(rows, columns=COLUMNS)


def _copies(table: pd.DataFrame, name: str) -> str:
    own = table[(table["kind"] == PAINTED) & (table["synthesizer"] == name)]
    return f" ({int(own['copy'].sum())} of {len(own)} called copies)"


def _draw_panel(axes: "Axes", table: pd.DataFrame, color: str) -> None:
    for kind in (HELD_OUT, PLANTED, PAINTED):
        own = table[table["kind"] == kind]
        if own["count"].sum() == 0:
            continue
        edges = [*own["low"], own["high"].iloc[-1]]
        look = {"facecolor": (color, 0.3), "edgecolor": color} if kind == PAINTED else {"color": LOOKS[kind][0]}
        axes.stairs(100 * own["share"], edges, fill=kind == PAINTED, linewidth=1.1, zorder=2 if kind == PAINTED else 3, **look)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")


def _legend(figure: object) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=(style.MUTED, 0.3), edgecolor=style.MUTED, label="painted")]
    handles += [Line2D([], [], color=color, label=text) for color, text in LOOKS.values()]
    handles.append(Line2D([], [], color=style.INK, linewidth=0.9, linestyle=(0, (3, 2)), label="limit of a copy (median)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _words(table: pd.DataFrame, names: list[str]) -> Caption:
    text = (
        "How close painted lesions (filled) come to the lesions that their synthesizer learned from: left, distance of "
        "features to the nearest training lesion of another patient; right, how far the most similar texture stands out. Gray: "
        "real lesions that were never learned from; black: planted copies of training lesions, the positive control. A "
        "painted lesion is called a copy beyond the dashed limit. This is about lesions: outside its label, a painted scan is "
        "the scan of a patient."
    )
    painted = table[table["kind"] == PAINTED].groupby("synthesizer").size()
    parts = [f"{style.readable(name)} {count(int(painted[name]), 'painted lesion')}" for name in names]
    parts += [f"{int((table['kind'] == kind).sum())} {words}" for kind, (_, words) in LOOKS.items()]
    alternative = "Histograms of distances to training lesions, of painted, of unseen real, and of planted lesions."
    return Caption("Closeness to training lesions.", text, alternative, ", ".join(parts), "lesion")
