"""The study on one page: where the cases came from, what was done with them, and what came out."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import CASES, SCORES, read_table
from freetumor.evaluation.pairing import DEVELOPMENT, pooled_estimate, reported
from freetumor.evaluation.tasks import TASKS
from freetumor.figures import style
from freetumor.figures.answers import count, percent
from freetumor.figures.contents import CONTENTS
from freetumor.figures.fragments import Caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADLINE = {"segmentation": "dice", "classification": "accuracy"}
FEWEST_BARS = 4  # a panel has room for so many, so that few bars do not become blocks
COLUMNS = ["panel", "name", "group", "n", "value", "ci_low", "ci_high"]


def plot_overview(config: Config, cases: str | Path, scores: str | Path, output: str | Path) -> None:
    """Draw cases by source, the pipeline of this study, and the headline score of each arm.

    Args:
        config: the study.
        cases: table of ``core.tables.CASES``.
        scores: table of ``core.tables.SCORES``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    numbers = overview_numbers(config, read_table(cases, CASES), read_table(scores, SCORES))
    sources, arms = (numbers[numbers["panel"] == panel] for panel in ("cases", "score"))
    tall = 5.2 * max(sources["name"].nunique(), len(arms), 3) + 18
    with style.styled():
        figure = style.new_figure(style.DOUBLE, tall + 40)
        grid = figure.add_gridspec(2, 2, height_ratios=[tall, 34], width_ratios=[1, 1.1])
        left, right, below = (figure.add_subplot(cell) for cell in (grid[0, 0], grid[0, 1], grid[1, :]))
        style.title(left, "a", "Cases by source")
        _draw_sources(left, config, sources)
        style.title(right, "b", f"{_headline(config)}, cross-validation")
        _draw_scores(right, config, arms)
        style.title(below, "c", "What is done in each fold")
        _draw_pipeline(below, config)
        style.save(figure, output, numbers, _words(config, numbers))


