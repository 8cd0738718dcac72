"""Real next to synthetic lesions, at one physical scale and one window."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.evaluation.sheets.archive import read_sheet
from freetumor.evaluation.sheets.tables import LESION_PICTURES, LESION_SHEET, PER_LINE, REAL, REAL_SHOWN, lines_of
from freetumor.figures import style, volumes
from freetumor.figures.answers import count
from freetumor.figures.captions import Facts, caption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS = ("before", "after", "difference")
CHANGE = 150.0  # HU at the ends of the difference scale


@dataclass(frozen=True)
class Shown:
    """A lesion of the sheet: slices (y, x) in HU without it (real: the image) and with it, its mask, spacing (y, x) in mm."""

    group: str
    organ: str
    diameter_mm: float
    field_mm: float
    spacing: tuple[float, float]
    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray

    @property
    def words(self) -> str:
        """Organ and diameter."""
        return f"{style.readable(self.organ)}, {self.diameter_mm:.0f} mm"


def plot_lesions(config: Config, lesions: str | Path, output: str | Path) -> None:
    """Draw real tumors of the training part above synthetic lesions of each synthesizer.

    Args:
        config: the study.
        lesions: table of ``evaluation.sheets.tables.LESION_SHEET``, with its pictures beside it.
        output: path of the PNG; PDF, CSV and caption are written beside it.
    """
    sheet = read_sheet(lesions, LESION_SHEET, LESION_PICTURES)
    shown = [
        Shown(row.group, row.organ, row.diameter_mm, row.field_mm, (row.spacing_y, row.spacing_x), *pictures)
        for row, *pictures in zip(sheet.table.itertuples(), *(sheet.pictures[name] for name in LESION_PICTURES), strict=True)
    ]
    names = style.ordered([*config.banks, *(item.group for item in shown if item.group != REAL)], config.synthesizers)
    lines = lines_of(len(names))
    with style.styled():
        page = Page(lines * len(names))
        _draw_real(page, [item for item in shown if item.group == REAL], config.working.window)
        for index, name in enumerate(names):
            here = [item for item in shown if item.group == name]
            _draw_synthetic(page, 2 + lines * index, lines, name, here, config.working.window)
        page.draw_key()
        n = f"{count(sum(item.group == REAL for item in shown), 'real tumor')}, "
        n += count(sum(item.group != REAL for item in shown), "synthetic lesion")
        style.save(page.figure, output, sheet.table, caption("lesions", Facts(config, n=n)))


class Page:
    """The page: square pictures of one size at places counted in mm, nine to a row, in groups of three.

    Rows 0 and 1 are the real tumors; the synthetic rows follow, each below a line of text.
    """

    LEFT, RIGHT, TOP, KEY = 6.0, 0.8, 4.0, 9.0  # mm
    GAP, GROUP_GAP, TEXT, HEADER = 0.7, 1.8, 3.6, 3.4
    SIDE = (style.DOUBLE - LEFT - RIGHT - (REAL_SHOWN - PER_LINE) * GAP - (PER_LINE - 1) * GROUP_GAP) / REAL_SHOWN

    def __init__(self, synthetic_rows: int) -> None:
        from matplotlib.figure import Figure

        self.height = self._top(1 + synthetic_rows) + self.SIDE + (self.KEY if synthetic_rows else self.GAP)
        self.figure = Figure(figsize=(style.DOUBLE / 25.4, self.height / 25.4))

    def _left(self, column: int) -> float:
        group = column // len(STEPS)
        return self.LEFT + column * self.SIDE + (column - group) * self.GAP + group * self.GROUP_GAP

    def _top(self, row: int) -> float:
        real = self.TOP + min(row, 1) * (self.SIDE + self.GAP)
        return real if row < 2 else real + self.HEADER + (row - 1) * (self.SIDE + self.TEXT) + self.GAP

    def panel(self, row: int, column: int) -> "Axes":
        """The axes of a picture."""
        low = self.height - self._top(row) - self.SIDE
        box = (self._left(column) / style.DOUBLE, low / self.height, self.SIDE / style.DOUBLE, self.SIDE / self.height)
        return self.figure.add_axes(box)

    def write(self, row: int, column: int, text: str, lift: float = 0.9, color: str = style.INK) -> None:
        """A line of text above a picture, starting at its left edge."""
        place = self._left(column) / style.DOUBLE, 1 - (self._top(row) - lift) / self.height
        self.figure.text(*place, text, ha="left", va="baseline", fontsize=style.SMALL, color=color)

    def name(self, row: int, rows: int, text: str) -> None:
        """A name beside ``rows`` rows, from the bottom to the top."""
        middle = (self._top(row) + self._top(row + rows - 1) + self.SIDE) / 2
        place = 0.5 * self.LEFT / style.DOUBLE, 1 - middle / self.height
        self.figure.text(*place, text, ha="center", va="center", rotation=90, fontsize=6.5, fontweight="bold")

    def draw_key(self) -> None:
        """The color scale of the differences, below the last picture of the last row, if any picture has one."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        if self.height < self._top(2):
            return
        left, right = self._left(REAL_SHOWN - len(STEPS)), self._left(REAL_SHOWN - 1) + self.SIDE - 3
        axes = self.figure.add_axes((left / style.DOUBLE, 5.6 / self.height, (right - left) / style.DOUBLE, 1.6 / self.height))
        bar = self.figure.colorbar(ScalarMappable(Normalize(-CHANGE, CHANGE), "RdBu_r"), axes, orientation="horizontal")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=1.5, pad=1.5, labelsize=style.SMALL)
        place = (self._left(REAL_SHOWN - len(STEPS)) - 2) / style.DOUBLE, 6.4 / self.height
        self.figure.text(*place, "difference after − before (HU)", ha="right", va="center", fontsize=style.SMALL)


