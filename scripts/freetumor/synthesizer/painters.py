"""Painters: what fills a lesion mask. Each renders lesions in HU; the compositor blends them in."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from freetumor.core.arrays import bounding_box
from freetumor.core.config import Painter, Texture

from .synthetic import Brush
from .textures import make_texture

BATCH = 16  # patches per network call on an accelerator
LUNG, TISSUE = np.float32(-850), np.float32(40)  # HU of aerated lung, and of the solid tumors that grow in it


class ConstantPainter:
    """A texture of constant contrast: the SynTumor family.

    ``subtract`` makes the lesion darker than its organ: ``x - T c``. ``add`` is for the lung, and replaces a share of each
    voxel by tissue: ``x + s (40 - x)`` with ``s = min(T c / 890, 1)``. Lung at -850 HU gains ``T c``, up to 40 HU; a vessel
    is tissue already and hardly changes, where a plain sum would make it as dense as bone.
    """

    local = True

    def __init__(self, settings: Painter, texture: Texture) -> None:
        self.settings, self.texture = settings, texture

    def render(self, brushes: Sequence[Brush]) -> list[tuple[np.ndarray, dict]]:
        """Lesions with a contrast c uniform in an interval."""
        return [self._render(brush) for brush in brushes]

    def _render(self, brush: Brush) -> tuple[np.ndarray, dict]:
        contrast = brush.rng.uniform(*self.settings.contrast)
        box, image = painted_box(brush.alpha), brush.patch.image.astype(np.float32)
        change = make_texture(self.texture, image[box].shape, brush.patch.spacing, brush.rng) * np.float32(contrast)
        image[box] += signed_change(change, image[box], self.settings.polarity)
        return image, {"contrast": round(contrast, 2)}


class TransplantPainter:
    """The pixels of a real lesion: copy-paste. Needs the shape `real`."""

    local = True

    def render(self, brushes: Sequence[Brush]) -> list[tuple[np.ndarray, dict]]:
        """The donors' HU."""
        return [(brush.mask.donor.image.astype(np.float32), {}) for brush in brushes]


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

    local = False

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

    def render(self, brushes: Sequence[Brush]) -> list[tuple[np.ndarray, dict]]:
        """``x - tanh(G) T`` (or ``x + sigmoid(G) T``), in HU; the generator sees the patches in batches."""
        rendered = []
        for batch in batches(brushes, self.device):
            images = to_batch([window_image(brush.patch.image, self.window) for brush in batch], self.device)
            weights = to_batch([brush.alpha for brush in batch], self.device)
            organs = torch.tensor([brush.organ for brush in batch])
            with torch.inference_mode():
                changes = learned_change(
                    self.generator,
                    images,
                    weights,
                    organs,
                    self.settings.polarity,
                    self.conditioned,
                    self.route,
                    self.settings.smoothing,
                )
            rendered += [
                self._apply(brush, change) for brush, change in zip(batch, changes[:, 0].float().cpu().numpy(), strict=True)
            ]
        return rendered

    def _apply(self, brush: Brush, change: np.ndarray) -> tuple[np.ndarray, dict]:
        box, image = painted_box(brush.alpha), brush.patch.image.astype(np.float32)
        texture = make_texture(self.texture, image[box].shape, brush.patch.spacing, brush.rng)
        image[box] += change[box] * texture * np.float32(self.window[1] - self.window[0])
        return image, {}


def signed_change(change: np.ndarray, image: np.ndarray, polarity: str) -> np.ndarray:
    """A positive change in HU as it acts on an image: darker, or a share of each voxel replaced by tissue (lung)."""
    return -change if polarity == "subtract" else np.minimum(change / (TISSUE - LUNG), 1) * (TISSUE - image)


def painted_box(alpha: np.ndarray) -> tuple[slice, slice, slice]:
    """The box in which a blend weight is not zero: all that a painter needs to render."""
    return bounding_box(alpha > 0)


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
    return to_batch([array], device)


def to_batch(arrays: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Float arrays (z, y, x) of one shape as (batch, 1, z, y, x) on ``device``."""
    return torch.from_numpy(np.stack(arrays).astype(np.float32, copy=False))[:, None].to(device)


def batches(items: Sequence[Brush], device: torch.device) -> Iterator[Sequence[Brush]]:
    """Brushes in batches for a network: one by one on a CPU, where larger ones gain nothing and would change the last bits."""
    size = 1 if device.type == "cpu" else BATCH
    for start in range(0, len(items), size):
        yield items[start : start + size]
