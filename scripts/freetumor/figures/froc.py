"""Detection: free-response curves of the lesion candidates, and how well patients are told apart by the surest of them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.detection import AT_RATE, FROC, FROC_SCORE, ONE_TO_ONE, OPERATING
from freetumor.evaluation.patients import METRICS, PATIENTS
from freetumor.figures import style
from freetumor.figures.answers import listing, percent
from freetumor.figures.fragments import Caption
from freetumor.figures.style import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {"auc": "area under\nROC curve", "sensitivity": "sensitivity", "specificity": "specificity"}
SMALLEST, BIGGEST = OPERATING[0], OPERATING[-1]


def plot_froc(config: Config, froc: str | Path, patients: str | Path, output: str | Path) -> None:
    """Draw per split: curves, their mean at the operating points, and the detection of patients.

    Args:
        config: the study.
        froc: table of ``evaluation.detection.FROC``.
        patients: table of ``evaluation.patients.PATIENTS``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    numbers = froc_numbers(read_table(froc, FROC), read_table(patients, PATIENTS))
    splits = style.ordered(numbers["split"], SPLITS)
    arms = style.ordered(numbers["arm"], config.compared)
    rows = max(1, len(splits))
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 62 * rows + 6)
        grid = figure.subplots(rows, 3, squeeze=False, width_ratios=[1.25, 0.75, 1])
        if not splits:
            for axes in grid.flat:
                axes.set_axis_off()
            style.say_empty(grid[0, 1], "no candidates in the test cases")
        for row, split in enumerate(splits):
            here = numbers[numbers["split"] == split]
            _draw_curves(grid[row, 0], config, here[here["quantity"] == AT_RATE], arms)
            _draw_means(grid[row, 1], config, here[here["quantity"] == FROC_SCORE], arms)
            _draw_patients(grid[row, 2], config, here[here["quantity"] == "patients"], arms)
            titles = (SPLITS.get(split, split).capitalize(), "Mean of the seven points", "Patients")
            for column, text in enumerate(titles):
                style.title(grid[row, column], chr(ord("a") + 3 * row + column), text)
        if splits:
            figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(6, len(arms)))
        style.save(figure, output, numbers, _words(config, numbers))


