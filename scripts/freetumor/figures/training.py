"""Training curves: a thin line per fold and seed, a bold line for their mean; a training alone is drawn in between."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.tables import HISTORY, read_table
from freetumor.figures import style
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ROLES = ("segmenter", "synthesizer", "recognizer")
SMOOTHING = 40  # a drawn curve is a running mean over 1/40 of its points
LEFT_OUT = re.compile(r"learning_rate|^lr$|second|epoch|memory|mib")
PER_ROW = 3
CURVES = {
    "loss": "training loss",
    "loss_generator": "generator loss",
    "loss_discriminator": "discriminator loss",
    "loss_autoencoder": "autoencoder loss",
    "reconstruction_hu": "reconstruction error (HU)",
    "loss_denoiser": "denoiser loss",
    "level_error_hu": "error of means (HU)",
    "real_found_real": "real ones found real",
    "synthetic_found_real": "synthetic ones found real",
    "found": "found by the segmenter",
    "fooled": "taken for real",
    "contrast_hu": "painted contrast (HU)",
    "validation_dice": "validation Dice",
    "validation_accuracy": "validation accuracy",
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Run:
    """One training: what was trained, under which name, in which fold and with which seed (empty if none)."""

    role: str
    name: str
    fold: str
    seed: str


def plot_training(config: Config, histories: Sequence[str | Path], output: str | Path) -> None:
    """Draw the training curves of a study.

    Args:
        config: the study.
        histories: tables of ``core.tables.HISTORY``, in ``fold<k>/synthesizer/<name>/`` and
            ``fold<k>/recognition/<arm>/seed<s>/`` (or with the seed in the file name).
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    curves = read_histories(histories)
    rows = panel_rows(curves)
    with style.styled():
        figure = style.new_figure(style.DOUBLE, 46 * max(1, len(rows)))
        grid = figure.subplots(max(1, len(rows)), PER_ROW, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        if not rows:
            style.say_empty(grid[0, 1], "no training histories")
        letters = iter(LETTERS)
        for line, (role, names) in enumerate(rows):
            here = curves[curves["role"] == role]
            for axes, curve in zip(grid[line], names, strict=False):
                _draw_panel(axes, config, here[here["curve"] == curve], role, curve, next(letters, ""))
        for role in ROLES:
            own = [line for line, (owner, _) in enumerate(rows) if owner == role]
            panels = sum(len(rows[line][1]) for line in own)
            _legend(grid[own].ravel(), panels, config, role, curves[curves["role"] == role])
        runs = len(curves[["role", "name", "fold", "seed"]].drop_duplicates())
        style.save(figure, output, curves, caption("training", Facts(config, n=count(runs, "training"))))


def panel_rows(curves: "pd.DataFrame") -> list[tuple[str, list[str]]]:
    """The rows of the figure: a role and the curves of up to three panels."""
    rows = []
    for role in ROLES:
        names = _curve_order(curves.loc[curves["role"] == role, "curve"].unique())
        rows += [(role, names[start : start + PER_ROW]) for start in range(0, len(names), PER_ROW)]
    return rows


def read_histories(paths: Sequence[str | Path]) -> "pd.DataFrame":
    """All histories as one table: ``role name fold seed curve step value``."""
    import pandas as pd

    tables = []
    for path in sorted(paths, key=lambda path: PurePath(path).parts):
        run = parse_run(path)
        table = read_table(path, HISTORY).rename(columns={"name": "curve"})
        table = table.assign(role=run.role, name=run.name, fold=run.fold, seed=run.seed)
        tables.append(table.dropna(subset="value"))
    columns = ["role", "name", "fold", "seed", "curve", "step", "value"]
    table = pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    return table[~table["curve"].astype(str).str.contains(LEFT_OUT)].reset_index(drop=True)


def parse_run(path: str | Path) -> Run:
    """Read fold, role, name and seed off a path.

    >>> parse_run("results/demo/fold2/recognition/freetumor/seed1/history.csv")
    Run(role='recognizer', name='freetumor', fold='2', seed='1')
    >>> parse_run("results/demo/fold0/synthesizer/segmenter/history.csv")
    Run(role='segmenter', name='segmenter', fold='0', seed='')
    """
    parts = PurePath(path).parts
    fold = next((part.removeprefix("fold") for part in parts if re.fullmatch(r"fold\d+", part)), "")
    stage = max((index for index, part in enumerate(parts) if part in ("synthesizer", "recognition")), default=None)
    rest = list(parts[stage + 1 :]) if stage is not None else list(parts[-2:])
    rest[-1] = PurePath(rest[-1]).name.split(".")[0]
    text = "/".join(part for part in rest if part != "history")
    seed = re.search(r"(?:^|[/_.-])seed[-_]?(\d+)", text)
    name = text.replace(seed.group(0), "") if seed else text
    name = re.sub(r"[/_.-]?history$", "", name).strip("/") or "unnamed"
    if stage is not None and parts[stage] == "recognition":
        role = "recognizer"
    else:
        role = "segmenter" if "segmenter" in name else "synthesizer"
    return Run(role, name, fold, seed.group(1) if seed else "")


def mean_curve(table: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs at the steps that all runs logged: (steps, values)."""
    wide = table.pivot_table(index="step", columns=["fold", "seed"], values="value").dropna().sort_index()
    return wide.index.to_numpy(), wide.mean(axis=1).to_numpy()


def smooth(values: np.ndarray) -> np.ndarray:
    """A centered running mean over 1/40 of the points, of what there is of the window at both ends."""
    half = len(values) // SMOOTHING // 2
    total = np.concatenate([[0.0], np.cumsum(values)])
    middle = np.arange(len(values))
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def _curve_order(names: Sequence[str]) -> list[str]:
    """Known curves in their order, then the others."""
    return style.ordered(names, CURVES)


def _draw_panel(axes: "Axes", config: Config, table: "pd.DataFrame", role: str, curve: str, letter: str) -> None:
    axes.set_axis_on()
    colors = _colors(config, table["name"].unique(), role)
    for name, color in colors.items():
        here = table[table["name"] == name]
        runs = here.groupby(["fold", "seed"], sort=True)
        look = {"linewidth": 0.5, "alpha": 0.45} if runs.ngroups > 1 else {"linewidth": 1.0}
        for _, run in runs:
            run = run.sort_values("step")
            _line(axes, run["step"].to_numpy(), run["value"].to_numpy(), color=color, **look)
        if runs.ngroups > 1:
            _line(axes, *mean_curve(here), color=color, linewidth=1.5)
    style.title(axes, letter, f"{role}: {CURVES.get(curve, style.readable(curve))}")
    axes.set_xlabel("optimizer step")
    if re.search("dice|accuracy|found|fooled|accept|probability", curve):
        axes.set_ylim(-0.03, 1.03)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="y")


def _line(axes: "Axes", steps: np.ndarray, values: np.ndarray, **look: object) -> None:
    few = {"marker": "o", "markersize": 2, "markeredgewidth": 0} if len(steps) <= 12 else {}
    axes.plot(steps, smooth(values), **look, **few)


def _colors(config: Config, names: Sequence[str], role: str) -> dict[str, str]:
    """Recognizers have the color of their arm, synthesizers that of the arm of their name; the segmenter is dark."""
    if role == "recognizer":
        arms = style.arm_colors(config.recognition.arms)
        return {name: arms.get(name, style.FAINT) for name in style.ordered(names, arms)}
    if role == "segmenter":
        return dict.fromkeys(sorted(names), style.INK)
    everyone = [name for name, synthesizer in config.synthesizers.items() if synthesizer.trained]
    colors = style.synthesizer_colors(everyone, config.compared)
    return {name: colors.get(name, style.FAINT) for name in style.ordered(names, colors)}


def _legend(cells: "np.ndarray", panels: int, config: Config, role: str, curves: "pd.DataFrame") -> None:
    """Name the colors of a role once, if there are several: in the cell after its panels, if its rows have one to spare."""
    from matplotlib.lines import Line2D

    colors = _colors(config, curves["name"].unique(), role)
    if len(colors) < 2:
        return
    handles = [Line2D([], [], color=color, linewidth=2, label=style.readable(name)) for name, color in colors.items()]
    if panels < len(cells):
        cells[panels].legend(handles=handles, loc="upper left", ncols=1 + len(colors) // 12)
    else:
        cells[0].legend(handles=handles, loc="best")
