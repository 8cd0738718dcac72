"""What became of each draw: accepted, refused by the gate, without a place, or empty; and the scores of the gate."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freetumor.core.config import Config, Synthesizer
from freetumor.core.tables import MANIFEST, read_table
from freetumor.figures import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SCORE_BINS = np.linspace(0, 1, 21)
NOT_PLACED = "not placed"  # a draw that found no place has no size


def plot_gate(config: Config, manifests: Sequence[str | Path], output: str | Path) -> None:
    """Draw the outcomes of each synthesizer by size class and organ, and its gate scores.

    Args:
        config: the study; thresholds and size classes are taken from it.
        manifests: tables of ``core.tables.MANIFEST``, of any number of folds and synthesizers.
        output: path of the PNG; PDF and CSV are written beside it.
    """
    table = read_manifests(config, manifests)
    names = style.ordered(table["synthesizer"], [*config.banks, *config.synthesizers])
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 44 * max(1, len(names)) + 7)
        panels = figure.subplots(max(1, len(names)), 3, squeeze=False, width_ratios=[1, 1, 1.1])
        if not names:
            for axes in panels[0]:
                axes.set_axis_off()
            style.say_empty(panels[0, 1], "no synthetic lesions")
        for index, name in enumerate(names):
            _draw_row(panels[index], config, name, table[table["synthesizer"] == name])
        for axes, letter in zip(panels[0] if names else (), "abc", strict=False):
            style.title(axes, letter, axes.get_title(loc="left"))
        for axes in panels[:-1].flat:
            axes.set_xlabel("")
        if names:
            _legend(figure)
        style.save(figure, output, gate_numbers(table))


def read_manifests(config: Config, manifests: Sequence[str | Path]) -> "pd.DataFrame":
    """Synthesizer, organ, size class, outcome and score of every draw."""
    import pandas as pd

    tables = [read_table(path, MANIFEST) for path in manifests]
    columns = ["synthesizer", "organ", "size", "outcome", "score"]
    if not tables:
        return pd.DataFrame(columns=columns)
    table = pd.concat(tables, ignore_index=True)
    size = [
        size_class(json.loads(parameters or "{}"), _radii(config, name))
        for parameters, name in zip(table["parameters"], table["synthesizer"], strict=True)
    ]
    return table.assign(size=size)[columns]


def size_class(parameters: Mapping[str, Any], radii: Mapping[str, float]) -> str:
    """The size class that was drawn; for the shape of a real lesion, the class whose nominal radius is nearest.

    Args:
        parameters: of the draw; empty if the organ offered no place.
        radii: nominal radius of each class in mm.
    """
    if parameters.get("size") in radii:
        return parameters["size"]
    if "radius_mm" in parameters:
        return min(radii, key=lambda name: abs(np.log(radii[name] / parameters["radius_mm"])))
    return NOT_PLACED


def shares(table: "pd.DataFrame", by: str) -> "pd.DataFrame":
    """Draws by group and outcome: ``group outcome draws share``, shares summing to one per group."""
    counts = table.groupby([by, "outcome"]).size().rename("draws").reset_index().rename(columns={by: "group"})
    return counts.assign(share=counts["draws"] / counts.groupby("group")["draws"].transform("sum"))


def gate_numbers(table: "pd.DataFrame") -> "pd.DataFrame":
    """Shares by size and organ, and histogram counts of the scores: one long table."""
    import pandas as pd

    rows = []
    for name, here in table.groupby("synthesizer", sort=True):
        for by in ("size", "organ"):
            rows += [(name, by, row.group, row.outcome, row.draws, row.share) for row in shares(here, by).itertuples()]
        for outcome, scored in here.dropna(subset="score").groupby("outcome", sort=True):
            counts, edges = np.histogram(scored["score"], SCORE_BINS)
            rows += [
                (name, "score", f"{low:.2f}-{high:.2f}", outcome, int(count), count / len(scored))
                for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
            ]
    return pd.DataFrame(rows, columns=["synthesizer", "panel", "group", "outcome", "draws", "share"])


def _radii(config: Config, name: str) -> dict[str, float]:
    """Size classes of a synthesizer; of all of them for a name that the study does not know."""
    known = [config.synthesizers[name]] if name in config.synthesizers else config.synthesizers.values()
    return {size: radius for synthesizer in known for size, radius in synthesizer.shape.radius.items()}


def gate_threshold(settings: Synthesizer) -> float:
    """The least score that a synthesizer's gate accepts."""
    if not settings.has("recall_gate"):
        return settings.gate.threshold
    from freetumor.synthesizer.gates import PUBLISHED_THRESHOLD

    return PUBLISHED_THRESHOLD


def _draw_row(panels: Sequence["Axes"], config: Config, name: str, table: "pd.DataFrame") -> None:
    accepted = 100 * (table["outcome"] == "accepted").mean()
    _draw_shares(panels[0], shares(table, "size"), _radii(config, name), f"{name}: by size")
    _draw_shares(panels[1], shares(table, "organ"), config.organs, "by organ")
    _draw_scores(panels[2], config, name, table.dropna(subset="score"))
    panels[2].set_title(f"gate score ({accepted:.0f} % accepted)")


def _draw_shares(axes: "Axes", table: "pd.DataFrame", order: Iterable[str], text: str) -> None:
    groups = style.ordered(table["group"], order)
    wide = table.pivot(index="group", columns="outcome", values="share").reindex(groups).fillna(0)
    draws = table.groupby("group")["draws"].sum()
    left = np.zeros(len(groups))
    for outcome in style.ordered(wide.columns, style.OUTCOMES):
        width = 100 * wide[outcome].to_numpy()
        axes.barh(range(len(groups)), width, left=left, height=0.66, color=style.OUTCOMES.get(outcome, style.GRID))
        left += width
    axes.set(yticks=range(len(groups)), yticklabels=[f"{style.readable(group)}\n(n = {draws[group]:,})" for group in groups])
    axes.set(xlim=(0, 100), ylim=(len(groups) - 0.5, -0.5), xlabel="share of draws (%)")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title(text)


def _draw_scores(axes: "Axes", config: Config, name: str, table: "pd.DataFrame") -> None:
    if table.empty:
        return style.say_empty(axes, "this synthesizer has no gate")
    bottom = np.zeros(len(SCORE_BINS) - 1)
    for outcome in style.ordered(table["outcome"], style.OUTCOMES):
        counts, _ = np.histogram(table.loc[table["outcome"] == outcome, "score"], SCORE_BINS)
        axes.bar(
            SCORE_BINS[:-1],
            counts,
            0.05,
            bottom,
            align="edge",
            color=style.OUTCOMES.get(outcome, style.GRID),
            edgecolor="white",
            linewidth=0.4,
        )
        bottom += counts
    if name in config.synthesizers and config.synthesizers[name].judged:
        threshold = gate_threshold(config.synthesizers[name])
        axes.axvline(threshold, color=style.INK, linewidth=0.9, linestyle=(0, (3, 2)))
        side = "right" if threshold > 0.6 else "left"
        axes.annotate(
            f"threshold {threshold:g}",
            (threshold, 1),
            (-3 if side == "right" else 3, -1),
            va="top",
            ha=side,
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=6.5,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.15 * bottom.max()), xlabel="score of the last or kept attempt", ylabel="draws")
    return axes.locator_params(axis="y", integer=True, nbins=5)


def _legend(figure: object) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=style.readable(outcome)) for outcome, color in style.OUTCOMES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
