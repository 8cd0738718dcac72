"""Slices of volumes on a figure.

Arrays are (z, y, x); a slice is shown with y downward (posterior) and x to the right (the patient's left), as
radiologists read it. Lengths are mm; a spacing ends in that of y and x.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from freetumor.figures.style import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def show_slice(
    axes: "Axes", image: np.ndarray, spacing: Sequence[float], limits: tuple[float, float], cmap: str = "gray"
) -> None:
    """Show a slice (y, x) in physical proportions; the axes count mm from its corner and have no ticks."""
    height, width = image.shape[0] * spacing[-2], image.shape[1] * spacing[-1]
    look = {"cmap": cmap, "vmin": limits[0], "vmax": limits[1], "interpolation": "nearest"}
    axes.imshow(image, extent=(0.0, width, height, 0.0), **look)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def outline(axes: "Axes", mask: np.ndarray, spacing: Sequence[float], color: str, width: float = 0.7) -> None:
    """Outline a mask (y, x) drawn over :func:`show_slice`."""
    if mask.any():
        y, x = ((np.arange(n) + 0.5) * step for n, step in zip(mask.shape, spacing[-2:], strict=True))
        axes.contour(x, y, mask.astype(np.float32), levels=[0.5], colors=[color], linewidths=[width])


def scale_bar(axes: "Axes", length: float) -> None:
    """A bar of ``length`` mm in the lower left corner of a slice."""
    from matplotlib.patheffects import withStroke

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    halo = [withStroke(linewidth=1.6, foreground="black")]
    x, y = left + 0.06 * (right - left), bottom - 0.07 * (bottom - top)
    axes.plot([x, x + length], [y, y], color="white", linewidth=1.4, solid_capstyle="butt", path_effects=halo)
    text = f"{length / 10:g} cm" if length >= 10 else f"{length:g} mm"
    axes.text(x, y - 0.03 * (bottom - top), text, color="white", fontsize=SMALL, va="bottom", path_effects=halo)