def _draw_real(page: Page, shown: Sequence[Shown], window: tuple[float, float]) -> None:
    for column, item in enumerate(shown):
        _show(page.panel(0, column), item, item.after, window, bar=column == 0)
        _show(page.panel(1, column), item, item.after, window, contour=style.TUMOR)
        page.write(0, column, item.words)
    if not shown:
        page.write(1, 0, "no annotated tumors in the training part", color=style.MUTED)
    page.name(0, 2, "real")


def _draw_synthetic(page: Page, row: int, rows: int, name: str, shown: Sequence[Shown], window: tuple[float, float]) -> None:
    for index, item in enumerate(shown):
        line, place = row + index // PER_LINE, len(STEPS) * (index % PER_LINE)
        _show(page.panel(line, place), item, item.before, window)
        _show(page.panel(line, place + 1), item, item.after, window)
        difference = item.after.astype(np.float32) - item.before
        _show(page.panel(line, place + 2), item, difference, (-CHANGE, CHANGE), contour=style.INK, cmap="RdBu_r")
        page.write(line, place, item.words)
    if row == 2:
        for column in range(REAL_SHOWN):
            page.write(row, column, STEPS[column % len(STEPS)], lift=0.9 + page.HEADER, color=style.MUTED)
    if not shown:
        page.write(row, 0, "no accepted lesions", color=style.MUTED)
    page.name(row, rows, style.readable(name))


def _show(
    axes: "Axes",
    item: Shown,
    picture: np.ndarray,
    limits: tuple[float, float],
    contour: str = "",
    bar: bool = False,
    cmap: str = "gray",
) -> None:
    volumes.show_slice(axes, picture, item.spacing, limits, cmap)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.set_xlim((left + right - item.field_mm) / 2, (left + right + item.field_mm) / 2)
    axes.set_ylim((bottom + top + item.field_mm) / 2, (bottom + top - item.field_mm) / 2)
    if contour:
        volumes.outline(axes, item.mask, item.spacing, contour)
    if bar:
        volumes.scale_bar(axes, 20.0)
