"""Slices of stored volumes for figures: where files lie, which voxels to show, how to draw them.

Arrays are (z, y, x); a slice is shown with y downward (posterior) and x to the right (the patient's left), as
radiologists read it. Lengths are mm, intensities HU.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freetumor.core.errors import UserError
from freetumor.core.labels import is_tumor
from freetumor.preprocessing.store import open_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AIR = -1024


def locate(path: str, table: str | Path) -> Path:
    """A file named in ``table``: relative to the working folder, or else to the folder of the table.

    Raises:
        UserError: if it is in neither place.
    """
    for candidate in (Path(path), Path(table).parent / path):
        if candidate.exists():
            return candidate
    raise UserError(f"{table}: names the file {path}, which does not exist")


def code_names(row: Mapping) -> dict[int, str]:
    """Structure name of each code in the stored label of a case."""
    return {int(code): name for code, name in json.loads(row["names"]).items()}


def spacing_of(row: Mapping) -> tuple[float, float, float]:
    """Spacing (z, y, x) in mm of the stored volume of a case."""
    return tuple(json.loads(row["spacing"]))


def tumor_lesions(row: Mapping, table: str | Path) -> np.ndarray:
    """The annotated tumors of a case, shape (n, 8): code, voxels, z0, z1, y0, y1, x0, x1."""
    if not row["sites"]:
        return np.zeros((0, 8), np.int32)
    with np.load(locate(row["sites"], table), allow_pickle=False) as sites:
        lesions = sites["lesions"] if "lesions" in sites else np.zeros((0, 8), np.int32)
    tumors = [code for code, name in code_names(row).items() if is_tumor(name)]
    return lesions[np.isin(lesions[:, 0], tumors)]


def lesion_center(row: Mapping, table: str | Path, lesion: np.ndarray) -> tuple[int, int, int]:
    """Center of mass (z, y, x) of a lesion, from the voxels of its class inside its box; the box may end or exceed it."""
    code, _, *box = (int(number) for number in lesion)
    corner = box[0::2]
    label = open_array(locate(row["label"], table))[tuple(slice(a, b + 1) for a, b in zip(box[0::2], box[1::2], strict=True))]
    return center_of(label == code, corner)


def center_of(mask: np.ndarray, corner: tuple[int, int, int]) -> tuple[int, int, int]:
    """Center of mass of ``mask``, whose first voxel is ``corner``, rounded to a voxel."""
    found = np.argwhere(mask)
    middle = found.mean(0) if len(found) else (np.array(mask.shape) - 1) / 2
    return tuple(round(float(m) + c) for m, c in zip(middle, corner, strict=True))


def show_slice(
    axes: "Axes", image: np.ndarray, spacing: tuple[float, float, float], limits: tuple[float, float], cmap: str = "gray"
) -> None:
    """Show a slice (y, x) in physical proportions; the axes count mm from its corner and have no ticks."""
    height, width = image.shape[0] * spacing[1], image.shape[1] * spacing[2]
    look = {"cmap": cmap, "vmin": limits[0], "vmax": limits[1], "interpolation": "nearest"}
    axes.imshow(image, extent=(0.0, width, height, 0.0), **look)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def outline(axes: "Axes", mask: np.ndarray, spacing: tuple[float, float, float], color: str, width: float = 0.7) -> None:
    """Outline a mask (y, x) drawn over :func:`show_slice`."""
    if mask.any():
        y, x = ((np.arange(n) + 0.5) * step for n, step in zip(mask.shape, spacing[1:], strict=True))
        axes.contour(x, y, mask.astype(np.float32), levels=[0.5], colors=[color], linewidths=[width])


def scale_bar(axes: "Axes", length: float) -> None:
    """A bar of ``length`` mm in the lower left corner of a slice."""
    from matplotlib.patheffects import withStroke

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    halo = [withStroke(linewidth=1.6, foreground="black")]
    x, y = left + 0.06 * (right - left), bottom - 0.07 * (bottom - top)
    axes.plot([x, x + length], [y, y], color="white", linewidth=1.4, solid_capstyle="butt", path_effects=halo)
    text = f"{length / 10:g} cm" if length >= 10 else f"{length:g} mm"
    axes.text(x, y - 0.03 * (bottom - top), text, color="white", fontsize=5.5, va="bottom", path_effects=halo)