def overview_numbers(config: Config, cases: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Used cases by source and kind, and the mean of the headline score per arm with its interval."""
    used = cases[cases["excluded_because"].str.strip() == ""]
    kinds = CONTENTS[config.task].kind(used)
    rows = []
    for source in style.ordered(used["source"], [source.name for source in config.sources]):
        for kind in CONTENTS[config.task].kinds(config):
            here = int(((used["source"] == source) & (kinds == kind)).sum())
            rows.append(("cases", source, kind, here, np.nan, np.nan, np.nan))
    task = TASKS[config.task]
    values = reported(scores)
    values = values[
        (values["metric"] == HEADLINE[config.task]) & (values["structure"] == task.overall) & (values["split"] == DEVELOPMENT)
    ]
    for arm in style.ordered(values["arm"], config.compared):
        own = values[values["arm"] == arm]
        found = pooled_estimate(own, arm, config.evaluation.confidence)
        rows.append(("score", arm, "", own["case_id"].nunique(), found.difference, found.ci_low, found.ci_high))
    return pd.DataFrame(rows, columns=COLUMNS)


def _headline(config: Config) -> str:
    name = style.metric_name(HEADLINE[config.task])
    return f"{name[:1].upper()}{name[1:]}"


def _draw_sources(axes: "Axes", config: Config, numbers: pd.DataFrame) -> None:
    from matplotlib.transforms import ScaledTranslation

    sources = list(dict.fromkeys(numbers["name"]))
    if not sources:
        return style.say_empty(axes, "no cases")
    left = np.zeros(len(sources))
    for kind, color in CONTENTS[config.task].kinds(config).items():
        width = numbers.loc[numbers["group"] == kind, "n"].to_numpy(float)
        if width.sum():
            axes.barh(range(len(sources)), width, left=left, height=0.6, color=color, label=style.readable(kind))
        left += width
    for place, total in enumerate(left):
        axes.annotate(f"{int(total):,}", (total, place), (3, 0), textcoords="offset points", va="center", fontsize=6.5)
    axes.set(yticks=range(len(sources)), yticklabels=[style.readable(name) for name in sources], xlim=(0, 1.12 * left.max()))
    axes.set(ylim=(max(len(sources), FEWEST_BARS) - 0.5, -0.5), xlabel="cases used")
    axes.locator_params(axis="x", integer=True, nbins=5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    below = axes.transAxes + ScaledTranslation(0, -0.42, axes.figure.dpi_scale_trans)  # inches: under the label of the axis
    look = {"handletextpad": 0.5, "columnspacing": 1.2}
    return axes.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, ncols=3, **look)


def _draw_scores(axes: "Axes", config: Config, numbers: pd.DataFrame) -> None:
    if numbers.empty:
        return style.say_empty(axes, "no scores")
    colors = style.arm_colors(config.compared)
    for place, row in enumerate(numbers.itertuples()):
        axes.barh(place, row.value, height=0.62, color=colors.get(row.name, style.FAINT), alpha=0.85)
        if np.isfinite(row.ci_low):
            axes.hlines(place, max(row.ci_low, 0), min(row.ci_high, 1), color=style.INK, linewidth=1)
        text = (f"{row.value:.3f}", (1, place), (2, 0))
        axes.annotate(*text, ("axes fraction", "data"), "offset points", va="center", fontsize=style.SMALL, color=style.MUTED)
    axes.set(yticks=range(len(numbers)), yticklabels=[style.readable(name) for name in numbers["name"]])
    axes.set(ylim=(max(len(numbers), FEWEST_BARS) - 0.5, -0.5), xlabel=f"mean {style.metric_name(HEADLINE[config.task])}")
    axes.set_xlim(0, min(1.0, 1.08 * np.nanmax(numbers[["value", "ci_high"]].to_numpy(float))))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return axes.grid(axis="x")


def steps(config: Config) -> list[tuple[str, str]]:
    """What this study does with a fold, in order: name of the step, and a line about it."""
    painters = len(config.used_synthesizers)
    trained = count(len(config.trainings_of_synthesizers), "training")
    banks = count(len(config.banks), "bank")
    trainings = len(config.recognition.arms) * len(config.recognition.seeds)
    found = [("data", f"{count(len(config.sources), 'source')}\nof images")]
    found.append(("preprocessing", f"checks, preset\n{config.preset}"))
    if config.needs_segmenter:
        found.append(("segmenter", f"judge\n({config.segmenter.network.name})"))
    if painters:
        found += [("synthesizers", f"{painters},\n{trained}"), ("synthesis", f"{banks}\nof lesions")]
    found.append(("recognition", f"{count(len(config.recognition.arms), 'arm')},\n{trainings} trainings"))
    found.append(("evaluation", "test part\nof the fold"))
    return found


def _draw_pipeline(axes: "Axes", config: Config) -> None:
    from matplotlib.patches import FancyBboxPatch

    names = steps(config)
    axes.set(xlim=(0, len(names)), ylim=(0, 1))
    axes.set_axis_off()
    for place, (name, text) in enumerate(names):
        shape = "round,pad=0,rounding_size=0.06"
        painted = name in ("synthesizers", "synthesis")
        color = style.CYCLE[1] if painted else style.MUTED
        axes.add_patch(
            FancyBboxPatch((place + 0.03, 0.22), 0.86, 0.68, boxstyle=shape, facecolor="white", edgecolor=color, linewidth=1)
        )
        axes.text(place + 0.46, 0.74, name, ha="center", va="center", fontsize=6.5, fontweight="bold")
        axes.text(place + 0.46, 0.45, text, ha="center", va="center", fontsize=style.SMALL, color=style.MUTED)
        if place:
            look = {"arrowstyle": "-|>,head_width=0.16,head_length=0.3", "color": style.MUTED, "linewidth": 0.7}
            axes.annotate("", (place + 0.04, 0.55), (place - 0.12, 0.55), arrowprops=look | {"shrinkA": 0, "shrinkB": 0})
    rounds = (
        f"{count(len(config.folds), 'fold')} × {count(len(config.recognition.seeds), 'seed')}; nothing of a test part trains"
    )
    axes.text(0.04, 0.06, f"{rounds} anything that is scored on it", va="center", fontsize=style.SMALL, color=style.MUTED)


def _words(config: Config, numbers: pd.DataFrame) -> Caption:
    arms, sources = numbers[numbers["panel"] == "score"], numbers[numbers["panel"] == "cases"]
    level = percent(config.evaluation.confidence)
    text = (
        f"a, Cases that the study uses, by source and kind. b, Mean {style.metric_name(HEADLINE[config.task])} of the test "
        f"cases of all folds; lines: {level} confidence intervals of the mean, with patients and trainings as random. These "
        "intervals overlap also where the paired difference is clear: see the paired differences. c, The steps of each fold."
    )
    scored = int(arms["n"].max()) if len(arms) else 0
    return Caption(
        "Overview.",
        text,
        "Stacked bars of cases by source, bars of the mean score per arm, and a row of boxes for the steps.",
        f"{count(int(sources['n'].sum()), 'case')} used; {count(scored, 'test case')} scored, "
        f"{count(len(config.folds) * len(config.recognition.seeds), 'training')} per arm",
        "case",
        f"none; {level} t intervals, patients and trainings random",
        "two-sided",
    )
