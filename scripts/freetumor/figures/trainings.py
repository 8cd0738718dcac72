"""How much the luck of training matters: every training as a dot, in cross-validation and on each external source."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import LESIONS, SCORES, read_table
from freetumor.evaluation.metric_names import BETTER, EARLY
from freetumor.evaluation.pairing import DEVELOPMENT, reported
from freetumor.evaluation.tasks import TASKS
from freetumor.figures import style
from freetumor.figures.answers import count, listing
from freetumor.figures.fragments import Caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EXTERNAL = "external"
KEYS = ["source", "metric", "arm"]
COLUMNS = ["kind", *KEYS, "fold", "seed", "mean", "sd", "trainings", "cases", "units"]
EVERY = "every source"


def plot_seeds(config: Config, scores: str | Path, lesions: str | Path, output: str | Path) -> None:
    """Draw the mean of every training over the test cases of its fold, per arm and primary metric.

    Args:
        config: the study.
        scores: table of ``core.tables.SCORES``.
        lesions: table of ``core.tables.LESIONS``, for the early sensitivity.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    values = primary_values(config, read_table(scores, SCORES), read_table(lesions, LESIONS))
    numbers = training_numbers(values[values["split"] == DEVELOPMENT].assign(source=EVERY), within_folds=True)
    names = {metric: style.metric_name(metric) for metric in config.evaluation.primary}
    text = (
        "Each dot: one training, its mean over the test cases of its fold; folds have marks of their own. Lines: mean over all "
        "cases and trainings; shaded: plus and minus the standard deviation between trainings of a fold, pooled over folds. "
        "Folds also differ in their cases; seeds of a fold differ in nothing but luck."
    )
    _plot(config, numbers, list(names), EVERY, output, "Spread of trainings.", text, names)


