"""A contact sheet: three planes through a few checked volumes of a source, for the eye.

Tables cannot show that a scan lies on its side or that labels are shifted. Arrays are (z, y, x) toward superior, posterior and
left; the planes are shown as radiologists see them: the patient's left on the right, superior or anterior above.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.labels import is_tumor, organ_of, tumor_of
from freetumor.core.seeding import derive_seed
from freetumor.core.tables import VOLUMES, read_table
from freetumor.evaluation.sheets.slices import AIR, code_names, locate, spacing_of
from freetumor.figures import style, volumes
from freetumor.figures.answers import count
from freetumor.figures.fragments import Caption
from freetumor.preprocessing.store import open_array, read_patch

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CASES = 6  # shown per source
PLANES = ("axial", "coronal", "sagittal")
SOFT_WINDOW, LUNG_WINDOW = (-160.0, 240.0), (-1350.0, 150.0)  # HU
OUTSIDE = "#1c2733"  # where the volume ends; air is black
AERATED = -300.0  # HU; structures below are shown in the lung window
GAP, TEXT, TOP, EDGE = 1.0, 8.0, 6.0, 1.0  # mm
SIDE = (style.DOUBLE - 2 * EDGE - 2 * GAP) / 3  # mm, of a picture
RESOLUTION = 150  # dots per inch; noise does not compress


@dataclass(frozen=True)
class Shown:
    """Three planes of a volume, and what is said of it.

    Attributes:
        row: of the table of volumes.
        focus: the structure that the planes go through; empty if none is labeled.
        center: voxel (z, y, x) where they meet.
        images: per plane, HU as on the page: first row on top.
        labels: per plane, codes.
        spacings: per plane, mm of a row and of a column.
    """

    row: Mapping
    focus: str
    center: tuple[int, int, int]
    images: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    spacings: tuple[tuple[float, float], ...]


def plot_contact_sheet(config: Config, table: Path, output: Path, cases: int = CASES) -> None:
    """Draw the contact sheet of a source.

    Args:
        config: the study.
        table: table of ``core.tables.VOLUMES`` of the source.
        output: path of the PNG; PDF, CSV (the cases, the voxels where their planes meet) and caption are written beside it.
        cases: most cases to show; which ones depends on their ids alone.

    Raises:
        UserError: if there is no volume.
    """
    from matplotlib import rc_context

    rows = read_table(table, VOLUMES)
    if rows.empty:
        raise UserError(f"{table}: no volume to show")
    shown = [look(row, table, config.organs) for row in choose(rows.to_dict("records"), cases)]
    with style.styled(), rc_context({"savefig.dpi": RESOLUTION}):
        style.save(draw(shown), output, sheet_numbers(shown), _words(shown, len(rows)))


def choose(rows: Sequence[Mapping], cases: int) -> list[Mapping]:
    """At most so many rows, as if by lot, in the order of their ids; a case that joins the source replaces at most one."""
    drawn = sorted(rows, key=lambda row: derive_seed("contact sheet", row["case_id"]))[:cases]
    return sorted(drawn, key=lambda row: row["case_id"])


def look(row: Mapping, table: Path, organs: Sequence[str]) -> Shown:
    """Read the planes through the largest tumor, else the largest organ, else the middle of a volume."""
    label = open_array(locate(row["label"], table))[...]
    names = code_names(row)
    focus = find_focus(label, names, organs)
    center = find_center(label == focus) if focus else tuple(length // 2 for length in label.shape)
    image = open_array(locate(row["image"], table))
    images = []
    for axis in range(3):
        corner = tuple(place if axis == other else 0 for other, place in enumerate(center))
        size = tuple(1 if axis == other else length for other, length in enumerate(label.shape))
        images.append(_turn(read_patch(image, corner, size, AIR).squeeze(axis), axis))
    labels = tuple(_turn(label.take(place, axis), axis) for axis, place in enumerate(center))
    z, y, x = spacing_of(row)
    return Shown(row, names.get(focus, ""), center, tuple(images), labels, ((y, x), (z, x), (z, y)))


def _turn(plane: np.ndarray, axis: int) -> np.ndarray:
    """As on the page: an axial plane begins in front, the other two begin above."""
    return plane if axis == 0 else plane[::-1]


def find_focus(label: np.ndarray, names: Mapping[int, str], organs: Sequence[str]) -> int:
    """Code of the structure to look at, 0 if there is none: tumors before organs, those of the study first, then by size."""
    sizes = np.bincount(label.ravel(), minlength=256)
    present = [code for code in names if sizes[code]]
    return max(present, key=lambda code: (is_tumor(names[code]), organ_of(names[code]) in organs, sizes[code]), default=0)


def find_center(mask: np.ndarray) -> tuple[int, int, int]:
    """The voxel of a mask nearest to its center in the axial slice that holds most of it."""
    z = int(mask.sum(axis=(1, 2)).argmax())
    places = np.argwhere(mask[z])
    y, x = places[np.square(places - places.mean(axis=0)).sum(axis=1).argmin()]
    return z, int(y), int(x)


def sheet_numbers(shown: Sequence[Shown]) -> "pd.DataFrame":
    """What is shown: ``case_id focus z y x native_spacing native_shape organs tumors tumor_ml notes``."""
    import pandas as pd

    kept = ("native_spacing", "native_shape", "organs", "tumors", "tumor_ml", "notes")
    return pd.DataFrame(
        [
            {"case_id": item.row["case_id"], "focus": item.focus, **dict(zip("zyx", item.center, strict=True))}
            | {name: item.row[name] for name in kept}
            for item in shown
        ]
    )


def _words(shown: Sequence[Shown], total: int) -> Caption:
    source = shown[0].row["source"]
    text = (
        f"{len(shown)} of {count(total, 'checked volume')}, chosen by their ids alone. Axial, coronal and sagittal planes "
        "through the largest tumor, else the largest organ; dotted lines show where they meet. The patient's left is on the "
        "right, superior or anterior is above; in the sagittal plane anterior is on the left. Outlines are the labels after "
        "preprocessing; bluish is what the volume does not cover."
    )
    alternative = "Rows of CT slices in three planes with outlined labels."
    return Caption(f"Contact sheet of the source {source}.", text, alternative, count(len(shown), "case"), "case")


def structure_colors(shown: Sequence[Shown]) -> dict[str, str]:
    """A color per structure that is visible in some plane: one for all tumors, others for organs."""
    visible = {code_names(item.row).get(int(code)) for item in shown for plane in item.labels for code in np.unique(plane)}
    present = {name for name in visible if name}
    organs = style.organ_colors(sorted(name for name in present if not is_tumor(name)))
    return organs | {name: style.TUMOR for name in sorted(present) if is_tumor(name)}


def draw(shown: Sequence[Shown]) -> "Figure":
    """One line per case: words above, three planes below."""
    from matplotlib.figure import Figure

    line = SIDE + TEXT
    height = TOP + len(shown) * line + EDGE
    figure = Figure(figsize=(style.DOUBLE / 25.4, height / 25.4))
    colors = structure_colors(shown)
    _legend(figure, shown[0].row["source"], colors, height)
    for number, item in enumerate(shown):
        top = TOP + number * line
        first, second = describe(item)
        style_of = {"va": "baseline", "color": style.INK}
        figure.text(EDGE / style.DOUBLE, 1 - (top + 3.6) / height, first, fontsize=7.5, fontweight="bold", **style_of)
        figure.text(EDGE / style.DOUBLE, 1 - (top + 6.8) / height, second, fontsize=6.5, **style_of)
        for axis in range(3):
            left = EDGE + axis * (SIDE + GAP)
            box = (left / style.DOUBLE, 1 - (top + line) / height, SIDE / style.DOUBLE, SIDE / height)
            _show(figure.add_axes(box), item, axis, colors)
    return figure


def _legend(figure: "Figure", source: str, colors: Mapping[str, str], height: float) -> None:
    from matplotlib.lines import Line2D

    figure.text(EDGE / style.DOUBLE, 1 - 4.4 / height, style.readable(source), fontsize=9, fontweight="bold", va="baseline")
    names = {"tumor" if is_tumor(name) else style.structure_name(name): color for name, color in colors.items()}
    handles = [Line2D([], [], color=color, linewidth=2, label=name) for name, color in list(names.items())[:12]]
    figure.legend(handles=handles, loc="upper right", ncols=max(1, len(handles)), bbox_to_anchor=(1, 1 - 0.6 / height))


def describe(item: Shown) -> tuple[str, str]:
    """Two lines on a case: its id and what it holds; its grids and notes."""
    row = item.row
    native = " × ".join(f"{step:.3g}" for step in json.loads(row["native_spacing"]))
    shape = " × ".join(map(str, json.loads(row["native_shape"])))
    working = " × ".join(f"{step:.3g}" for step in json.loads(row["spacing"]))
    unseen = "annotated, no tumor" if row["labeled"] else "tumors not annotated"
    tumors = f"tumors {row['tumor_ml']:.3g} mL" if row["tumors"] else unseen
    focus = f", planes through {style.structure_name(item.focus)}" if item.focus else ""
    notes = f"; notes: {row['notes'].replace(',', ', ')}" if row["notes"] else ""
    return f"{row['case_id']}   {tumors}{focus}", f"file {shape} voxels of {native} mm, here {working} mm (z × y × x){notes}"


def _show(axes: "Axes", item: Shown, axis: int, colors: Mapping[str, str]) -> None:
    """A plane in a dark square, with outlines."""
    from matplotlib.patheffects import withStroke

    image, label, spacing = item.images[axis], item.labels[axis], item.spacings[axis]
    axes.set_facecolor(OUTSIDE)
    if min(image.shape) < 2:
        style.say_empty(axes, "a single slice")
        return
    volumes.show_slice(axes, image, spacing, _window(item))
    axes.images[0].set_interpolation("bicubic")  # as viewers do
    for code, name in code_names(item.row).items():
        volumes.outline(axes, label == code, spacing, colors.get(name, style.MUTED), 0.8)
    height, width = image.shape[0] * spacing[0], image.shape[1] * spacing[1]
    half = max(height, width) / 2
    axes.set(xlim=(width / 2 - half, width / 2 + half), ylim=(height / 2 + half, height / 2 - half))
    _cross(axes, item, axis)
    halo = [withStroke(linewidth=1.6, foreground="black")]
    axes.text(0.02, 0.98, PLANES[axis], transform=axes.transAxes, color="white", fontsize=6, va="top", path_effects=halo)
    volumes.scale_bar(axes, 50.0)


def _cross(axes: "Axes", item: Shown, axis: int) -> None:
    """Where the other two planes cut this one."""
    z, y, x = ((place + 0.5) * step for place, step in zip(item.center, spacing_of(item.row), strict=True))
    above = item.images[axis].shape[0] * item.spacings[axis][0] - z
    across, down = ((x, y), (x, above), (y, above))[axis]
    for draw_line, place in ((axes.axvline, across), (axes.axhline, down)):
        draw_line(place, color="white", linewidth=0.4, alpha=0.45, linestyle=(0, (1, 3)))


def _window(item: Shown) -> tuple[float, float]:
    """The window in which the focus, with its organ, can be seen."""
    names = code_names(item.row)
    organ = organ_of(item.focus)
    codes = [code for code, name in names.items() if name in (organ, tumor_of(organ))]
    inside = item.images[0][np.isin(item.labels[0], codes)]
    return LUNG_WINDOW if inside.size and np.median(inside) < AERATED else SOFT_WINDOW
