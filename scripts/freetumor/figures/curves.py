"""Accuracy against the number of samples added to the training set, and where the selections lie."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.curves import CLASSIC, CURVES, SELECTION
from freetumor.evaluation.selection import SELECTIONS
from freetumor.figures import style
from freetumor.figures.captions import Facts, caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = {"validation": "*", "test": "X"}
WAYS = {"validation": "nested", "test": "optimistic"}


def plot_curves(config: Config, curves: str | Path, selections: str | Path, output: str | Path) -> None:
    """Draw one line per kind of added samples, with intervals, and a mark per selection.

    A selection is drawn at the mean number of samples, over folds, of the arms it chose.

    Args:
        config: the study.
        curves: table of ``evaluation.curves.CURVES``.
        selections: table of ``evaluation.selection.SELECTIONS``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    table = place_selections(read_table(curves, CURVES), read_table(selections, SELECTIONS))
    kinds = style.ordered(table["kind"], [CLASSIC, *config.synthesizers])
    with style.styled():
        figure = style.new_figure(style.MIDDLE, 82)
        axes = figure.subplots()
        if table.empty:
            style.say_empty(axes, "no classifications")
        else:
            look = zip((style.BASELINE, *style.CYCLE), style.MARKERS, strict=False)
            for (color, marker), kind in zip(look, [kind for kind in kinds if kind != SELECTION], strict=False):
                _draw_kind(axes, table, kind, color, marker)
            _draw_selections(axes, config, table[table["kind"] == SELECTION])
            axes.set(xlabel="samples added to the training set of a fold", ylabel="accuracy (%)")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.grid(axis="y")
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        style.save(figure, output, table, caption("curves", Facts(config, n=_counts(table))))


def _counts(table: pd.DataFrame) -> str:
    return f"{table['n'].max():,} test cases, {table['seeds'].max()} seeds" if len(table) else "0 test cases"


def place_selections(curves: pd.DataFrame, selections: pd.DataFrame) -> pd.DataFrame:
    """The table of the curves, with the mean number of samples that each selection chose over the folds."""
    added = curves.set_index("arm")["added"]
    chosen = selections[selections["chosen"]]
    means = chosen["candidate"].map(added).astype(float).groupby(chosen["selection"]).mean()
    return curves.assign(added=curves["added"].fillna(curves["arm"].map(means).astype(float)))


def _draw_kind(axes: "Axes", table: pd.DataFrame, kind: str, color: str, marker: str) -> None:
    """One line per classic group that samples of this kind are added to; a dotted line leads there from the group itself."""
    here = table[table["kind"] == kind]
    lines = [here] if kind == CLASSIC else [line for _, line in here.groupby("group")]
    for number, line in enumerate(lines):
        line = line.sort_values("added")
        x, y = line["added"].to_numpy(), 100 * line["accuracy"].to_numpy()
        axes.vlines(x, 100 * line["ci_low"], 100 * line["ci_high"], color=color, linewidth=1.2, alpha=0.4)
        edge = {"markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
        axes.plot(x, y, marker=marker, color=color, label=style.readable(kind) if number == 0 else None, **edge)
        start = table[(table["kind"] == CLASSIC) & (table["group"] == line["group"].iloc[0])]
        if kind != CLASSIC and len(start):
            axes.plot([start["added"].iloc[0], x[0]], [100 * start["accuracy"].iloc[0], y[0]], ":", color=color, linewidth=1)


def _draw_selections(axes: "Axes", config: Config, table: pd.DataFrame) -> None:
    for index, row in enumerate(table.itertuples()):
        by = config.evaluation.selections[row.arm].by
        color = style.CYCLE[-1 - index % len(style.CYCLE)]
        axes.vlines(row.added, 100 * row.ci_low, 100 * row.ci_high, color=color, linewidth=1.2, alpha=0.6)
        look = {"markersize": 10, "markerfacecolor": "none", "markeredgecolor": color, "markeredgewidth": 1.4, "zorder": 5}
        axes.plot(
            row.added, 100 * row.accuracy, MARKS[by], linestyle="none", label=f"{style.readable(row.arm)} ({WAYS[by]})", **look
        )
