"""How recognizers see the lesions: a map of the last layer, one panel per recognizer."""

from pathlib import Path
from typing import TYPE_CHECKING

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.sheets.tables import EMBEDDING, ORIGINAL, VARIANT
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_embedding(config: Config, points: str | Path, output: str | Path) -> None:
    """Draw how recognizers tell the test regions of a fold apart, one panel each.

    Args:
        config: the study.
        points: table of ``evaluation.sheets.tables.EMBEDDING``.
        output: path of the PNG; PDF, CSV and caption are written beside it.

    Reference:
        Frid-Adar et al. 2018, figure 9.
    """
    table = read_table(points, EMBEDDING)
    arms = style.ordered(table["arm"], config.recognition.arms)
    with style.styled():
        figure = style.new_figure(style.DOUBLE if len(arms) > 1 else style.SINGLE, 74 if len(arms) > 2 else 92)
        panels = figure.subplots(1, max(1, len(arms)), squeeze=False)[0]
        if not arms:
            style.say_empty(panels[0], "no labeled test cases")
        for index, (axes, arm) in enumerate(zip(panels, arms, strict=False)):
            _draw_panel(axes, config, table[table["arm"] == arm])
            style.title(axes, chr(ord("a") + index), style.readable(arm))
        handles, labels = panels[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
        originals = table.loc[table["kind"] == ORIGINAL, "case_id"].nunique()
        style.save(figure, output, table, caption("embedding", Facts(config, n=count(originals, "test region"))))


def _draw_panel(axes: "Axes", config: Config, table: "pd.DataFrame") -> None:
    """Augmented points small and pale, originals above them; a map has no axes, so it has a frame instead."""
    colors, markers = style.category_colors(config.categories), style.arm_markers(config.categories)
    for category in config.categories:
        color, marker = colors[category], markers[category]
        here = table[table["category"] == category]
        augmented, original = here[here["kind"] == VARIANT], here[here["kind"] == ORIGINAL]
        axes.scatter(augmented["x"], augmented["y"], 5, color, alpha=0.45, linewidths=0)
        look = {"marker": marker, "edgecolors": "white", "linewidths": 0.5, "zorder": 3}
        axes.scatter(original["x"], original["y"], 20, color, label=style.readable(category), **look)
    axes.scatter([], [], 5, style.MUTED, linewidths=0, label="classic augmentation")
    originals = table[table["kind"] == ORIGINAL]
    share = 100 * originals["nearest_agrees"].mean()
    axes.set_xlabel(f"nearest other lesion of the same category:\n{share:.0f} % of {len(originals)} lesions")
    axes.set(xticks=[], yticks=[], xmargin=0.06, ymargin=0.06)
    for spine in axes.spines.values():
        spine.set(visible=True, color=style.GRID)