def plot_external(config: Config, scores: str | Path, lesions: str | Path, output: str | Path) -> None:
    """Draw the mean of every training over the cases of each external source, per arm and primary metric.

    Args:
        config: the study.
        scores: table of ``core.tables.SCORES``.
        lesions: table of ``core.tables.LESIONS``, for the early sensitivity.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    values = primary_values(config, read_table(scores, SCORES), read_table(lesions, LESIONS))
    numbers = training_numbers(values[values["split"] == EXTERNAL], within_folds=False)
    names = {metric: style.metric_name(metric) for metric in config.evaluation.primary}
    text = (
        "Each dot: one training, its mean over all cases of a source that no training has seen; folds have marks of their own. "
        "Lines: mean over all cases and trainings; shaded: plus and minus the standard deviation between trainings."
    )
    _plot(config, numbers, list(names), EXTERNAL, output, "Out of domain.", text, names)


def primary_values(config: Config, scores: pd.DataFrame, lesions: pd.DataFrame) -> pd.DataFrame:
    """Values of the primary metrics, overall, one row per unit (a case; of the early sensitivity a lesion) and training."""
    here = reported(scores)
    here = here[here["metric"].isin(config.evaluation.primary) & (here["structure"] == TASKS[config.task].overall)]
    parts = [here]
    if EARLY in config.evaluation.primary:
        early = reported(lesions)
        early = early[(early["diameter_mm"] <= config.evaluation.early_mm) & (early["structure"] == TASKS[config.task].overall)]
        parts.append(early.assign(metric=EARLY, value=early["detected"].astype(float))[here.columns])
    return pd.concat(parts, ignore_index=True).dropna(subset="value")


def training_numbers(values: pd.DataFrame, within_folds: bool) -> pd.DataFrame:
    """The mean of each training, and of each arm the mean over all units, and the spread of its trainings: ``COLUMNS``.

    Args:
        values: of :func:`primary_values`.
        within_folds: take the deviation from the mean of the fold: trainings of different folds had different test cases.
    """
    groups = values.groupby([*KEYS, "fold", "seed"], sort=True)
    trainings = groups.agg(mean=("value", "mean"), cases=("case_id", "nunique"), units=("value", "size")).reset_index()
    if within_folds:
        means = trainings.groupby([*KEYS, "fold"])["mean"]
        deviations, lost = trainings["mean"] - means.transform("mean"), trainings.groupby(KEYS)["fold"].nunique()
    else:
        deviations = trainings["mean"] - trainings.groupby(KEYS)["mean"].transform("mean")
        lost = trainings.groupby(KEYS)["fold"].nunique().clip(upper=1)
    groups = trainings.assign(square=deviations**2).groupby(KEYS)
    degrees = groups.size() - lost
    arms = pd.DataFrame(
        {
            "mean": values.groupby(KEYS)["value"].mean(),  # as in the comparisons: folds with more units weigh more
            "sd": (groups["square"].sum() / degrees.where(degrees > 0)) ** 0.5,
            "trainings": groups.size(),
            "cases": values.groupby(KEYS)["case_id"].nunique(),
            "units": groups["units"].sum(),
        }
    )
    both = [arms.reset_index().assign(kind="arm"), trainings.assign(kind="training", trainings=1)]
    return pd.concat(both, ignore_index=True).reindex(columns=COLUMNS)


def _plot(
    config: Config,
    numbers: pd.DataFrame,
    metrics: Sequence[str],
    what: str,
    output: str | Path,
    title: str,
    text: str,
    names: dict[str, str],
) -> None:
    sources = style.ordered(numbers["source"], [source.name for source in config.sources])
    panels = [(source, metric) for source in sources for metric in style.ordered(numbers["metric"], metrics)]
    rows, columns = max(1, len(sources)), max(1, len(panels) // max(1, len(sources)))
    arms = style.ordered(numbers["arm"], config.compared)
    with style.styled():
        figure = style.new_figure(style.DOUBLE if columns > 1 else style.MIDDLE, (5.5 * max(3, len(arms)) + 20) * rows + 6)
        grid = figure.subplots(rows, columns, squeeze=False)
        if not panels:
            style.say_empty(grid[0, 0], "no trainings")
        for index, (axes, (source, metric)) in enumerate(zip(grid.flat, panels, strict=False)):
            here = numbers[(numbers["source"] == source) & (numbers["metric"] == metric)]
            _draw_panel(axes, config, here, arms, first=index % columns == 0)
            name = names.get(metric, metric)
            place = "" if source == EVERY else f", {style.readable(source)}"
            style.title(axes, chr(ord("a") + index), f"{name[:1].upper()}{name[1:]}{place}")
            axes.set_xlabel(f"mean of a training ({BETTER.get(metric, 'higher')} is better)")
        if panels:
            _legend(figure, numbers)
        style.save(figure, output, numbers, _words(numbers, what, title, text))


def _draw_panel(axes: "Axes", config: Config, numbers: pd.DataFrame, arms: Sequence[str], first: bool) -> None:
    colors = style.arm_colors(config.compared)
    folds = sorted(numbers["fold"].dropna().unique())
    for place, arm in enumerate(arms):
        here = numbers[numbers["arm"] == arm]
        color = colors.get(arm, style.FAINT)
        for row in here[here["kind"] == "arm"].itertuples():
            if row.sd == row.sd:
                ends = max(row.mean - row.sd, 0.0), row.mean + row.sd  # no metric is negative
                axes.fill_betweenx([place - 0.3, place + 0.3], *ends, color=color, alpha=0.2, linewidth=0)
            axes.vlines(row.mean, place - 0.36, place + 0.36, color=style.INK, linewidth=1.4)
        for index, fold in enumerate(folds):
            own = here[(here["kind"] == "training") & (here["fold"] == fold)]
            offset = 0.2 * style.spread(len(own), f"trainings {arm} {fold}")
            look = {"color": color, "markersize": 3.6, "markeredgecolor": "white", "markeredgewidth": 0.4}
            axes.plot(own["mean"], place + offset, style.MARKERS[index % len(style.MARKERS)], **look)
    axes.set(yticks=range(len(arms)), ylim=(len(arms) - 0.5, -0.5))
    axes.set_yticklabels([style.readable(arm) for arm in arms] if first else [])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x")


def _legend(figure: object, numbers: pd.DataFrame) -> None:
    from matplotlib.lines import Line2D

    folds = sorted(numbers["fold"].dropna().unique())
    if len(folds) > 1:
        handles = [
            Line2D(
                [],
                [],
                linestyle="none",
                marker=style.MARKERS[i % len(style.MARKERS)],
                color=style.MUTED,
                label=f"fold {fold:g}",
            )
            for i, fold in enumerate(folds)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(10, len(handles)))


def _words(numbers: pd.DataFrame, what: str, title: str, text: str) -> Caption:
    arms = numbers[numbers["kind"] == "arm"]
    parts = [
        f"{style.metric_name(metric)}{'' if source == EVERY else f' in {source}'}: {here['trainings'].max()} trainings per "
        f"arm, {count(int(here['cases'].max()), 'case')}"
        for (source, metric), here in arms.groupby(["source", "metric"], sort=False)
    ]
    place = "cross-validation" if what == EVERY else "external sources"
    return Caption(
        title,
        text,
        f"Dot plot of the means of single trainings in {place}, per arm.",
        listing(parts) if parts else "0 trainings",
        "training (fold and seed)",
        "none; shades are standard deviations, not intervals",
    )
