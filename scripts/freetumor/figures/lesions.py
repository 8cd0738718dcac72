"""Real next to synthetic lesions, at one physical scale and one window."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.labels import organ_of
from freetumor.core.tables import FOLD_CASES, MANIFEST, read_table
from freetumor.figures import style, volumes
from freetumor.preprocessing.store import open_array, read_patch
from freetumor.synthesis.bank import apply_lesion, read_lesion

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = 9
STEPS = ("before", "after", "difference")
SHOWN = COLUMNS // len(STEPS)  # synthetic lesions per row
CHANGE = 150.0  # HU at the ends of the difference scale


@dataclass(frozen=True)
class Example:
    """A lesion to show: what it is, and how to read its slices."""

    group: str  # "real" or the synthesizer
    case_id: str
    lesion_id: str
    organ: str
    diameter_mm: float
    read: Callable[[float], "Views"]


@dataclass(frozen=True)
class Views:
    """Axial slices (y, x) through a lesion: HU without it (real: the image), with it, and its mask."""

    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]


def plot_lesions(config: Config, cases: str | Path, manifests: Sequence[str | Path], output: str | Path) -> None:
    """Draw real tumors of the training part above synthetic lesions of each synthesizer.

    Args:
        config: the study.
        cases: table of ``core.tables.FOLD_CASES`` of the fold the manifests belong to.
        manifests: tables of ``core.tables.MANIFEST``.
        output: path of the PNG; PDF and CSV are written beside it.
    """
    table = read_table(cases, FOLD_CASES)
    parents = {row["case_id"]: row for row in table.to_dict("records")}
    real = spread_over(real_examples(table, cases), COLUMNS)
    found = synthetic_examples(parents, cases, manifests)
    names = style.ordered(found, [*config.banks, *config.synthesizers])
    lines = 2 if len(names) <= 3 else 1
    synthetic = {name: spread_over(found[name], lines * SHOWN) for name in names}
    field = field_of_view([*real, *(example for group in synthetic.values() for example in group)])
    with style.styled():
        sheet = Sheet(lines * len(names))
        _draw_real(sheet, real, field, config.working.window)
        for index, name in enumerate(names):
            _draw_synthetic(sheet, 2 + lines * index, lines, name, synthetic[name], field, config.working.window)
        sheet.draw_key()
        style.save(sheet.figure, output, lesion_numbers(real, synthetic, field))


def real_examples(table: "pd.DataFrame", path: str | Path) -> list[Example]:
    """All annotated tumors of the labeled training cases."""
    chosen = table[(table["part"] == "train") & table["labeled"] & (table["tumors"] != "")]
    examples = []
    for row in chosen.sort_values("case_id").to_dict("records"):
        names, voxel = volumes.code_names(row), float(np.prod(volumes.spacing_of(row)))
        for number, lesion in enumerate(volumes.tumor_lesions(row, path)):
            diameter = (6 * int(lesion[1]) * voxel / np.pi) ** (1 / 3)  # of the ball of equal volume
            name = f"{row['case_id']}.real{number}"
            read = partial(read_real, row, path, lesion)
            examples.append(Example("real", row["case_id"], name, organ_of(names[int(lesion[0])]), diameter, read))
    return examples


def synthetic_examples(
    parents: Mapping[str, Mapping], cases: str | Path, manifests: Sequence[str | Path]
) -> dict[str, list[Example]]:
    """All accepted lesions of the banks, by synthesizer."""
    found: dict[str, list[Example]] = {}
    for manifest in manifests:
        for row in read_table(manifest, MANIFEST).to_dict("records"):
            group = found.setdefault(row["synthesizer"], [])
            if row["outcome"] == "accepted" and row["patch"] and row["case_id"] in parents:
                read = partial(read_synthetic, parents[row["case_id"]], cases, row, manifest)
                group.append(
                    Example(row["synthesizer"], row["case_id"], row["lesion_id"], row["organ"], row["diameter_mm"], read)
                )
    return found


def spread_over(examples: Sequence[Example], count: int) -> list[Example]:
    """Choose ``count`` examples by rule: organs in turn, sizes evenly from small to large, in order of size."""
    organs = sorted({example.organ for example in examples})
    chosen = []
    pools = {organ: sorted((e for e in examples if e.organ == organ), key=_by_size) for organ in organs}
    quota = dict.fromkeys(organs, 0)
    while sum(quota.values()) < min(count, len(examples)):
        for organ in organs:
            if quota[organ] < len(pools[organ]) and sum(quota.values()) < count:
                quota[organ] += 1
    for organ in organs:
        places = (np.arange(quota[organ]) + 0.5) / max(quota[organ], 1) * len(pools[organ])
        chosen += [pools[organ][int(place)] for place in places]
    return sorted(chosen, key=_by_size)


def _by_size(example: Example) -> tuple[float, str]:
    return example.diameter_mm, example.lesion_id


def field_of_view(examples: Sequence[Example]) -> float:
    """Side of all pictures in mm: the largest lesion and its surroundings, in steps of 8 mm."""
    largest = max((example.diameter_mm for example in examples), default=0.0)
    return float(np.clip(8 * np.ceil(1.5 * largest / 8), 48, 112))


def read_real(row: Mapping, table: str | Path, lesion: np.ndarray, field: float) -> Views:
    """Slices of ``field`` mm through the center of a real tumor."""
    spacing = volumes.spacing_of(row)
    corner, size = _window(volumes.lesion_center(row, table, lesion), spacing, field)
    image = read_patch(open_array(volumes.locate(row["image"], table)), corner, size, volumes.AIR)[0]
    label = read_patch(open_array(volumes.locate(row["label"], table)), corner, size, 0)[0]
    return Views(image, image, label == lesion[0], spacing)


def read_synthetic(parent: Mapping, table: str | Path, row: Mapping, manifest: str | Path, field: float) -> Views:
    """Slices of ``field`` mm through the center of a lesion of the bank, before and after painting."""
    lesion = read_lesion(manifest, row)
    spacing = volumes.spacing_of(parent)
    corner, size = _window(volumes.center_of(lesion.label, lesion.corner), spacing, field)
    before = read_patch(open_array(volumes.locate(parent["image"], table)), corner, size, volumes.AIR)
    after, mask = before.copy(), np.zeros(size, np.uint8)
    apply_lesion(lesion, after, mask, 1, corner)
    return Views(before[0], after[0], mask[0] == 1, spacing)


def _window(
    center: tuple[int, int, int], spacing: tuple[float, float, float], field: float
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Corner and size of one axial slice around ``center``: the odd number of voxels that covers ``field`` mm."""
    height, width = (2 * int(np.ceil(field / 2 / step)) + 1 for step in spacing[1:])
    return (center[0], center[1] - height // 2, center[2] - width // 2), (1, height, width)


def lesion_numbers(real: Sequence[Example], synthetic: Mapping[str, Sequence[Example]], field: float) -> "pd.DataFrame":
    """The lesions shown, in order: ``group lesion_id case_id organ diameter_mm field_mm``."""
    import pandas as pd

    shown = [*real, *(example for group in synthetic.values() for example in group)]
    rows = [(e.group, e.lesion_id, e.case_id, e.organ, e.diameter_mm, field) for e in shown]
    return pd.DataFrame(rows, columns=["group", "lesion_id", "case_id", "organ", "diameter_mm", "field_mm"])


class Sheet:
    """The page: square pictures of one size at places counted in mm, nine to a row, in groups of three.

    Rows 0 and 1 are the real tumors; the synthetic rows follow, each below a line of text.
    """

    LEFT, RIGHT, TOP, KEY = 6.0, 0.8, 4.0, 9.0  # mm
    GAP, GROUP_GAP, TEXT, HEADER = 0.7, 1.8, 3.6, 3.4
    SIDE = (style.DOUBLE - LEFT - RIGHT - (COLUMNS - SHOWN) * GAP - (SHOWN - 1) * GROUP_GAP) / COLUMNS

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

    def write(self, row: int, column: int, text: str, lift: float = 0.9, size: float = 6.0, color: str = style.INK) -> None:
        """A line of text above a picture, starting at its left edge."""
        place = self._left(column) / style.DOUBLE, 1 - (self._top(row) - lift) / self.height
        self.figure.text(*place, text, ha="left", va="baseline", fontsize=size, color=color)

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
        left, right = self._left(COLUMNS - len(STEPS)), self._left(COLUMNS - 1) + self.SIDE - 3
        axes = self.figure.add_axes((left / style.DOUBLE, 5.6 / self.height, (right - left) / style.DOUBLE, 1.6 / self.height))
        bar = self.figure.colorbar(ScalarMappable(Normalize(-CHANGE, CHANGE), "RdBu_r"), axes, orientation="horizontal")
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=1.5, pad=1.5, labelsize=6)
        place = (self._left(COLUMNS - len(STEPS)) - 2) / style.DOUBLE, 6.4 / self.height
        self.figure.text(*place, "difference after − before (HU)", ha="right", va="center", fontsize=6)


