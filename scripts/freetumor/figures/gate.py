"""What became of each draw: accepted, refused by the gate, without a place, or empty; and what another threshold would keep."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from freetumor.core.config import Config, Synthesizer
from freetumor.core.tables import MANIFEST, read_table
from freetumor.evaluation.inference import wilson_interval
from freetumor.figures import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ACCEPTED, JUDGED = "accepted", ("accepted", "refused")
THRESHOLDS = np.linspace(0, 1, 41)
CONTRAST_GROUPS = 5
FEWEST_BARS = 4  # a panel has room for so many, so that few bars do not become blocks
NOT_PLACED = "not placed"  # a draw that found no place has no size
COLUMNS = ["synthesizer", "panel", "group", "outcome", "threshold", "draws", "share", "low", "high"]


def plot_gate(config: Config, manifests: Sequence[str | Path], output: str | Path) -> None:
    """Draw the outcomes of each synthesizer by size class, organ and contrast, and what other thresholds would keep.

    Args:
        config: the study; thresholds and size classes are taken from it.
        manifests: tables of ``core.tables.MANIFEST``, of any number of folds and synthesizers.
        output: path of the PNG; PDF and CSV are written beside it.
    """
    table = read_manifests(config, manifests)
    names = style.ordered(table["synthesizer"], [*config.banks, *config.synthesizers])
    numbers = gate_numbers(table, config.evaluation.confidence)
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
        if names:
            _legend(figure)
        style.save(figure, output, numbers)


def read_manifests(config: Config, manifests: Sequence[str | Path]) -> "pd.DataFrame":
    """Synthesizer, organ, size class, outcome, score and contrast of every draw."""
    import pandas as pd

    tables = [read_table(path, MANIFEST) for path in manifests]
    columns = ["synthesizer", "organ", "size", "outcome", "score", "contrast_hu"]
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


def shares(table: "pd.DataFrame", by: str, confidence: float) -> "pd.DataFrame":
    """Draws by group and outcome: ``group outcome draws share low high``, shares summing to one per group.

    Every group with judged draws has a row of accepted ones, with Wilson's interval of their share; others have no interval.
    """
    counts = table.groupby([by, "outcome"]).size().unstack(fill_value=0)
    counts[ACCEPTED] = counts.get(ACCEPTED, 0)
    rows = counts.rename_axis(index="group").stack().rename("draws").reset_index()
    judged = rows["group"].map(counts.reindex(columns=list(JUDGED), fill_value=0).sum(axis=1)) > 0
    rows = rows[(rows["draws"] > 0) | (judged & (rows["outcome"] == ACCEPTED))]
    totals = rows.groupby("group")["draws"].transform("sum")
    intervals = [
        wilson_interval(row.draws, total, confidence) if row.outcome == ACCEPTED else (np.nan, np.nan)
        for row, total in zip(rows.itertuples(), totals, strict=True)
    ]
    low, high = np.array(intervals, float).reshape(-1, 2).T
    return rows.assign(share=rows["draws"] / totals, low=low, high=high)


def contrast_groups(contrast: "pd.Series") -> "pd.Series":
    """Contrasts in HU in up to five groups of about equal size, named by their bounds in whole HU, in rising order."""
    import pandas as pd

    edges = np.unique(np.rint(np.quantile(contrast, np.linspace(0, 1, CONTRAST_GROUPS + 1))))
    if len(edges) < 2:
        edges = np.array([edges[0] - 1, edges[0] + 1])
    edges[0], edges[-1] = np.floor(contrast.min()), np.ceil(contrast.max() + 1e-9)
    names = [f"{low:.0f} to {high:.0f} HU".replace("-", "−") for low, high in itertools.pairwise(edges)]
    return pd.cut(contrast, edges, labels=names, include_lowest=True).astype(str)


def kept_at(table: "pd.DataFrame", confidence: float) -> "pd.DataFrame":
    """Share of the judged draws of each size class that score at least a threshold: ``group threshold draws share low high``.

    Only the last attempt of a draw is on record. With several attempts, those before it might have passed, or been followed by
    others: what the gate would keep is then at least this.
    """
    import pandas as pd

    rows = []
    for group, here in table.dropna(subset="score").groupby("size", sort=True):
        for threshold in THRESHOLDS:
            kept, draws = int((here["score"] >= threshold - 1e-9).sum()), len(here)
            rows.append((group, float(threshold), draws, kept / draws, *wilson_interval(kept, draws, confidence)))
    return pd.DataFrame(rows, columns=["group", "threshold", "draws", "share", "low", "high"])


def gate_numbers(table: "pd.DataFrame", confidence: float) -> "pd.DataFrame":
    """Shares by size, organ and contrast, and of what each threshold keeps: one long table."""
    import pandas as pd

    parts = [pd.DataFrame(columns=COLUMNS)]
    for name, here in table.groupby("synthesizer", sort=True):
        found = [(by, shares(here, by, confidence)) for by in ("size", "organ")]
        judged = here[here["outcome"].isin(JUDGED) & here["contrast_hu"].notna()]
        if len(judged):
            groups = contrast_groups(judged["contrast_hu"])
            order = judged["contrast_hu"].groupby(groups).min().sort_values().index
            contrasts = shares(judged.assign(contrast=groups), "contrast", confidence)
            found.append(("contrast", contrasts.sort_values("group", key=lambda g: g.map(list(order).index), kind="stable")))
        found.append(("threshold", kept_at(here, confidence)))
        parts += [part.assign(synthesizer=name, panel=panel).reindex(columns=COLUMNS) for panel, part in found if len(part)]
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _radii(config: Config, name: str) -> dict[str, float]:
    """Size classes of a synthesizer; of all of them for a name that the study does not know."""
    known = [config.synthesizers[name]] if name in config.synthesizers else config.synthesizers.values()
    return {size: radius for synthesizer in known for size, radius in synthesizer.shape.radius.items()}


def gate_threshold(settings: Synthesizer) -> float | None:
    """The least main score that a synthesizer's gate accepts; None if it has no such score."""
    if settings.gate.kind == "none" or not settings.has("recall_gate"):
        return settings.gate.least_score
    from freetumor.synthesizer.gates import PUBLISHED_THRESHOLD

    return PUBLISHED_THRESHOLD


