"""What each arm gains over the baseline, case by case."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import LESIONS, SCORES, SUMMARY, read_table
from freetumor.evaluation.metric_names import EARLY
from freetumor.evaluation.tasks import TASKS
from freetumor.figures import style
from freetumor.figures.answers import bounds
from freetumor.figures.captions import Facts, caption
from freetumor.figures.style import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_differences(config: Config, scores: str | Path, lesions: str | Path, summary: str | Path, output: str | Path) -> None:
    """Draw paired differences against the baseline arm: a dot per case, the mean with its interval in bold.

    Args:
        config: the study; its primary metrics are drawn.
        scores: table of ``core.tables.SCORES``.
        lesions: table of ``core.tables.LESIONS``, for the early lesions of each case.
        summary: table of ``core.tables.SUMMARY``, from which means and intervals are taken.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    comparisons = drawn_comparisons(config, read_table(summary, SUMMARY))
    values = pd.concat([read_table(scores, SCORES), early_scores(config, read_table(lesions, LESIONS))], ignore_index=True)
    cases = paired_differences(values, comparisons)
    metrics = style.ordered(comparisons["metric"], config.evaluation.primary)
    splits = style.ordered(comparisons["split"], SPLITS)
    lines = max((len(_lines(comparisons, split)) for split in splits), default=1)
    with style.styled():
        rows, columns = max(1, len(splits)), max(1, len(metrics))
        figure = style.new_figure(style.DOUBLE if columns > 1 else style.MIDDLE, (9.5 * lines + 19) * rows + 3)
        panels = figure.subplots(rows, columns, squeeze=False)
        if comparisons.empty:
            style.say_empty(panels[0, 0], "no comparisons: the study has one arm")
        for index in range(len(splits) * len(metrics)):
            row, column = divmod(index, len(metrics))
            axes, split, metric = panels[row, column], splits[row], metrics[column]
            _draw_panel(axes, config, cases, comparisons, split, metric, first=column == 0)
            style.title(axes, chr(ord("a") + index), _panel_title(metric, split))
        style.save(
            figure,
            output,
            difference_numbers(cases, comparisons),
            caption("differences", Facts(config, comparisons=comparisons)),
        )


def drawn_comparisons(config: Config, summary: pd.DataFrame) -> pd.DataFrame:
    """Comparisons of the primary metrics with the baseline, overall; for each structure only if there are none overall."""
    baseline = config.recognition.arms[0]
    chosen = summary[summary["metric"].isin(config.evaluation.primary) & (summary["baseline"] == baseline)]
    overall = chosen[chosen["structure"] == TASKS[config.task].overall]
    return (chosen if overall.empty else overall).reset_index(drop=True)


def early_scores(config: Config, lesions: pd.DataFrame) -> pd.DataFrame:
    """Share of the early lesions of each case that were detected, as rows of the score table."""
    early = lesions[lesions["diameter_mm"] <= config.evaluation.early_mm]
    keys = [name for name in SCORES.columns if name not in ("metric", "value")]
    return early.groupby(keys)["detected"].mean().rename("value").reset_index().assign(metric=EARLY)


