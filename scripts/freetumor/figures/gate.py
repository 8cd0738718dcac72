"""What became of each draw: accepted, refused by the gate, without a place, or empty; and what another threshold would keep."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.gate_table import ACCEPTED, GATE, IN_USE, size_classes
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FEWEST_BARS = 4  # a panel has room for so many, so that few bars do not become blocks


def plot_gate(config: Config, table: str | Path, output: str | Path) -> None:
    """Draw the outcomes of each synthesizer by size class, organ and contrast, and what other thresholds would keep.

    Args:
        config: the study.
        table: table of ``evaluation.gate_table.GATE``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    numbers = read_table(table, GATE)
    names = style.ordered(numbers["synthesizer"], [*config.banks, *config.synthesizers])
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 46 * max(1, len(names)) + 7)
        panels = figure.subplots(max(1, len(names)), 4, squeeze=False, width_ratios=[1, 1, 1, 1.15])
        if not names:
            for axes in panels[0]:
                axes.set_axis_off()
            style.say_empty(panels[0, 1], "no synthetic lesions")
        for index, name in enumerate(names):
            _draw_row(panels[index], config, name, numbers[numbers["synthesizer"] == name])
        for axes, letter in zip(panels[0] if names else (), "abcd", strict=False):
            style.title(axes, letter, axes.get_title(loc="left"))
        for axes in panels[:-1].flat:
            axes.set_xlabel("")
        _explain_lines(panels[:, 3])
        if names:
            _legend(figure)
        draws = count(int(numbers.loc[numbers["panel"] == "size", "draws"].sum()), "draw")
        style.save(figure, output, numbers, caption("gate", Facts(config, n=draws)))


def _draw_row(panels: Sequence["Axes"], config: Config, name: str, numbers: "pd.DataFrame") -> None:
    parts = dict(iter(numbers.groupby("panel")))
    sizes = parts["size"]
    accepted = 100 * sizes.loc[sizes["outcome"] == ACCEPTED, "draws"].sum() / sizes["draws"].sum()
    _draw_shares(panels[0], sizes, size_classes(config, name), f"{style.readable(name)}: by size")
    _draw_shares(panels[1], parts["organ"], config.organs, f"by organ ({accepted:.0f} % accepted)")
    contrast = parts.get("contrast")
    if contrast is None or (sizes["outcome"] == "refused").any() != (contrast["outcome"] == "refused").any():
        style.say_empty(panels[2], "the contrast of refused draws\nis not on record" if contrast is not None else "no contrast")
    else:
        _draw_shares(panels[2], contrast, contrast["group"], "by contrast")
    _draw_thresholds(panels[3], config, name, parts.get("threshold"), parts.get(IN_USE))


def _draw_shares(axes: "Axes", table: "pd.DataFrame", order: Iterable[str], text: str) -> None:
    groups = style.ordered(table["group"], order)
    wide = table.pivot(index="group", columns="outcome", values="share").reindex(groups).fillna(0)
    draws = table.groupby("group")["draws"].sum()
    left = np.zeros(len(groups))
    for outcome in style.ordered(wide.columns, style.OUTCOMES):
        width = 100 * wide[outcome].to_numpy()
        axes.barh(range(len(groups)), width, left=left, height=0.66, color=style.OUTCOMES.get(outcome, style.GRID))
        left += width
    kept = table[table["outcome"] == ACCEPTED].set_index("group").reindex(groups)
    share, low, high = (100 * kept[column].to_numpy(float) for column in ("share", "low", "high"))
    errors = np.clip([share - low, high - share], 0, None)
    axes.errorbar(share, range(len(groups)), xerr=errors, fmt="none", ecolor=style.INK, elinewidth=0.8, capsize=1.8)
    axes.set(yticks=range(len(groups)), yticklabels=[f"{style.readable(group)}\n(n = {draws[group]:,})" for group in groups])
    axes.set(xlim=(0, 100), ylim=(max(len(groups), FEWEST_BARS) - 0.5, -0.5), xlabel="share of draws (%)")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(text)


def _draw_thresholds(
    axes: "Axes", config: Config, name: str, table: "pd.DataFrame | None", in_use: "pd.DataFrame | None"
) -> None:
    axes.set_title("by threshold")
    if table is None:
        return style.say_empty(axes, "this synthesizer has no gate")
    groups = style.ordered(table["group"], size_classes(config, name))
    for group, color in zip(groups, np.resize(style.CYCLE, len(groups)), strict=True):
        here = table[table["group"] == group]
        axes.plot(here["threshold"], 100 * here["share"], color=color, label=style.readable(group))
        axes.fill_between(
            here["threshold"].astype(float), 100 * here["low"], 100 * here["high"], color=color, alpha=0.12, linewidth=0
        )
    if in_use is not None:
        axes.axvline(in_use["threshold"].iloc[0], color=style.INK, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(0, 100), xlabel="threshold of the main score", ylabel="kept (% of judged)")
    return None


def _explain_lines(panels: Iterable["Axes"]) -> None:
    """A legend of size classes where they are not those of the panel above."""
    explained: list[str] = []
    for axes in panels:
        _, labels = axes.get_legend_handles_labels()
        if labels and labels != explained:
            axes.legend(loc="best", labelspacing=0.25, handlelength=1)
            explained = labels


def _legend(figure: object) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=style.readable(outcome)) for outcome, color in style.OUTCOMES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