def _draw_row(panels: Sequence["Axes"], config: Config, name: str, numbers: "pd.DataFrame") -> None:
    parts = dict(iter(numbers.groupby("panel")))
    sizes = parts["size"]
    accepted = 100 * sizes.loc[sizes["outcome"] == ACCEPTED, "draws"].sum() / sizes["draws"].sum()
    _draw_shares(panels[0], sizes, _radii(config, name), f"{style.readable(name)}: by size")
    _draw_shares(panels[1], parts["organ"], config.organs, f"by organ ({accepted:.0f} % accepted)")
    contrast = parts.get("contrast")
    if contrast is None or (sizes["outcome"] == "refused").any() != (contrast["outcome"] == "refused").any():
        style.say_empty(panels[2], "the contrast of refused draws\nis not on record" if contrast is not None else "no contrast")
    else:
        _draw_shares(panels[2], contrast, contrast["group"], "by contrast")
    _draw_thresholds(panels[3], config, name, parts.get("threshold"))


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


def _draw_thresholds(axes: "Axes", config: Config, name: str, table: "pd.DataFrame | None") -> None:
    axes.set_title("by threshold")
    if table is None:
        return style.say_empty(axes, "this synthesizer has no gate")
    groups = style.ordered(table["group"], _radii(config, name))
    for group, color in zip(groups, np.resize(style.CYCLE, len(groups)), strict=True):
        here = table[table["group"] == group]
        axes.plot(here["threshold"], 100 * here["share"], color=color, label=style.readable(group))
        axes.fill_between(
            here["threshold"].astype(float), 100 * here["low"], 100 * here["high"], color=color, alpha=0.12, linewidth=0
        )
    threshold = gate_threshold(config.synthesizers[name]) if name in config.synthesizers else None
    if threshold is not None:
        axes.axvline(threshold, color=style.INK, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), ylim=(0, 100), xlabel="threshold of the main score", ylabel="kept (% of judged)")
    axes.legend(loc="best", labelspacing=0.25, handlelength=1)
    return None


def _legend(figure: object) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=style.readable(outcome)) for outcome, color in style.OUTCOMES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