def _draw_real(sheet: Sheet, examples: Sequence[Example], field: float, window: tuple[float, float]) -> None:
    for column, example in enumerate(examples):
        views = example.read(field)
        _show(sheet.panel(0, column), views, views.after, field, window, bar=column == 0)
        _show(sheet.panel(1, column), views, views.after, field, window, contour=style.TUMOR)
        sheet.write(0, column, _describe(example), size=5.2)
    if not examples:
        sheet.write(1, 0, "no annotated tumors in the training part", color=style.MUTED)
    sheet.name(0, 2, "real")


def _draw_synthetic(
    sheet: Sheet, row: int, rows: int, name: str, examples: Sequence[Example], field: float, window: tuple[float, float]
) -> None:
    for index, example in enumerate(examples):
        line, place = row + index // SHOWN, len(STEPS) * (index % SHOWN)
        views = example.read(field)
        _show(sheet.panel(line, place), views, views.before, field, window)
        _show(sheet.panel(line, place + 1), views, views.after, field, window)
        difference = views.after.astype(np.float32) - views.before
        _show(sheet.panel(line, place + 2), views, difference, field, (-CHANGE, CHANGE), contour=style.INK, cmap="RdBu_r")
        sheet.write(line, place, _describe(example))
    if row == 2:
        for column in range(COLUMNS):
            sheet.write(row, column, STEPS[column % len(STEPS)], lift=0.9 + sheet.HEADER, color=style.MUTED)
    if not examples:
        sheet.write(row, 0, "no accepted lesions", color=style.MUTED)
    sheet.name(row, rows, name)


def _show(
    axes: "Axes",
    views: Views,
    picture: np.ndarray,
    field: float,
    limits: tuple[float, float],
    contour: str = "",
    bar: bool = False,
    cmap: str = "gray",
) -> None:
    volumes.show_slice(axes, picture, views.spacing, limits, cmap)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    axes.set_xlim((left + right - field) / 2, (left + right + field) / 2)
    axes.set_ylim((bottom + top + field) / 2, (bottom + top - field) / 2)
    if contour:
        volumes.outline(axes, views.mask, views.spacing, contour)
    if bar:
        volumes.scale_bar(axes, 20.0)


def _describe(example: Example) -> str:
    return f"{style.readable(example.organ)}, {example.diameter_mm:.0f} mm"
