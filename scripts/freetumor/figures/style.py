"""One look for all figures: sizes, fonts, colors, and files that are byte-identical on every run.

Figures are drawn on the Agg canvas from matplotlib's own defaults, so that no personal ``matplotlibrc`` and no display
can change them, and saved without dates or versions in their metadata.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.files import atomic
from freetumor.core.labels import is_tumor, organ_of
from freetumor.core.tables import write_table
from freetumor.evaluation.structures import ALL_LESIONS, ANY_TUMOR
from freetumor.figures.fragments import Caption, write_caption

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SINGLE, MIDDLE, DOUBLE = 89.0, 120.0, 183.0  # widths of one, one and a half, and two journal columns in mm
RESOLUTION = 200  # dots per inch of the PNG
SMALL = 6.0  # the smallest letters, in points at print size

INK, MUTED, FAINT, GRID = "#1a1a1a", "#5c5c5c", "#b8b8b8", "#e4e4e4"
BASELINE = "#6e6e6e"
# Six of Okabe & Ito 2008, https://jfly.uni-koeln.de/color/ (not black and yellow, which vanish on paper or beside text), and
# four that stay apart from them, and from the gray, for the three kinds of color-blind eyes.
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4a1486", "#8c1d40", "#999933", "#7f3b08")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")  # 7 and 10 have no common factor: color and marker repeat together after 70 arms
SPLITS = {"development": "cross-validation", "external": "external cases"}

TUMOR = "#ff4d2e"
ORGANS = ("#56b4e9", "#f0e442", "#2bd9a4", "#e8a0c8", "#ffb347", "#b39ddb")  # light: they lie on gray images

OUTCOMES = {"accepted": "#0072b2", "refused": "#e69f00", "no_place": "#b8b8b8", "empty": "#5c5c5c"}

RULES = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": 7,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.2,
    "text.color": INK,
    "figure.dpi": RESOLUTION,
    "figure.facecolor": "white",
    "savefig.dpi": RESOLUTION,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.hashsalt": "freetumor",
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw with matplotlib's defaults and the rules of this module, whatever the user has configured."""
    import matplotlib

    with matplotlib.rc_context():
        defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
        matplotlib.rcParams.update(defaults)
        matplotlib.rcParams.update(RULES)
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of ``width`` x ``height`` mm with constrained layout. Call inside :func:`styled`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 25.4, height / 25.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    return figure


def save(figure: "Figure", output: str | Path, numbers: "pd.DataFrame", caption: Caption) -> None:
    """Write ``<name>.png``, ``<name>.pdf``, ``<name>.csv`` (the numbers drawn) and ``<name>.md`` (the caption).

    Call inside :func:`styled`.
    """
    output = Path(output)
    write_caption(caption, output.with_suffix(".md"))
    with atomic(output.with_suffix(".png")) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    with atomic(output.with_suffix(".pdf")) as temporary:
        figure.savefig(temporary, format="pdf", metadata=dict.fromkeys(("Creator", "Producer", "CreationDate")))
    write_table(numbers, output.with_suffix(".csv"))


def arm_colors(arms: Sequence[str]) -> dict[str, str]:
    """A color per arm: gray for the baseline, which comes first, then a fixed order."""
    return {arm: CYCLE[(index - 1) % len(CYCLE)] if index else BASELINE for index, arm in enumerate(arms)}


def synthesizer_colors(names: Sequence[str], arms: Sequence[str]) -> dict[str, str]:
    """A color per synthesizer: that of the arm of the same name, so that figures agree; else one that no such arm has."""
    colors = {name: color for name, color in arm_colors(arms).items() if name in names and color != BASELINE}
    left = [color for color in CYCLE if color not in colors.values()] or list(CYCLE)
    others = [name for name in names if name not in colors]
    return colors | {name: left[place % len(left)] for place, name in enumerate(others)}


def arm_markers(arms: Sequence[str]) -> dict[str, str]:
    """A marker per arm, so that arms can be told apart without color."""
    return {arm: MARKERS[index % len(MARKERS)] for index, arm in enumerate(arms)}


def category_colors(categories: Sequence[str]) -> dict[str, str]:
    """A color per category of lesions, in the order of the study."""
    return {category: CYCLE[index % len(CYCLE)] for index, category in enumerate(categories)}


def organ_colors(organs: Sequence[str]) -> dict[str, str]:
    """A contour color per organ, in the order of the study."""
    return {organ: ORGANS[index % len(ORGANS)] for index, organ in enumerate(organs)}


def ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """``names`` without repeats: first those in ``known``, in its order, then the others by alphabet."""
    names = set(names)
    first = [name for name in dict.fromkeys(known) if name in names]
    return first + sorted(names.difference(first))


def readable(name: str) -> str:
    """``sensitivity_early`` → ``sensitivity early``."""
    return name.replace("_", " ")


METRICS = {
    "dice": "Dice",
    "surface_dice": "surface Dice",
    "hd95": "Hausdorff distance (95 %, mm)",
    "assd": "mean surface distance (mm)",
    "volume_error": "volume error",
    "lesion_sensitivity": "lesion sensitivity",
    "lesion_precision": "lesion precision",
    "f1": "lesion F1",
    "false_positives": "false positives per scan",
    "specificity": "specificity",
    "sensitivity_early": "early sensitivity",
    "macro_auc": "macro AUC",
    "mcnemar": "McNemar's test",
}


def metric_name(metric: str) -> str:
    """``sensitivity_early`` → ``early sensitivity``: how a metric is called on figures and in the report."""
    return METRICS.get(metric, readable(metric))


def structure_name(structure: str) -> str:
    """``tumor`` → ``any tumor``; ``liver_tumor`` → ``liver tumor``; ``all`` → ``all lesions``; categories as they are."""
    fixed = {ANY_TUMOR: "any tumor", ALL_LESIONS: "all lesions"}
    return fixed.get(structure, f"{readable(organ_of(structure))} tumor" if is_tumor(structure) else readable(structure))


def title(axes: "Axes", letter: str, text: str) -> None:
    """A panel title: a bold letter and a few words."""
    axes.set_title(text)
    axes.annotate(
        letter,
        (0, 1),
        (-9, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="baseline",
        fontsize=9,
        fontweight="bold",
    )


def say_empty(axes: "Axes", text: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, wrap=True)


def spread(count: int, key: str) -> np.ndarray:
    """Offsets in [-1, 1] that keep ``count`` dots of a strip apart: evenly spaced, in an order fixed by ``key``."""
    from freetumor.core.seeding import generator

    return generator("figures", "spread", key).permutation(np.linspace(-1, 1, count)) if count > 1 else np.zeros(count)
