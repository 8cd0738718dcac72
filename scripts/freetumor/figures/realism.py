"""Painted beside real lesions: profiles across the border, distributions, and whether anything tells them apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import read_table
from freetumor.evaluation.realism_tables import NOT_ENOUGH, PROFILES, REALISM
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

MOST_COLUMNS = 6
LETTERS = 125  # of titles in a row
KEYS = 6  # entries in a row of the legend
DISTRIBUTIONS = {  # measure: title, label of the axis
    "diameter_mm": ("size", "diameter (mm)"),
    "contrast_hu": ("contrast", "lesion − ring (HU)"),
    "gradient_hu_mm": ("border", "gradient (HU/mm)"),
    "sphericity": ("shape", "sphericity"),
    "texture_x_mm": ("texture", "length along x (mm)"),
}
VERDICTS = {  # statistic: title, label of the axis
    "auc": ("told apart", "area under the curve"),
    "kernel": ("distance of features", "kernel distance (KID)"),
    "neighbor": ("copies", "distance to training / unseen lesion"),
}
REAL = "real"
PROFILE_MM, ROW_MM, HEAD_MM, KEY_MM = 30.0, 5.0, 13.0, 6.0  # heights


def plot_realism(config: Config, realism: str | Path, profiles: str | Path, output: str | Path) -> None:
    """Draw profiles per organ and synthesizer, distributions per organ, and the tests.

    Args:
        config: the study.
        realism: table of ``evaluation.realism.REALISM``.
        profiles: table of ``evaluation.realism.PROFILES``.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    numbers, lines = read_table(realism, REALISM), read_table(profiles, PROFILES)
    names = style.ordered(numbers["synthesizer"], [*config.banks, *config.synthesizers])
    organs = style.ordered(numbers["organ"], config.organs)
    organs = [organ for organ in organs if numbers.loc[numbers["organ"] == organ, "n_real"].any()] or organs
    colors = style.synthesizer_colors(names, config.compared)
    lines_per_organ = -(-max(1, len(names)) // _most_columns(names, organs))
    columns = -(-max(1, len(names)) // lines_per_organ)
    groups = len(organs) * max(1, len(names))
    heights = [
        PROFILE_MM * lines_per_organ * max(1, len(organs)) + 4,
        len(organs) * (HEAD_MM + ROW_MM * len(names)),
        HEAD_MM + ROW_MM * groups,
    ]
    key = KEY_MM * -(-(len(names) + 2) // KEYS)
    with style.styled():
        figure = style.new_figure(style.DOUBLE, sum(heights) + key)
        parts = figure.subfigures(4, 1, height_ratios=[*heights, key])
        panels = parts[0].subplots(max(1, len(organs)) * lines_per_organ, columns, squeeze=False, sharex=True)
        _draw_profiles(panels, numbers, lines, organs, names, colors)
        _draw_distributions(parts[1], numbers, organs, names, colors)
        _draw_verdicts(parts[2], numbers, organs, names, colors)
        _legend(parts[3], names, colors)
        n = _counts(numbers)
        style.save(figure, output, realism_numbers(numbers, lines), caption("realism", Facts(config, n=n)))


def realism_numbers(numbers: "pd.DataFrame", profiles: "pd.DataFrame") -> "pd.DataFrame":
    """Both tables below each other: the numbers, and as measure ``profile_hu`` the profiles by ``distance_mm``."""
    import pandas as pd

    profiles = profiles.assign(measure="profile_hu", statistic="mean", note="")
    return pd.concat([numbers, profiles], ignore_index=True)


def _most_columns(names: Sequence[str], organs: Sequence[str]) -> int:
    """Profiles side by side whose titles do not touch."""
    longest = max((len(f"{name}, {organ}") for name in names for organ in organs), default=1)
    return min(MOST_COLUMNS, max(1, LETTERS // longest))


def _counts(numbers: "pd.DataFrame") -> str:
    """Painted and real lesions of all organs, as they were before they were matched by size."""
    all_sizes = numbers[numbers["measure"] == "diameter_mm"].groupby(["synthesizer", "organ"]).first()
    if all_sizes.empty:
        return "0 lesions"
    painted = all_sizes.groupby("synthesizer")["n"].sum()
    parts = [f"{style.readable(name)} {count(int(n), 'lesion')}" for name, n in painted.items()]
    real = all_sizes.groupby("organ")[["n_real", "patients_real"]].max().sum()
    return f"{', '.join(parts)}; {count(int(real['n_real']), 'real lesion')} of {int(real['patients_real'])} patients"


def _draw_profiles(
    panels: np.ndarray,
    numbers: "pd.DataFrame",
    profiles: "pd.DataFrame",
    organs: Sequence[str],
    names: Sequence[str],
    colors: dict[str, str],
) -> None:
    """One panel per organ and synthesizer: mean HU of painted lesions over that of real ones of the same sizes."""
    columns = panels.shape[1]
    lines = len(panels) // max(1, len(organs))
    for axes in panels.flat:
        axes.set_visible(False)
    for row, organ in enumerate(organs):
        shown = panels[row * lines : (row + 1) * lines].ravel()[: len(names)]
        for axes, name in zip(shown, names, strict=True):
            _draw_profile(axes, numbers, profiles, organ, name, colors[name])
        _same_heights([axes for axes in shown if axes.has_data()])
        for place, axes in enumerate(shown):
            axes.set_title(f"{style.readable(names[place])}, {style.readable(organ)}")
            first = not any(other.has_data() for other in shown[place - place % columns : place])
            if first and axes.has_data():
                axes.set_ylabel("mean HU")
            else:
                axes.tick_params(labelleft=False)
            if row == len(organs) - 1 and place + columns >= len(names):
                axes.set_xlabel("mm from the border")
                axes.tick_params(labelbottom=True)
    style.title(panels[0, 0], "a", panels[0, 0].get_title(loc="left"))


def _same_heights(panels: "Sequence[Axes]") -> None:
    """One range of HU for all panels of an organ."""
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _draw_profile(axes: "Axes", numbers: "pd.DataFrame", profiles: "pd.DataFrame", organ: str, name: str, color: str) -> None:
    """Draw one profile, or say why there is none."""
    axes.set_visible(True)
    here = profiles[(profiles["synthesizer"] == name) & (profiles["organ"] == organ)].sort_values("distance_mm")
    row = _find(numbers, organ, name, "features", "kernel")
    counts = f"n = {row['n']}, real {row['n_real']}" if row is not None else ""
    if here.empty:
        style.say_empty(axes, f"{NOT_ENOUGH}\n{counts}")
        return
    place = here["distance_mm"]
    axes.axvline(0, color=style.FAINT, linewidth=0.6)
    axes.fill_between(place, here["reference_low"], here["reference_high"], color=style.FAINT, alpha=0.5, linewidth=0)
    axes.plot(place, here["reference"], color=style.BASELINE)
    axes.fill_between(place, here["ci_low"], here["ci_high"], color=color, alpha=0.25, linewidth=0)
    axes.plot(place, here["value"], color=color)
    axes.annotate(
        counts, (1, 0), (-2, 3), xycoords="axes fraction", textcoords="offset points", ha="right", fontsize=style.SMALL
    )
    axes.set(xlim=(-12, 12), xticks=[-12, -6, 0, 6, 12])


def _draw_distributions(
    part: "SubFigure", numbers: "pd.DataFrame", organs: Sequence[str], names: Sequence[str], colors: dict[str, str]
) -> None:
    """One row per organ, one panel per measure: 10th to 90th percentile and median, painted over real."""
    panels = part.subplots(max(1, len(organs)), len(DISTRIBUTIONS), squeeze=False)
    for line, organ in zip(panels, organs, strict=False):
        for axes, (measure, (title, label)) in zip(line, DISTRIBUTIONS.items(), strict=True):
            for place, name in enumerate(names):
                found = [_find(numbers, organ, name, measure, statistic) for statistic in ("q10", "q50", "q90")]
                _draw_spread(axes, place + 0.17, found, "reference", "reference_low", "reference_high", style.BASELINE)
                _draw_spread(axes, place - 0.17, found, "value", "ci_low", "ci_high", colors[name])
            _rows(axes, [style.readable(name) if axes is line[0] else "" for name in names])
            axes.set(title=f"{title}, {style.readable(organ)}", xlabel=label)
            if measure == "diameter_mm":
                _log_axis(axes, numbers.loc[numbers["organ"] == organ, "value"], (5, 10, 20, 40, 80, 160), (9.5, 42))
    style.title(panels[0, 0], "b", panels[0, 0].get_title(loc="left"))


def _draw_spread(axes: "Axes", place: float, rows: Sequence, value: str, low: str, high: str, color: str) -> None:
    """A thin line from the 10th to the 90th percentile, a thick one for the interval of the median, a dot for the median."""
    if all(row is not None and np.isfinite(row[value]) for row in rows):
        axes.hlines(place, rows[0][value], rows[2][value], color=color, linewidth=0.9)
        axes.hlines(place, rows[1][low], rows[1][high], color=color, linewidth=2.6, alpha=0.55)
        axes.plot(rows[1][value], place, "o", color=color, markersize=3, markeredgecolor="white", markeredgewidth=0.4)
    elif value == "value":
        _say(axes, place, NOT_ENOUGH)


def _draw_verdicts(
    part: "SubFigure", numbers: "pd.DataFrame", organs: Sequence[str], names: Sequence[str], colors: dict[str, str]
) -> None:
    """One panel per test: a row per organ and synthesizer, with what real lesions reach in gray."""
    panels = part.subplots(1, len(VERDICTS))
    pairs = [(organ, name) for organ in organs for name in names]
    for axes, letter, (statistic, (title, label)) in zip(panels, "cde", VERDICTS.items(), strict=True):
        for place, (organ, name) in enumerate(pairs):
            row = _find(numbers, organ, name, "features" if statistic == "kernel" else "lesions", statistic)
            control = _find(numbers, organ, name, "rings", statistic)
            _draw_floor(axes, place, row if control is None else None)
            _draw_verdict(axes, place if control is None else place - 0.15, row, colors[name])
            if control is not None:
                _draw_verdict(axes, place + 0.2, control, colors[name], face="white")
        _rows(axes, [f"{style.readable(name)}, {style.readable(organ)}" if letter == "c" else "" for organ, name in pairs])
        axes.set_xlabel(label)
        style.title(axes, letter, title)
    for axes, chance in zip(panels, (0.5, 0.0, 1.0), strict=True):
        axes.axvline(chance, color=style.INK, linewidth=0.8, zorder=1)
    panels[0].set_xlim(0, 1.02)
    panels[1].set_xscale("symlog", linthresh=1.0)
    panels[1].set_xticks([-10, -1, 0, 1, 10, 100, 1000], ["−10", "−1", "0", "1", "10", "100", "1000"])
    panels[1].set_xlim(*_kernel_limits(numbers[numbers["statistic"] == "kernel"]))
    _log_axis(
        panels[2], numbers.loc[numbers["statistic"] == "neighbor", "value"], (0.125, 0.25, 0.5, 0.7, 1, 1.4, 2, 4), (0.48, 1.45)
    )


def _kernel_limits(rows: "pd.DataFrame") -> tuple[float, float]:
    """Range of the kernel distances, with some room."""
    found = rows[["ci_low", "ci_high", "reference_low", "reference_high"]].to_numpy(float)
    found = found[np.isfinite(found)]
    return 1.3 * min(found.min(initial=-1.0), -1.0), 1.3 * max(found.max(initial=1.0), 1.0)


def _draw_verdict(axes: "Axes", place: float, row: "pd.Series | None", color: str, face: str = "") -> None:
    """A dot with its interval, open if it is a control, or a word that says why there is none."""
    if row is not None and np.isfinite(row["value"]):
        axes.hlines(place, row["ci_low"], row["ci_high"], color=color, linewidth=0.9)
        axes.plot(row["value"], place, "o", color=color, markersize=4, markerfacecolor=face or color, markeredgewidth=0.8)
    elif not face:
        _say(axes, place, f"{NOT_ENOUGH} (n = {row['n']}, real {row['n_real']})" if row is not None else NOT_ENOUGH)


def _draw_floor(axes: "Axes", place: float, row: "pd.Series | None") -> None:
    """The range of real lesions."""
    if row is not None and np.isfinite(row["reference_low"]):
        low, high = row["reference_low"], row["reference_high"]
        axes.fill_betweenx([place - 0.38, place + 0.38], low, high, color=style.GRID, linewidth=0)


def _say(axes: "Axes", place: float, text: str) -> None:
    """A word in a row that has no number."""
    where = ("axes fraction", "data")
    axes.annotate(text, (0.02, place), xycoords=where, va="center", fontsize=style.SMALL, color=style.MUTED)


def _find(numbers: "pd.DataFrame", organ: str, name: str, measure: str, statistic: str) -> "pd.Series | None":
    rows = numbers[
        (numbers["organ"] == organ)
        & (numbers["synthesizer"] == name)
        & (numbers["measure"] == measure)
        & (numbers["statistic"] == statistic)
    ]
    return rows.iloc[0] if len(rows) else None


def _rows(axes: "Axes", labels: Sequence[str]) -> None:
    """One row per label, from the top."""
    axes.set(yticks=range(len(labels)), yticklabels=labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _log_axis(axes: "Axes", values: "pd.Series", ticks: Sequence[float], least: tuple[float, float]) -> None:
    """A logarithmic axis with plain numbers, of at least the range ``least``; of just that range without any value."""
    axes.set_xscale("log")
    low, high = least
    if values.notna().any():
        low, high = min(axes.get_xlim()[0], low), max(axes.get_xlim()[1], high)
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)


def _legend(part: "SubFigure | Figure", names: Sequence[str], colors: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    def dot(color: str, label: str, face: str = "") -> Line2D:
        look = {"marker": "o", "markersize": 4, "color": color, "markerfacecolor": face or color, "linewidth": 1.2}
        return Line2D([], [], label=label, **look)

    handles = [dot(style.BASELINE, "real"), *(dot(colors[name], style.readable(name)) for name in names)]
    handles.append(dot(style.MUTED, "control: the ring around the lesion", "white"))
    part.legend(handles=handles, loc="center", ncols=min(KEYS, len(handles)))
