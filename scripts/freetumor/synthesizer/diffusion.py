"""The painter of the DiffTumor family: a lesion sampled from a latent diffusion."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freetumor.core.config_synthesizer import Diffusion
from freetumor.preprocessing.store import read_patch

from .cases import AIR, Patch
from .diffusion_networks import LatentDiffusion
from .diffusion_windows import Index, Window, cut, window_size
from .synthetic import Brush


@dataclass(frozen=True)
class Job:
    """A lesion to sample."""

    corner: Index  # of the window in the patch
    window: Window
    noise: np.ndarray  # to start from, float32, the shape of the latents
    steps: int


class DiffusionPainter:
    """A lesion sampled from a latent diffusion, in the canvas's own noise.

    Args:
        network: the trained networks in evaluation mode.
        settings: margin and sampling steps.
        window: HU interval that -1 to 1 stand for.
        device: where the networks live.
    """

    local = False

    def __init__(
        self, network: LatentDiffusion, settings: Diffusion, window: tuple[float, float], device: torch.device
    ) -> None:
        self.network, self.settings, self.window, self.device = network, settings, window, device

    def render(self, brushes: Sequence[Brush]) -> list[tuple[np.ndarray, dict]]:
        """``x + decode(sampled) - decode(canvas)`` in HU; outside the lesion's window, the canvas itself.

        On a GPU, windows of one size and number of steps are painted together. On a CPU each is painted alone: sums would
        depend on the batch otherwise.
        """
        jobs = [self._prepare(brush) for brush in brushes]
        groups: dict[tuple, list[int]] = {}
        for i, job in enumerate(jobs):
            alone = i if self.device.type == "cpu" else -1
            groups.setdefault((job.window.image.shape, job.steps, alone), []).append(i)
        changes: dict[int, np.ndarray] = {}
        for members in groups.values():
            changes |= dict(zip(members, self._changes([jobs[i] for i in members]), strict=True))
        return [
            (_added(brush.patch.image, changes[i], job.corner), {"steps": job.steps})
            for i, (brush, job) in enumerate(zip(brushes, jobs, strict=True))
        ]

    def _prepare(self, brush: Brush) -> Job:
        patch, mask = brush.patch, brush.mask.array
        spread = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        low, high = (np.array([places[end] for places in spread]) for end in (0, -1))
        size = window_size(high - low + 1, self.settings, patch.image.shape)
        corner = tuple(
            int(np.clip((a + b + 1 - length) // 2, min(0, bound - length), max(0, bound - length)))
            for a, b, length, bound in zip(low, high, size, patch.image.shape, strict=True)
        )
        part = Patch(
            read_patch(patch.image, corner, size, AIR),
            read_patch(patch.label, corner, size, 0),
            corner,
            patch.spacing,
            patch.case_id,
            patch.patient_id,
            patch.source,
        )
        window = cut(part, read_patch(mask, corner, size, 0), brush.organ, self.window)
        cells = tuple(length // self.network.cell for length in size)
        noise = brush.rng.standard_normal((self.network.latent, *cells), np.float32)
        early = sphere_diameter(int(mask.sum()), patch.spacing) <= self.settings.early_mm
        return Job(corner, window, noise, self.settings.early_steps if early else self.settings.late_steps)

    @torch.inference_mode()
    def _changes(self, jobs: Sequence[Job]) -> np.ndarray:
        """Changes in HU (batch, z, y, x) of windows of one size and number of steps."""
        image, erased, lesion, organs = stack([job.window for job in jobs], self.device)
        noise = torch.from_numpy(np.stack([job.noise for job in jobs])).to(self.device)
        change = self.network.change(image, erased, lesion, organs, noise, jobs[0].steps)
        return change[:, 0].float().cpu().numpy() * np.float32((self.window[1] - self.window[0]) / 2)


def stack(windows: Sequence[Window], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Windows of one size as tensors: image, erased and lesion (batch, 1, z, y, x), and organs (batch,)."""
    image, erased, lesion = (
        torch.from_numpy(np.stack([getattr(window, name) for window in windows])[:, None]).to(device)
        for name in ("image", "erased", "lesion")
    )
    return image, erased, lesion, torch.tensor([window.organ for window in windows], device=device)


def sphere_diameter(voxels: int, spacing: tuple[float, float, float]) -> float:
    """Diameter in mm of the sphere of the same volume."""
    return 2 * (3 * voxels * math.prod(spacing) / (4 * math.pi)) ** (1 / 3)


def _added(image: np.ndarray, change: np.ndarray, corner: Index) -> np.ndarray:
    """The image in float32, with the change of a window that starts at ``corner`` and may reach beyond the image."""
    return image + read_patch(change, tuple(-start for start in corner), image.shape, 0)
