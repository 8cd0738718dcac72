"""Scores of single cases as boxes: one panel per source and structure, arms side by side.

The boxes follow the convention of the paper: the center line is the mean, the box goes from the lower to the upper quartile,
the whiskers from the lowest to the highest value.

Reference:
    Wu et al. 2025, figures 3 and 4.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import SCORES, read_table
from freetumor.evaluation.pairing import reported
from freetumor.evaluation.structures import ANY_TUMOR, tumor_structures
from freetumor.figures import style
from freetumor.figures.answers import listing
from freetumor.figures.fragments import Caption
from freetumor.figures.style import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOXED = ("dice", "surface_dice")  # one page row per structure; values lie between 0 and 1
PER_ROW = 3
FEW_ARMS = 6  # names of so many have room aslant; of more, they stand upright
COLUMNS = ["split", "source", "structure", "metric", "arm", "n", "patients", "mean", "q25", "q75", "low", "high"]


def plot_boxes(config: Config, scores: str | Path, output: str | Path) -> None:
    """Draw the scores of single cases per source and structure.

    Args:
        config: the study.
        scores: table of ``core.tables.SCORES``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    values = case_values(config, read_table(scores, SCORES))
    numbers = box_numbers(config, values)
    panels = list(dict.fromkeys(zip(numbers["split"], numbers["source"], numbers["structure"], strict=True)))
    rows = max(1, -(-len(panels) // PER_ROW))
    columns = min(PER_ROW, max(1, len(panels)))
    with style.styled():
        figure = style.new_figure(style.DOUBLE if columns > 1 else style.SINGLE, 58 * rows + 8)
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        if not panels:
            style.say_empty(grid[0, 0], "no scores of single cases")
        for index, (axes, key) in enumerate(zip(grid.flat, panels, strict=False)):
            _draw_panel(axes, config, numbers, values, key)
            _, source, structure = key
            style.title(axes, chr(ord("a") + index), f"{style.structure_name(structure)}, {style.readable(source)}")
            if index % columns == 0:
                axes.set_ylabel(f"{style.metric_name(_metric(config))} per case")
        style.save(figure, output, numbers, _words(config, numbers))


def case_values(config: Config, scores: pd.DataFrame) -> pd.DataFrame:
    """The value of each case, the mean over its trainings: ``split source structure metric arm case_id patient_id value``.

    The structure ``tumor`` is left out where it is the only class of tumor under another name.
    """
    here = reported(scores)
    here = here[(here["metric"] == _metric(config)) & here["structure"].isin(tumor_structures(config.organs))]
    keys = ["split", "source", "structure", "metric", "arm", "case_id", "patient_id"]
    values = here.dropna(subset="value").groupby(keys, sort=True)["value"].mean().reset_index()
    classes = values.groupby(["split", "source"])["structure"].transform("nunique")
    return values[(values["structure"] == ANY_TUMOR) | (classes > 2)].reset_index(drop=True)


def box_numbers(config: Config, values: pd.DataFrame) -> pd.DataFrame:
    """What each box is made of; an arm without a case in a panel has a row with ``n`` of 0."""
    rows = []
    sources = style.ordered(values["source"], [source.name for source in config.sources])
    arms = style.ordered(values["arm"], config.compared)
    for split in style.ordered(values["split"], SPLITS):
        for source in sources:
            part = values[(values["split"] == split) & (values["source"] == source)]
            for structure in style.ordered(part["structure"], tumor_structures(config.organs)):
                for arm in arms:
                    own = part[(part["structure"] == structure) & (part["arm"] == arm)]
                    numbers = _box(own["value"].to_numpy(float))
                    key = (split, source, structure, _metric(config), arm)
                    rows.append((*key, len(own), own["patient_id"].nunique(), *numbers))
    return pd.DataFrame(rows, columns=COLUMNS)


def _box(values: np.ndarray) -> tuple[float, ...]:
    """Mean, quartiles, lowest and highest value; NaN without a value."""
    if not len(values):
        return (np.nan,) * 5
    return (values.mean(), *np.quantile(values, [0.25, 0.75]), values.min(), values.max())


def _metric(config: Config) -> str:
    """The first primary metric that has a value per case."""
    return next((name for name in config.evaluation.primary if name in BOXED), BOXED[0])


def _draw_panel(axes: "Axes", config: Config, numbers: pd.DataFrame, values: pd.DataFrame, key: tuple[str, str, str]) -> None:
    here, dots = (_of_panel(table, key).reset_index(drop=True) for table in (numbers, values))
    colors = style.arm_colors(config.compared)
    for place, row in enumerate(here.itertuples()):
        color = colors.get(row.arm, style.FAINT)
        if not row.n:
            axes.plot(place, 0.5, "x", color=style.MUTED, markersize=5)
            continue
        axes.vlines(place, row.low, row.high, color=color, linewidth=0.9)
        axes.hlines([row.low, row.high], place - 0.14, place + 0.14, color=color, linewidth=0.9)
        axes.fill_between([place - 0.3, place + 0.3], row.q25, row.q75, facecolor=color, alpha=0.35, edgecolor=color)
        axes.hlines(row.mean, place - 0.3, place + 0.3, color=style.INK, linewidth=1.6)
        own = dots.loc[dots["arm"] == row.arm, "value"].sort_values().to_numpy()
        offset = 0.22 * style.spread(len(own), f"boxes {' '.join(key)} {row.arm}")
        axes.plot(place + offset, own, "o", color=color, markersize=1.8, alpha=0.5, markeredgewidth=0)
    axes.set(xlim=(-0.6, len(here) - 0.4), ylim=(-0.02, 1.02))
    slant = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if len(here) <= FEW_ARMS else {"rotation": 90}
    axes.set_xticks(range(len(here)), [style.readable(arm) for arm in here["arm"]], **slant)
    axes.tick_params(axis="x", length=0)
    words = f"{_count(here['n'])}{', external' if key[0] == 'external' else ''}"
    axes.annotate(words, (1, 1), (0, -1), "axes fraction", "offset points", ha="right", va="top", fontsize=style.SMALL)
    axes.grid(axis="y")


def _of_panel(table: pd.DataFrame, key: tuple[str, str, str]) -> pd.DataFrame:
    split, source, structure = key
    return table[(table["split"] == split) & (table["source"] == source) & (table["structure"] == structure)]


def _count(counts: pd.Series) -> str:
    """``n = 8``; of arms with different numbers of cases, the range."""
    low, high = int(counts.min()), int(counts.max())
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def _words(config: Config, numbers: pd.DataFrame) -> Caption:
    metric = style.metric_name(_metric(config))
    text = (
        f"{metric[:1].upper()}{metric[1:]} of single test cases at native resolution, each the mean over its trainings. Center "
        "line: mean; box: lower to upper quartile; whiskers: lowest to highest value; dots: cases. A missed tumor counts as 0; "
        "a cross means that an arm has no case. Boxes show how cases differ, not how sure a difference between arms is: that "
        "is in the paired differences."
    )
    counts = numbers[numbers["structure"] == ANY_TUMOR].groupby(["split", "source"], sort=False)["n"].max()
    parts = [f"{count} cases of {source} ({SPLITS.get(split, split)})" for (split, source), count in counts.items()]
    return Caption(
        f"{metric[:1].upper()}{metric[1:]} per case.",
        text,
        f"Box plots of the {metric} of single cases, per source and structure, arms side by side.",
        listing(parts) if parts else "0 cases",
        "case, mean over trainings",
    )
