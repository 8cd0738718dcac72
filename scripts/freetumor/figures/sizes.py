"""How often lesions of each size are found, per arm."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.lesions import size_bin_names
from freetumor.evaluation.sizes import SIZES
from freetumor.evaluation.tasks import TASKS
from freetumor.figures import style
from freetumor.figures.captions import Facts, caption
from freetumor.figures.highlights import highlighted
from freetumor.figures.style import SPLITS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST = 8  # arms side by side; of more, only the highlighted ones are drawn


def plot_sizes(config: Config, sizes: str | Path, output: str | Path) -> None:
    """Draw lesion sensitivity by diameter with confidence intervals.

    Args:
        config: the study.
        sizes: table of ``evaluation.sizes.SIZES``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    table = read_table(sizes, SIZES)
    if table["arm"].nunique() > MOST:
        table = table[table["arm"].isin(highlighted(config))]
    splits = style.ordered(table["split"], SPLITS)
    arms = style.ordered(table["arm"], config.compared)
    with style.styled():
        figure = style.new_figure(style.DOUBLE if len(splits) > 1 else style.MIDDLE, 72)
        panels = figure.subplots(1, max(1, len(splits)), squeeze=False, sharey=True)[0]
        if table.empty:
            style.say_empty(panels[0], "no lesions in the test cases")
        for index, (axes, split) in enumerate(zip(panels, splits, strict=False)):
            _draw_panel(axes, config, table[table["split"] == split], arms)
            style.title(axes, chr(ord("a") + index), SPLITS.get(split, split))
        if splits:
            panels[0].set_ylabel(f"lesions {TASKS[config.task].hit} (%)")
            figure.legend(
                *panels[0].get_legend_handles_labels(),
                loc="outside lower center",
                ncols=min(6 if len(splits) > 1 else 4, len(arms)),
            )
        style.save(figure, output, table, caption("sizes", Facts(config, sizes=table)))


def _draw_panel(axes: "Axes", config: Config, table: "pd.DataFrame", arms: list[str]) -> None:
    bins = style.ordered(table["size_bin"], size_bin_names(config.evaluation.size_bins))
    colors, markers = (rule(config.compared) for rule in (style.arm_colors, style.arm_markers))
    step = 0.66 / max(1, len(arms))
    for index, arm in enumerate(arms):
        here = table[table["arm"] == arm].set_index("size_bin").reindex(bins)
        place = np.arange(len(bins)) + step * (index - (len(arms) - 1) / 2)
        share, low, high = (100 * here[name].to_numpy(float) for name in ("detected_share", "ci_low", "ci_high"))
        color = colors.get(arm, style.FAINT)
        axes.vlines(place, low, high, color=color, linewidth=1.4, alpha=0.55)
        axes.plot(
            place,
            share,
            markers.get(arm, "o"),
            color=color,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=style.readable(arm),
        )
    lesions = table.groupby("size_bin")["lesions"].max()
    patients = table.groupby("size_bin")["n_patients"].max()
    names = [f"{_with_unit(name)}\n{lesions[name]:g} lesions\n{patients[name]:g} patients" for name in bins]
    axes.set(xticks=range(len(bins)), xticklabels=names, xlim=(-0.5, len(bins) - 0.5), ylim=(-3, 105))
    axes.set_xlabel("lesion diameter")
    axes.tick_params(axis="x", length=0)
    for edge in np.arange(len(bins) - 1) + 0.5:
        axes.axvline(edge, color=style.GRID, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y")


def _with_unit(label: str) -> str:
    label = label.replace(">=", "≥").replace("<=", "≤").replace("-", "–")
    return label if "mm" in label or not any(sign.isdigit() for sign in label) else f"{label} mm"
