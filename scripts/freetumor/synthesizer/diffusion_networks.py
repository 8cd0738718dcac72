"""Latent diffusion of tumors: an autoencoder, a denoiser of its latents, and sampling, on MONAI's networks.

Images are (batch, 1, z, y, x) with the window of the preset as -1 to 1, latents (batch, channels, z, y, x) on a coarser grid,
standardized per channel.

Reference:
    Chen et al. 2024 (DiffTumor): latents of a 3-D autoencoder; the denoiser sees the noisy latents, those of the image without
    its tumor, and the mask. Ho et al. 2020; Song et al. 2021 (sampling); Salimans and Ho 2022 (prediction of the velocity).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, max_pool3d

from freetumor.core.config_synthesizer import Diffusion

BOUND = 6.0  # standard deviations; a sampled residual never lies beyond


class LatentDiffusion(nn.Module):
    """The trained part of a diffusion painter.

    Args:
        settings: sizes of the networks.
        organs: number of organs of the study; the denoiser is told which one it paints into.

    Attributes:
        mean: mean per channel of the autoencoder's latents, (1, channels, 1, 1, 1).
        deviation: their standard deviation.
        shift: mean per channel of what a tumor changes in the standardized latents that it touches.
        spread: its standard deviation.
        schedule: MONAI's noising process.
    """

    mean: Tensor
    deviation: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(self, settings: Diffusion, organs: int) -> None:
        super().__init__()
        from monai.networks.schedulers.ddim import DDIMScheduler

        self.fold, self.latent = settings.autoencoder.fold, settings.autoencoder.latent
        self.autoencoder = _autoencoder(settings)
        self.denoiser = denoiser_network(settings, organs)
        for name, value in (("mean", 0.0), ("deviation", 1.0), ("shift", 0.0), ("spread", 1.0)):
            self.register_buffer(name, torch.full((1, self.latent, 1, 1, 1), value))
        self.predicts = settings.denoiser.predicts
        self.schedule = DDIMScheduler(settings.denoiser.timesteps, schedule="cosine")

    @property
    def cell(self) -> int:
        """Voxels per axis that a latent stands for."""
        return self.fold * 2 ** (len(self.autoencoder.encoder.channels) - 1)

    def posterior(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the raw latents of an image."""
        from monai.networks.utils import pixelunshuffle

        return self.autoencoder.encode(pixelunshuffle(image, 3, self.fold))

    def image_of(self, raw: Tensor) -> Tensor:
        """The image of raw latents."""
        from monai.networks.utils import pixelshuffle

        return pixelshuffle(self.autoencoder.decode(raw), 3, self.fold)

    def encode(self, image: Tensor) -> Tensor:
        """The standardized latents of an image."""
        return (self.posterior(image)[0] - self.mean) / self.deviation

    def decode(self, latents: Tensor) -> Tensor:
        """The image of standardized latents."""
        return self.image_of(latents * self.deviation + self.mean)

    def share(self, lesion: Tensor) -> Tensor:
        """The share of each latent's voxels that belongs to the lesion, of a mask (batch, 1, z, y, x)."""
        return avg_pool3d(lesion, self.cell)

    def touched(self, share: Tensor) -> Tensor:
        """The latents that a lesion changes, bool: those that hold a part of it, and their neighbors."""
        return max_pool3d(share, 3, stride=1, padding=1) > 0

    def residual(self, latents: Tensor, erased: Tensor, touched: Tensor) -> Tensor:
        """What a tumor changes in the latents of its erased image, standardized; zero where it does not reach."""
        return (latents - erased - self.shift) / self.spread * touched

    def noised(self, residual: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """A residual at ``times`` of the noising process, and what the denoiser has to predict there."""
        noisy = self.schedule.add_noise(residual, noise, times)
        return noisy, noise if self.predicts == "noise" else self.schedule.get_velocity(residual, noise, times)

    def predict(self, noisy: Tensor, times: Tensor, erased: Tensor, share: Tensor, organs: Tensor) -> Tensor:
        """The prediction of the denoiser."""
        return self.denoiser(torch.cat([noisy * self.touched(share), erased, share], dim=1), times, class_labels=organs)

    def sample(self, noise: Tensor, erased: Tensor, share: Tensor, organs: Tensor, steps: int) -> Tensor:
        """Turn noise into the residual of a tumor, by ``steps`` deterministic steps from pure noise to none.

        Args:
            noise: standard normal, the shape of the latents.
            erased: latents of the canvas without the lesion.
            share: see :meth:`share`.
            organs: organ of each window (batch,).
            steps: of sampling.
        """
        levels = self.schedule.alphas_cumprod.tolist()
        times = sampling_times(len(levels), steps)
        residual = noise
        for time, signal, target in zip(times, [levels[t] for t in times], [*(levels[t] for t in times[1:]), 1.0], strict=True):
            now = torch.full((len(noise),), time, device=noise.device)
            predicted = self.predict(residual, now, erased, share, organs).float()
            clean, grain = self._parts(residual, predicted, signal)
            residual = target**0.5 * clean + (1 - target) ** 0.5 * grain
        return residual

    def _parts(self, noisy: Tensor, predicted: Tensor, signal: float) -> tuple[Tensor, Tensor]:
        """The clean residual and the noise that a noisy one consists of, by what was predicted (Song et al. 2021, eq. 12)."""
        if self.predicts == "noise":
            clean, grain = (noisy - (1 - signal) ** 0.5 * predicted) / signal**0.5, predicted
        else:
            clean = signal**0.5 * noisy - (1 - signal) ** 0.5 * predicted
            grain = signal**0.5 * predicted + (1 - signal) ** 0.5 * noisy
        return clean.clamp(-BOUND, BOUND), grain

    def change(self, image: Tensor, erased: Tensor, lesion: Tensor, organs: Tensor, noise: Tensor, steps: int) -> Tensor:
        """What a sampled lesion changes in its canvas: the difference of two decodings, (batch, 1, z, y, x).

        Both start from the latents of the canvas; in one, those that the lesion touches are replaced by those of the erased
        canvas and a sampled residual. What the autoencoder cannot represent, such as the finest grain of the noise, is the same
        in both and stays in the canvas.

        Args:
            image: the canvas.
            erased: the canvas without the lesion.
            lesion: mask, 0 or 1.
            organs: organ of each window (batch,).
            noise: standard normal, the shape of the latents.
            steps: of sampling.
        """
        canvas, without, share = self.encode(image), self.encode(erased), self.share(lesion)
        residual = self.sample(noise, without, share, organs, steps)
        painted = torch.where(self.touched(share), without + self.shift + self.spread * residual, canvas)
        return self.decode(painted) - self.decode(canvas)


def sampling_times(total: int, steps: int) -> list[int]:
    """Times of the sampling steps, from pure noise (``total - 1``) down, closer together toward the end.

    The square spaces them: latents that differ little between samples get their spread in the last steps. Of normal ones with a
    standard deviation of 0.1, four equal steps leave 23 % of it, four such steps 58 %, fifty equal steps 86 %. (MONAI 1.6's own
    sampling step is as wide as ``total // steps``, whatever its list of times says; with four steps of 200 they disagree.)
    """
    return [max(round(total * ((steps - step) / steps) ** 2) - 1, steps - 1 - step) for step in range(steps)]


def diffusion_network(settings: Diffusion, organs: int, seed: int) -> LatentDiffusion:
    """Build the networks with weights drawn from ``seed``; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LatentDiffusion(settings, organs)


def denoiser_network(settings: Diffusion, organs: int) -> nn.Module:
    """MONAI's denoiser: noisy latents, latents of the erased canvas and the mask in; attention at the coarsest level only."""
    from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

    channels, latent = settings.denoiser.channels, settings.autoencoder.latent
    return DiffusionModelUNet(
        spatial_dims=3,
        in_channels=2 * latent + 1,
        out_channels=latent,
        num_res_blocks=1,
        channels=channels,
        attention_levels=[False] * len(channels),
        norm_num_groups=_groups(channels),
        num_head_channels=math.gcd(channels[-1], 32),
        num_class_embeds=organs,
    )


def _autoencoder(settings: Diffusion) -> nn.Module:
    from monai.networks.nets.autoencoderkl import AutoencoderKL

    sizes = settings.autoencoder
    voxels = sizes.fold**3
    return AutoencoderKL(
        spatial_dims=3,
        in_channels=voxels,
        out_channels=voxels,
        num_res_blocks=1,
        channels=sizes.channels,
        attention_levels=[False] * len(sizes.channels),
        latent_channels=sizes.latent,
        norm_num_groups=_groups(sizes.channels),
        with_encoder_nonlocal_attn=False,
        with_decoder_nonlocal_attn=False,
    )


def _groups(channels: list[int]) -> int:
    """Groups of the group normalization, of at least four channels: one channel alone would lose the time it was told."""
    common = math.gcd(*channels)
    return next((groups for groups in (8, 4, 2) if common % (4 * groups) == 0), 1)