def paired_differences(scores: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Per-case differences of every comparison: ``split metric structure arm case_id difference``.

    A case's value is its mean over seeds; cases that lack a value in either arm are left out.
    """
    keys = ["split", "metric", "structure", "case_id", "arm"]
    values = scores.dropna(subset="value").groupby(keys, sort=True)["value"].mean().unstack("arm")
    tables = []
    for row in comparisons.itertuples():
        try:
            here = values.loc[(row.split, row.metric, row.structure)]
            difference = (here[row.arm] - here[row.baseline]).dropna()
        except KeyError:
            continue
        table = difference.rename("difference").reset_index()
        tables.append(table.assign(split=row.split, metric=row.metric, structure=row.structure, arm=row.arm))
    columns = ["split", "metric", "structure", "arm", "case_id", "difference"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def difference_numbers(cases: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Dots (with a case) and means (with an interval) of the figure in one table."""
    means = comparisons[["split", "metric", "structure", "arm", "n", "difference", "ci_low", "ci_high"]]
    return pd.concat([means.assign(kind="mean", case_id=""), cases.assign(kind="case")], ignore_index=True)[
        ["kind", "split", "metric", "structure", "arm", "case_id", "n", "difference", "ci_low", "ci_high"]
    ]


def _lines(comparisons: pd.DataFrame, split: str) -> list[tuple[str, str]]:
    """The lines of a panel from top to bottom: (structure, arm)."""
    here = comparisons[comparisons["split"] == split]
    return list(dict.fromkeys(zip(here["structure"], here["arm"], strict=True)))


def _draw_panel(
    axes: "Axes", config: Config, cases: pd.DataFrame, comparisons: pd.DataFrame, split: str, metric: str, first: bool
) -> None:
    lines = _lines(comparisons, split)
    colors = style.arm_colors(config.compared)
    dots = cases[(cases["split"] == split) & (cases["metric"] == metric)]
    means = comparisons[(comparisons["split"] == split) & (comparisons["metric"] == metric)]
    axes.set_xlim(*_limits(dots["difference"].to_numpy(float), means))
    axes.axvline(0, color=style.MUTED, linewidth=0.8)
    for place, (structure, arm) in enumerate(lines):
        color = colors.get(arm, style.FAINT)
        values = np.sort(dots.loc[(dots["structure"] == structure) & (dots["arm"] == arm), "difference"].to_numpy(float))
        offset = 0.3 * style.spread(len(values), f"{split} {metric} {structure} {arm}")
        axes.plot(values, place + offset, "o", color=color, markersize=2.6, alpha=0.45, markeredgewidth=0)
        for row in means[(means["structure"] == structure) & (means["arm"] == arm)].itertuples():
            _draw_mean(axes, place, row, color)
    axes.set(ylim=(len(lines) - 0.5, -0.5), yticks=range(len(lines)))
    axes.set_yticklabels(_line_names(lines) if first else [])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=6)
    better = "← better" if (means["better"] == "lower").any() else "better →"
    axes.set_xlabel(f"difference from {style.readable(config.recognition.arms[0])}, {better}")


def _panel_title(metric: str, split: str) -> str:
    name = style.metric_name(metric)
    return f"{name[:1].upper()}{name[1:]}, {SPLITS.get(split, split)}"


def _limits(values: np.ndarray, means: pd.DataFrame) -> tuple[float, float]:
    """What a panel shows: all dots, means and 0, and of long intervals at most half of that range on either side."""
    inside = np.concatenate([values, means["difference"].dropna(), [0.0]])
    low, high = inside.min(), inside.max()
    room = 0.5 * max(high - low, 1e-6)
    ends = np.concatenate([means[["ci_low", "ci_high"]].dropna().to_numpy().ravel(), [low, high]])
    left, right = max(ends.min(), low - room), min(ends.max(), high + room)
    margin = 0.05 * max(right - left, 1e-6)
    return left - margin, right + margin


def _draw_mean(axes: "Axes", place: int, row: object, color: str) -> None:
    left, right = axes.get_xlim()
    ends = np.clip([row.ci_low, row.ci_high], left, right)
    axes.plot(ends, [place, place], color="white", linewidth=4.2, solid_capstyle="butt", zorder=3)
    axes.plot(ends, [place, place], color=style.INK, linewidth=1.6, solid_capstyle="butt", zorder=4)
    for end, cut, marker in ((left, row.ci_low < left, "<"), (right, row.ci_high > right, ">")):
        if cut:
            axes.plot(end, place, marker, color=style.INK, markersize=4, clip_on=False, zorder=4)
    axes.plot(row.difference, place, "D", color=color, markersize=5.5, mec=style.INK, mew=0.9, zorder=5)
    text = f"{row.difference:+.3f}\n{bounds(row)}\nn = {row.n}".replace("-", "−")
    where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(text, (1, place), (5, 0), va="center", fontsize=style.SMALL, color=style.MUTED, **where)


def _line_names(lines: Sequence[tuple[str, str]]) -> list[str]:
    """The arm, under its structure if there are several structures."""
    if len({structure for structure, _ in lines}) <= 1:
        return [style.readable(arm) for _, arm in lines]
    return [f"{style.readable(arm)}\n({style.structure_name(structure)})" for structure, arm in lines]
