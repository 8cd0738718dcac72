"""A painter for grown tumors: the fuller a voxel is of tumor, the stronger its contrast; necrosis is darker still."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

from freetumor.core.config import Painter, Texture

from .painters import painted_box, signed_change
from .synthetic import Brush
from .textures import make_texture

SOFTENING = 0.8  # mm by which states are blurred: about the published mean over 3 x 3 voxels


class StatesPainter:
    """A texture whose contrast follows the states of a grown tumor: the Pixel2Cancer family. Needs the shape `automaton`.

    ``subtract`` makes the lesion darker than its organ, ``x - T (c s + n k)``, with the texture T, the contrast c, the further
    contrast n of necrosis, and the density s and the necrotic share k of a voxel, slightly blurred. ``add`` is for the lung: a
    share of each voxel that follows ``T c s`` is replaced by tissue (see ``ConstantPainter``), which is darker by ``T n k``.

    Reference:
        Lai et al. 2024 (Pixel2Cancer).
    """

    local = True

    def __init__(self, settings: Painter, texture: Texture) -> None:
        self.settings, self.texture = settings, texture

    def render(self, brushes: Sequence[Brush]) -> list[tuple[np.ndarray, dict]]:
        """Lesions with a contrast c and a further contrast n of necrosis, each uniform in an interval."""
        return [self._render(brush) for brush in brushes]

    def _render(self, brush: Brush) -> tuple[np.ndarray, dict]:
        contrast = brush.rng.uniform(*self.settings.contrast)
        necrosis = brush.rng.uniform(*self.settings.necrosis)
        box, image, spacing = painted_box(brush.alpha), brush.patch.image.astype(np.float32), brush.patch.spacing
        density, dead = (_blurred(array[box], spacing) for array in (brush.mask.density, brush.mask.core))
        texture = make_texture(self.texture, density.shape, spacing, brush.rng)
        full, dark = texture * density * np.float32(contrast), texture * dead * np.float32(necrosis)
        if self.settings.polarity == "subtract":
            image[box] -= full + dark
        else:  # necrotic tissue takes the place of lung
            image[box] += signed_change(full, image[box] + dark, "add")
        return image, {"contrast": round(contrast, 2), "necrosis": round(necrosis, 2)}


def _blurred(array: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    return gaussian_filter(array.astype(np.float32), [SOFTENING / s for s in spacing], truncate=3, mode="constant")
