"""How the Dice grows with the painted lesions per scan, and which curve describes that."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from freetumor.core.config import Config
from freetumor.core.tables import SCORES, read_table
from freetumor.evaluation.pairing import DEVELOPMENT, reported
from freetumor.evaluation.statistics.scaling import Fit, compare
from freetumor.evaluation.structures import ANY_TUMOR
from freetumor.figures import style
from freetumor.figures.answers import listing, percent
from freetumor.figures.fragments import Caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METRIC = "dice"
POINTS = 40  # of a curve
COLUMNS = ["kind", "synthesizer", "arm", "fold", "seed", "draws", "value", "ci_low", "ci_high", "curve", "weight"]


def plot_scaling(config: Config, scores: str | Path, output: str | Path) -> None:
    """Draw the Dice of every training against the painted lesions per scan, one panel per synthesizer.

    Args:
        config: the study; ``config.scaled`` names arms that differ in the number of draws only.
        scores: table of ``core.tables.SCORES``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    numbers = scaling_numbers(config, read_table(scores, SCORES))
    names = style.ordered(numbers["synthesizer"], config.scaled)
    with style.styled():
        figure = style.new_figure(style.DOUBLE if len(names) > 1 else style.SINGLE, 64)
        panels = figure.subplots(1, max(1, len(names)), squeeze=False, sharey=True)[0]
        if not names:
            style.say_empty(panels[0], "no trainings on different numbers of painted lesions")
        for index, (axes, name) in enumerate(zip(panels, names, strict=False)):
            _draw_panel(axes, numbers[numbers["synthesizer"] == name], style.CYCLE[index % len(style.CYCLE)])
            style.title(axes, chr(ord("a") + index), style.readable(name))
        if names:
            panels[0].set_ylabel("mean Dice of a training")
        style.save(figure, output, numbers, _words(config, numbers))


def scaling_numbers(config: Config, scores: pd.DataFrame) -> pd.DataFrame:
    """Every training, the mean per number of draws, and the best curve with its interval: ``COLUMNS``."""
    here = reported(scores)
    here = here[(here["metric"] == METRIC) & (here["structure"] == ANY_TUMOR) & (here["split"] == DEVELOPMENT)]
    means = here.dropna(subset="value").groupby(["arm", "fold", "seed"], sort=True)["value"].mean().reset_index()
    parts = []
    for name, draws in config.scaled.items():
        own = means[means["arm"].isin(list(draws))]
        own = own.assign(kind="training", synthesizer=name, draws=own["arm"].map(draws))
        if own.empty:
            continue
        parts += [own, own.groupby("draws", as_index=False)["value"].mean().assign(kind="mean", synthesizer=name)]
        if own["draws"].nunique() > 2:
            best, weight = compare(own["draws"].to_numpy(float), 1 - own["value"].to_numpy(float))[0]
            parts.append(_curve(best, weight, config.evaluation.confidence).assign(synthesizer=name))
    return pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS) if parts else pd.DataFrame(columns=COLUMNS)


def _curve(best: Fit, weight: float, confidence: float) -> pd.DataFrame:
    """The curve within the data, as a score (1 - error) with pointwise bounds; it is not drawn beyond them."""
    sizes = np.geomspace(best.sizes.min(), best.sizes.max(), POINTS)
    error, low, high = best.predict(sizes, confidence)
    columns = {"draws": sizes, "value": 1 - error, "ci_low": 1 - high, "ci_high": 1 - low}
    return pd.DataFrame(columns).assign(kind="curve", curve=best.family.name, weight=weight)


def _draw_panel(axes: "Axes", numbers: pd.DataFrame, color: str) -> None:
    trainings, means, curve = (numbers[numbers["kind"] == kind] for kind in ("training", "mean", "curve"))
    if len(curve):
        x, low, high = (curve[name].to_numpy(float) for name in ("draws", "ci_low", "ci_high"))
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        label = f"{curve['curve'].iloc[0]} (weight {curve['weight'].iloc[0]:.2f})"
        axes.plot(x, curve["value"], color=color, label=label)
        axes.legend(loc="lower right")
    axes.plot(trainings["draws"], trainings["value"], "o", color=color, markersize=3, alpha=0.5, markeredgewidth=0)
    axes.plot(means["draws"], means["value"], "D", color=color, markersize=5, markeredgecolor=style.INK)
    ticks = sorted(set(means["draws"]))
    axes.set(xscale="log", xlabel="painted lesions of each scan in the bank")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(axis="y")


def _words(config: Config, numbers: pd.DataFrame) -> Caption:
    trainings = numbers[numbers["kind"] == "training"]
    level = percent(config.evaluation.confidence)
    text = (
        "Arms that train on the same scans and for as many steps, with more or fewer painted lesions of each scan to choose "
        "from. Dots: single trainings, their mean Dice over the test cases of the fold; diamonds: means. Line and band: the "
        f"curve with the least corrected Akaike criterion among power law, logarithm and constant, with a pointwise {level} "
        "interval of the mean, within the data only; its weight is the evidence for it among these. A constant says that no "
        "trend was shown."
    )
    parts = [f"{style.readable(name)}: {len(here)} trainings" for name, here in trainings.groupby("synthesizer", sort=False)]
    return Caption(
        "Dice by number of painted lesions.",
        text,
        "Dots of single trainings against the number of painted lesions of each scan, with a fitted curve.",
        listing(parts) if parts else "0 trainings",
        "training (fold and seed)",
        f"none; curve chosen by AICc, {level} t interval of the fit",
        "two-sided",
    )