def froc_numbers(froc: pd.DataFrame, patients: pd.DataFrame) -> pd.DataFrame:
    """Both tables below each other, one-to-one matches alone; rows of patients have their metric as ``match``."""
    shown = froc[(froc["match"] == ONE_TO_ONE) & froc["quantity"].isin([AT_RATE, FROC_SCORE])]
    judged = patients[patients["metric"].isin(METRICS)].rename(columns={"metric": "match"}).assign(quantity="patients")
    parts = [part for part in (shown, judged) if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else shown
    names = ["split", "arm", "quantity", "match", "fp_per_scan", "value", "ci_low", "ci_high", "sd", "threshold"]
    return table.reindex(columns=[*names, "lesions", "scans", "n_patients", "n_tumor", "trainings", "interval"])


def _draw_curves(axes: "Axes", config: Config, table: pd.DataFrame, arms: list[str]) -> None:
    colors, markers = style.arm_colors(config.compared), style.arm_markers(config.compared)
    for arm in arms:
        own = table[table["arm"] == arm].sort_values("fp_per_scan")
        own = own[own["fp_per_scan"].between(SMALLEST, BIGGEST)]
        color = colors.get(arm, style.FAINT)
        x, y, low, high = (own[name].to_numpy(float) for name in ("fp_per_scan", "value", "ci_low", "ci_high"))
        axes.fill_between(x, 100 * low, 100 * high, color=color, alpha=0.08, linewidth=0)
        at = np.flatnonzero(np.isin(x, OPERATING)).tolist()
        look = {"markersize": 3.5, "markeredgecolor": "white", "markeredgewidth": 0.4, "markevery": at}
        axes.plot(x, 100 * y, marker=markers.get(arm, "o"), color=color, label=style.readable(arm), **look)
    axes.set(xscale="log", xlim=(SMALLEST / 1.1, BIGGEST * 1.1), ylim=(-2, 102))
    axes.set_xticks(OPERATING, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="false positives per scan", ylabel="lesions found (%)")
    axes.grid()


def _draw_means(axes: "Axes", config: Config, table: pd.DataFrame, arms: list[str]) -> None:
    colors, markers = style.arm_colors(config.compared), style.arm_markers(config.compared)
    for place, arm in enumerate(arms):
        for row in table[table["arm"] == arm].itertuples():
            _dot(axes, place, row, colors.get(arm, style.FAINT), markers.get(arm, "o"))
    axes.set(yticks=range(len(arms)), yticklabels=[style.readable(arm) for arm in arms], ylim=(len(arms) - 0.5, -0.5))
    _share_axis(axes, "lesions found (%)")


def _draw_patients(axes: "Axes", config: Config, table: pd.DataFrame, arms: list[str]) -> None:
    if not np.isfinite(table["value"].to_numpy(float)).any():
        style.say_empty(axes, "patients with and without a tumor are needed")
        return
    colors, markers = style.arm_colors(config.compared), style.arm_markers(config.compared)
    step = 0.74 / max(1, len(arms))
    for place, metric in enumerate(METRICS):
        for index, arm in enumerate(arms):
            for row in table[(table["match"] == metric) & (table["arm"] == arm)].itertuples():
                where = place + step * (index - (len(arms) - 1) / 2)
                _dot(axes, where, row, colors.get(arm, style.FAINT), markers.get(arm, "o"))
    axes.axvline(50, color=style.FAINT, linewidth=0.7, ymin=2 / 3)
    axes.set(yticks=range(len(METRICS)), ylim=(len(METRICS) - 0.5, -0.5))
    axes.set_yticklabels([NAMES[metric] for metric in METRICS])
    _share_axis(axes, "patients (%)")


def _dot(axes: "Axes", place: float, row: object, color: str, marker: str) -> None:
    if np.isfinite(row.value):
        axes.hlines(place, 100 * row.ci_low, 100 * row.ci_high, color=color, linewidth=1.1, alpha=0.7)
        look = {"color": color, "markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.5, "clip_on": False}
        axes.plot(100 * row.value, place, marker, zorder=4, **look)


def _share_axis(axes: "Axes", label: str) -> None:
    axes.set(xlim=(-2, 102), xlabel=label)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _words(config: Config, numbers: pd.DataFrame) -> Caption:
    level, least = percent(config.evaluation.confidence), config.evaluation.match_iou
    text = (
        "Left: share of reference lesions that are found against false candidates per scan, over all thresholds of the "
        f"candidates' confidence; a lesion is found by a one-to-one match with an intersection over union of at least "
        f"{least:g}. Marks: the operating points of LUNA16 (1/8 to 8); middle: their mean. Right: patients with and without "
        "tumor, told apart by their surest candidate; sensitivity and specificity at the threshold with the greatest Youden "
        f"index on the validation patients of each training. Bands and bars: {level} intervals."
    )
    curves = numbers[numbers["quantity"] == FROC_SCORE].groupby("split", sort=False)[["lesions", "scans", "trainings"]].max()
    judged = numbers[numbers["quantity"] == "patients"].groupby("split", sort=False)[["n_patients", "n_tumor"]].max()
    parts = [
        f"{SPLITS.get(split, split)}: {row.lesions:.0f} lesions in {row.scans:.0f} scans, {row.trainings:.0f} trainings"
        for split, row in zip(curves.index, curves.itertuples(), strict=True)
    ]
    parts += [
        f"{SPLITS.get(split, split)}: {row.n_patients:.0f} patients, {row.n_tumor:.0f} with tumor"
        for split, row in zip(judged.index, judged.itertuples(), strict=True)
    ]
    kinds = sorted(set(numbers["interval"]).difference([""]))
    return Caption(
        "Detection of lesions and of patients.",
        text,
        "Free-response curves per arm, dots of their means, and dots of the detection of patients, with intervals.",
        "; ".join(parts) if parts else "0 lesions",
        "lesion within patient; patient",
        f"none; {level} intervals: {listing(kinds)}" if kinds else "none",
        "two-sided" if kinds else "none",
    )
