"""Painters: what fills a lesion mask. Each renders the lesion in HU; the compositor blends it in."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from freetumor.core.config import Painter, Texture

from .cases import Patch
from .shapes import Mask
from .textures import make_texture

LUNG, TISSUE = np.float32(-850), np.float32(40)  # HU of aerated lung, and of the solid tumors that grow in it


class Painting(Protocol):
    """A painter."""

    def render(
        self, patch: Patch, organ: int, mask: Mask, alpha: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict]:
        """Render a lesion.

        Args:
            patch: the canvas.
            organ: position of the organ in the study's list.
            mask: the lesion mask.
            alpha: blend weight of the mask, float32 (z, y, x).
            rng: source of randomness.

        Returns:
            The rendered lesion in HU, float32 (z, y, x), and the parameters drawn.
        """
        ...


class ConstantPainter:
    """A texture of constant contrast: the SynTumor family.

    ``subtract`` makes the lesion darker than its organ: ``x - T c``. ``add`` is for the lung, and replaces a share of each
    voxel by tissue: ``x + s (40 - x)`` with ``s = min(T c / 890, 1)``. Lung at -850 HU gains ``T c``, up to 40 HU; a vessel
    is tissue already and hardly changes, where a plain sum would make it as dense as bone.
    """

    def __init__(self, settings: Painter, texture: Texture) -> None:
        self.settings, self.texture = settings, texture

    def render(
        self, patch: Patch, organ: int, mask: Mask, alpha: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict]:
        """A lesion with a contrast c uniform in an interval, all over the patch."""
        contrast = rng.uniform(*self.settings.contrast)
        change = make_texture(self.texture, patch.image.shape, patch.spacing, rng) * np.float32(contrast)
        if self.settings.polarity == "add":
            change = np.minimum(change / (TISSUE - LUNG), 1) * (TISSUE - patch.image)
        else:
            change = -change
        return patch.image + change, {"contrast": round(contrast, 2)}


class TransplantPainter:
    """The pixels of a real lesion: copy-paste. Needs the shape `real`."""

    def render(
        self, patch: Patch, organ: int, mask: Mask, alpha: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict]:
        """The donor's HU."""
        return mask.donor.image.astype(np.float32), {}


class DifferencePainter:
    """A learned difference: FreeTumor.

    Args:
        generator: the trained generator.
        settings: painter settings.
        texture: texture statistics.
        window: HU interval that the generator sees as 0 to 1.
        conditioned: the generator also sees the blend weight.
        route: every organ uses its own channel (False: channel 0, as published).
        device: where the generator lives.
    """

    def __init__(
        self,
        generator: nn.Module,
        settings: Painter,
        texture: Texture,
        window: tuple[float, float],
        conditioned: bool,
        route: bool,
        device: torch.device,
    ) -> None:
        self.generator, self.settings, self.texture, self.window = generator, settings, texture, window
        self.conditioned, self.route, self.device = conditioned, route, device

    def render(
        self, patch: Patch, organ: int, mask: Mask, alpha: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, dict]:
        """``x - tanh(G) T`` (or ``x + sigmoid(G) T``), in HU."""
        texture = make_texture(self.texture, patch.image.shape, patch.spacing, rng)
        image, weight = (to_tensor(array, self.device) for array in (window_image(patch.image, self.window), alpha))
        with torch.inference_mode():
            change = learned_change(
                self.generator,
                image,
                weight,
                torch.tensor([organ]),
                self.settings.polarity,
                self.conditioned,
                self.route,
                self.settings.smoothing,
            )
        scale = self.window[1] - self.window[0]
        difference = change[0, 0].float().cpu().numpy() * texture * np.float32(scale)
        return patch.image + difference, {}


def generator_inputs(conditioned: bool) -> int:
    """Input channels of the generator: the patch, and the blend weight if it is conditioned."""
    return 2 if conditioned else 1


def learned_change(
    generator: nn.Module,
    image: Tensor,
    alpha: Tensor,
    organs: Tensor,
    polarity: str,
    conditioned: bool,
    route: bool,
    smoothing: float,
) -> Tensor:
    """The learned change per unit of texture, in window units, signed: ``-tanh(G)`` or ``+sigmoid(G)``.

    Args:
        generator: network with one output channel per organ.
        image: windowed patches (batch, 1, z, y, x).
        alpha: blend weights, same shape.
        organs: organ of each patch (batch,).
        polarity: `subtract` or `add`.
        conditioned: feed ``alpha`` to the generator.
        route: take each patch's own channel, else channel 0.
        smoothing: Gaussian smoothing of the change, in voxels.

    Returns:
        (batch, 1, z, y, x).

    Reference:
        Wu et al. 2025, eq. 1 and released code (abdomen subtracts tanh, chest adds sigmoid).
    """
    output = generator(torch.cat([image, alpha], dim=1) if conditioned else image)
    channel = organs.to(output.device) if route else torch.zeros_like(organs, device=output.device)
    chosen = output[torch.arange(len(output), device=output.device), channel].unsqueeze(1)
    return smooth(-torch.tanh(chosen) if polarity == "subtract" else torch.sigmoid(chosen), smoothing)


def smooth(volume: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of (batch, 1, z, y, x) with seven taps per axis; ``sigma`` in voxels, 0 for none.

    Without it the generator finds patterns of single voxels that the segmenter takes for a tumor and nobody else would.
    """
    if sigma <= 0:
        return volume
    taps = torch.exp(-0.5 * (torch.arange(-3, 4, device=volume.device, dtype=volume.dtype) / sigma) ** 2)
    taps = taps / taps.sum()
    for axis in range(3):
        shape, padding = [1] * 5, [0] * 6
        shape[2 + axis] = 7
        padding[4 - 2 * axis] = padding[5 - 2 * axis] = 3
        padded = nn.functional.pad(volume, padding, mode="replicate")
        volume = nn.functional.conv3d(padded, taps.view(shape))
    return volume


def window_image(image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """HU to [0, 1] (clipped), float32. The stored volume keeps its HU: the window is applied to patches only."""
    low, high = window
    return np.clip((image.astype(np.float32) - low) / (high - low), 0, 1)


def to_tensor(array: np.ndarray, device: torch.device) -> Tensor:
    """A float array (z, y, x) as (1, 1, z, y, x) on ``device``."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None, None].to(device)
