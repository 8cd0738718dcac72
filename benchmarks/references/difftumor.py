"""DiffTumor (Chen et al., CVPR 2024), early tumors: encode a patch, four denoising steps, decode it.

What is published: an autoencoder of 1.39 M parameters with hidden size 16, down 4 x 4 x 4 to 8 channels, and a codebook of
16,384 vectors; a denoiser of 6.0 M parameters with multipliers from 24 channels that sees 8 noisy channels, 8 of the image
without the tumor and the mask; patches of 96^3; four steps for early tumors; the whole patch is decoded and blended by the
blurred mask.

MONAI's networks of that size, random weights: 1.34 M and 5.8 M parameters. The published denoiser needs 13.4 GFLOP per step,
this one 14.0. The codebook is searched by one distance matrix; the published one-hot matrix is left out.
"""

import numpy as np
import torch
from monai.networks.nets.autoencoderkl import AutoencoderKL
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from monai.networks.schedulers.ddpm import DDPMScheduler
from scipy.ndimage import gaussian_filter
from torch import Tensor

WINDOW = 96
LATENT = 8
CODES = 16_384
STEPS = 4


class EarlyPainter:
    """The early path with random weights."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.autoencoder = AutoencoderKL(
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
            channels=(16, 32, 64),
            num_res_blocks=2,
            latent_channels=LATENT,
            norm_num_groups=16,
            attention_levels=(False, False, False),
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        ).eval()
        self.codebook = torch.randn(CODES, LATENT)
        self.denoiser = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=2 * LATENT + 1,
            out_channels=LATENT,
            channels=(24, 48, 96),
            attention_levels=(False, False, True),
            num_res_blocks=2,
            norm_num_groups=8,
            num_head_channels=24,
        ).eval()
        self.scheduler = DDPMScheduler(num_train_timesteps=STEPS, schedule="cosine")

    def __call__(self, patch: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Paint a patch.

        Args:
            patch: float32 (x, y, z) in -1 to 1, edges of a multiple of 16.
            mask: bool, same shape.
            rng: source of randomness.

        Returns:
            The painted patch, float64.
        """
        chance = torch.Generator().manual_seed(int(rng.integers(2**31)))
        with torch.inference_mode():
            image = torch.from_numpy(np.ascontiguousarray(patch))[None, None]
            shape = torch.from_numpy(np.ascontiguousarray(mask, np.float32))[None, None]
            erased = self.autoencoder.encode(image * (1 - shape))[0]
            small = torch.nn.functional.interpolate(shape, erased.shape[2:])
            latent = torch.randn(erased.shape, generator=chance)
            for step in reversed(range(STEPS)):
                noise = self.denoiser(torch.cat([latent, erased, small], dim=1), torch.tensor([step]))
                latent, _ = self.scheduler.step(noise, step, latent, generator=chance)
            decoded = self.autoencoder.decode(self._quantize(latent))[0, 0].numpy()
        alpha = gaussian_filter(mask.astype(np.float64), rng.uniform(0, 4))
        return (1 - alpha) * patch + alpha * decoded

    def _quantize(self, latent: Tensor) -> Tensor:
        """The nearest vector of the codebook at each voxel."""
        flat = latent.movedim(1, -1).reshape(-1, LATENT)
        distance = flat.square().sum(1, keepdim=True) + self.codebook.square().sum(1) - 2 * flat @ self.codebook.T
        nearest = self.codebook[distance.argmin(dim=1)]
        return nearest.reshape(*latent.shape[:1], *latent.shape[2:], LATENT).movedim(-1, 1)
