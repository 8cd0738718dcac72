"""Training of the latent diffusion in two phases: the autoencoder, then the denoiser of its latents.

Losses, with x an image, z its latents, e those of the image without its tumor, m the mask, d = z - e what the tumor changes, q
the same noised at a random time, v what the denoiser has to predict there::

    autoencoder   < |decode(z') - x| > + w KL(z' || N(0, 1))          z' drawn from the posterior of x
    denoiser      < |f(q, e, m, organ, time) - v| >                   mean over the latents that the tumor touches

The published denoiser makes all latents of the tumor's image and is trained on all. Here it makes what the tumor changes, where
it changes it: nothing else is ever painted, and a small network need not learn to copy the rest.
Unlike the published one it has no adversarial or perceptual loss to sharpen textures: a painted lesion takes its finest grain
from the canvas (``LatentDiffusion.change``).

Reference:
    Chen et al. 2024 (DiffTumor); Rombach et al. 2022.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from freetumor.core.config import Config
from freetumor.core.device import Device
from freetumor.core.feed import Feed
from freetumor.core.optimization import learning_rate, make_optimizer, set_learning_rate
from freetumor.core.seeding import derive_seed, generator

from .cases import Case
from .diffusion import stack
from .diffusion_networks import diffusion_network
from .diffusion_windows import LesionWindows, Samples, Window, latent_noise

CALIBRATION = 64  # windows over which latents are standardized
VALIDATION = 16  # windows that a validation looks at


class DiffusionTraining:
    """Trains the autoencoder for its number of steps, then the denoiser for its own.

    Args:
        name: key of ``synthesizers``.
        fold: the fold, part of the seed key.
        config: the study.
        labeled: labeled training cases.
        pool: cases without tumor annotation.
        validation: labeled cases to measure on.
        device: where to compute.
    """

    def __init__(
        self,
        name: str,
        fold: int,
        config: Config,
        labeled: Sequence[Case],
        pool: Sequence[Case],
        validation: Sequence[Case],
        device: Device,
    ) -> None:
        self.config, self.device = config, device
        self.settings = config.synthesizers[name].painter.diffusion
        self.key = (config.seed, "synthesizer", name, fold)
        self.windows, self.checks = (
            LesionWindows(cases, more, config.organs, self.settings, config.working.patch, config.working.window)
            for cases, more in ((labeled, pool), (validation, ()))
        )
        seed = derive_seed(*self.key, "networks")
        self.network = diffusion_network(self.settings, len(config.organs), seed).to(device.torch)
        self.painter = copy.deepcopy(self.network).eval().requires_grad_(False)  # with the averaged denoiser; shares the rest
        for shared in ("autoencoder", "mean", "deviation", "shift", "spread"):
            setattr(self.painter, shared, getattr(self.network, shared))
        self.phases = (
            (self.network.autoencoder, self.settings.autoencoder.training),
            (self.network.denoiser, self.settings.denoiser.training),
        )
        self.optimizers = [make_optimizer(network, training) for network, training in self.phases]
        self.first = self.settings.autoencoder.training.steps
        slots = tuple(device.mine(training.batch) for _, training in self.phases)
        samples = Samples(self.windows, self.settings, slots, *self.key)
        self.feed = Feed(samples, self.first + self.settings.denoiser.training.steps, config.compute.loader_workers)

    def step(self, step: int) -> dict[str, float]:
        """A step of the autoencoder, or of the denoiser once the autoencoder is done."""
        if step <= self.first:
            return {"loss_autoencoder": self._descend(0, step, self._autoencoder_loss(step))}
        if step == self.first + 1:
            self._standardize()
        loss = self._descend(1, step - self.first, self._denoiser_loss(step))
        self._average(step - self.first)
        return {"loss_denoiser": loss}

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Mean absolute error in HU of the autoencoder, then of the mean of painted lesions; nothing without lesions."""
        if not self.checks.lesions:
            return {}
        windows = [self.checks.lesion(generator(*self.key, "validation", number)) for number in range(VALIDATION)]
        scale = (self.config.working.window[1] - self.config.working.window[0]) / 2
        measure, name = (
            (self._reconstruction_error, "reconstruction_hu") if step <= self.first else (self._level_error, "level_error_hu")
        )
        return {name: scale * float(np.mean([measure(window, number) for number, window in enumerate(windows)]))}

    def state(self) -> dict[str, Any]:
        """The networks, the averaged denoiser and both optimizers."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.painter.denoiser.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.painter.denoiser.load_state_dict(state["averaged"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def painter_state(self) -> dict[str, Tensor]:
        """The networks to paint with."""
        return self.painter.state_dict()

    def _descend(self, phase: int, step: int, loss: Tensor) -> float:
        network, training = self.phases[phase]
        optimizer = self.optimizers[phase]
        set_learning_rate(optimizer, learning_rate(training, step))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.device.average_gradients(network)
        optimizer.step()
        return loss.item()

    def _autoencoder_loss(self, step: int) -> Tensor:
        images, noises = zip(*self.feed.take(step), strict=True)
        losses = []
        for members in same_size([image.shape for image in images]):
            image, noise = self._tensor([images[i][None] for i in members]), self._tensor([noises[i] for i in members])
            with self.device.autocast():
                mean, deviation = self.network.posterior(image)
                made = self.network.image_of(mean + deviation * noise)
            mean, deviation = mean.float(), deviation.float()
            divergence = (mean.square() + deviation.square() - 2 * deviation.log() - 1).mean() / 2
            loss = (made.float() - image).abs().mean() + self.settings.autoencoder.divergence * divergence
            losses.append(loss * len(members) / len(images))
        return torch.stack(losses).sum()

    def _denoiser_loss(self, step: int) -> Tensor:
        windows, noises, times = zip(*self.feed.take(step), strict=True)
        losses = []
        for members in same_size([window.image.shape for window in windows]):
            image, erased, lesion, organs = stack([windows[i] for i in members], self.device.torch)
            noise = self._tensor([noises[i] for i in members])
            time = torch.tensor([times[i] for i in members], device=self.device.torch)
            with torch.no_grad():
                residual, condition, share, touched = self._targets(image, erased, lesion)
                noisy, target = self.network.noised(residual, noise, time)
            with self.device.autocast():
                predicted = self.network.predict(noisy, time, condition, share, organs)
            errors = ((predicted.float() - target).abs() * touched).mean(dim=(1, 2, 3, 4))
            losses.append((errors / touched.float().mean(dim=(1, 2, 3, 4))).sum() / len(windows))
        return torch.stack(losses).sum()

    def _targets(self, image: Tensor, erased: Tensor, lesion: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of real tumors: residual, latents of the erased image, share and touched latents."""
        condition, share = self.network.encode(erased), self.network.share(lesion)
        touched = self.network.touched(share)
        return self.network.residual(self.network.encode(image), condition, touched), condition, share, touched

    @torch.no_grad()
    def _standardize(self) -> None:
        """Standardize latents, then residuals, over windows that every process draws alike."""
        draws = [generator(*self.key, "calibration", number) for number in range(CALIBRATION)]
        images = [self._tensor([self.windows.tissue(rng)[None]]) for rng in draws]
        encoded = torch.cat([self.network.posterior(image)[0].flatten(2)[0] for image in images], dim=1)
        _set_moments(self.network.mean, self.network.deviation, encoded)
        changed = []
        for rng in draws:
            residual, _, _, touched = self._targets(*stack([self.windows.lesion(rng)], self.device.torch)[:3])
            changed.append(residual[0, :, touched[0, 0]])
        _set_moments(self.network.shift, self.network.spread, torch.cat(changed, dim=1))

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """Move the averaged denoiser toward the present one, faster at the start."""
        decay = min(self.settings.denoiser.average, step / (step + 9))
        pairs = zip(self.painter.denoiser.parameters(), self.network.denoiser.parameters(), strict=True)
        for kept, present in pairs:
            kept.lerp_(present, 1 - decay)

    def _reconstruction_error(self, window: Window, _: int) -> float:
        image = self._tensor([window.image[None]])
        return (self.painter.decode(self.painter.encode(image)) - image).abs().mean().item()

    def _level_error(self, window: Window, number: int) -> float:
        """The lesion is painted where it was erased."""
        image, erased, lesion, organs = stack([window], self.device.torch)
        drawn = latent_noise(window.image.shape, self.settings, generator(*self.key, "validation noise", number))
        noise = self._tensor([drawn])
        change = self.painter.change(erased, erased, lesion, organs, noise, self.settings.early_steps)
        return abs((((erased + change - image) * lesion).sum() / lesion.sum()).item())

    def _tensor(self, arrays: Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device.torch)


def _set_moments(mean: Tensor, deviation: Tensor, values: Tensor) -> None:
    """Write mean and standard deviation per channel of ``values`` (channels, n)."""
    mean.copy_(values.mean(dim=1).view_as(mean))
    deviation.copy_(values.std(dim=1).view_as(deviation))


def same_size(shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Positions of equal shapes, together, in order of the shapes."""
    return [[i for i, other in enumerate(shapes) if other == shape] for shape in sorted(set(shapes))]
