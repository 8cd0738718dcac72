"""Adversarial training of the generator against the frozen segmenter and the discriminator.

Losses (Wu et al. 2025; angle brackets: mean over the voxels of a mask; F fake, R real tumor voxels; k the organ)::

    L_G = 1 - < S_tumor(k)(x') >_F  +  w (1 - < D_real(x') >_F)
    L_D = 1/2 [ (1 - < D_real(x') >_R) + (1 - < D_fake(x') >_F) ]

Each published defect that can be expressed as a switch is one (``core.config.DEFECTS``); docs/differences.md lists them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from freetumor.core.config import Config, Synthesizer
from freetumor.core.device import Device
from freetumor.core.feed import Feed
from freetumor.core.labels import organ_code, tumor_code
from freetumor.core.optimization import learning_rate, set_learning_rate
from freetumor.core.seeding import derive_seed

from .adversarial_canvases import Canvas, Canvases
from .assembly import generator_network
from .cases import Case
from .networks import build_network
from .painters import learned_change

BACKGROUND, REAL, FAKE = 0, 1, 2  # classes of the discriminator, per voxel
TINY = 1e-6


class AdversarialTraining:
    """Trains generator and discriminator in turn.

    Args:
        name: key of ``synthesizers``.
        fold: the fold, part of the seed key.
        config: the study.
        segmenter: the trained segmenter, frozen.
        labeled: labeled training cases.
        pool: cases without tumor annotation.
        device: where to compute.
    """

    def __init__(
        self,
        name: str,
        fold: int,
        config: Config,
        segmenter: nn.Module,
        labeled: Sequence[Case],
        pool: Sequence[Case],
        device: Device,
    ) -> None:
        self.config, self.device = config, device
        self.settings: Synthesizer = config.synthesizers[name]
        self.training = self.settings.painter.training
        self.key = (config.seed, "synthesizer", name, fold)
        canvases = Canvases(name, fold, config, labeled, pool, device.mine(self.training.batch))
        self.feed = Feed(canvases, self.training.steps, config.compute.loader_workers)
        self.segmenter = segmenter
        self.generator = generator_network(self.settings, config, derive_seed(*self.key, "generator")).to(device.torch)
        self.discriminator = build_network(
            self.settings.painter.network,
            1,
            3,
            derive_seed(*self.key, "discriminator"),
            self.settings.has("batch_statistics"),
        ).to(device.torch)
        for network in (self.generator, self.discriminator):
            device.synchronize_norms(network)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), self.training.learning_rate, betas=(0.0, 0.999))
            for network in (self.generator, self.discriminator)
        ]

    def step(self, step: int) -> dict[str, float]:
        """One step of the generator and one of the discriminator on the same canvases."""
        canvas = Canvas.of(self.feed.take(step), self.device.torch)
        for optimizer in self.optimizers:
            set_learning_rate(optimizer, learning_rate(self.training, step))
            optimizer.zero_grad(set_to_none=True)
        painted, losses = self._generator_step(canvas)
        return losses | self._discriminator_step(canvas, painted.detach())

    def validate(self, step: int) -> dict[str, float]:
        """Nothing beyond the losses: what the generator paints is judged by the gate, at synthesis."""
        return {}

    def state(self) -> dict[str, Any]:
        """Both networks and both optimizers."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def _generator_step(self, canvas: Canvas) -> tuple[Tensor, dict[str, float]]:
        self.discriminator.requires_grad_(self.settings.has("gradient_leak"))
        parts = canvas.parts(self.training.accumulate)
        painted, records = zip(*(self._generator_descent(part, len(parts)) for part in parts), strict=True)
        self.device.average_gradients(self.generator)
        self.optimizers[0].step()
        self.discriminator.requires_grad_(True)
        return torch.stack(painted, dim=1).flatten(0, 1), {
            name: sum(record[name] for record in records) / len(parts) for name in records[0]
        }

    def _generator_descent(self, canvas: Canvas, parts: int) -> tuple[Tensor, dict[str, float]]:
        """Take the loss of one of ``parts`` parts of a batch back through the generator; what it painted, and its record."""
        with self.device.autocast():
            painted = self._paint(canvas)
            classes = self.segmenter(painted).float().softmax(dim=1)
            verdict = self.discriminator(painted).float().softmax(dim=1)
        found = self._over(canvas.fake, self._tumor_probability(classes, canvas.organs))
        fooled = self._over(canvas.fake, verdict[:, REAL : REAL + 1])
        loss = (1 - found) + self.settings.painter.adversarial_weight * (1 - fooled)
        (loss / parts).backward()
        low, high = self.config.working.window
        change = self._over(canvas.fake, (painted.detach() - canvas.image).float()) * (high - low)
        values = {"loss_generator": loss, "found": found, "fooled": fooled, "contrast_hu": change}
        return painted.detach(), {name: value.item() for name, value in values.items()}

    def _discriminator_step(self, canvas: Canvas, painted: Tensor) -> dict[str, float]:
        parts = canvas.parts(self.training.accumulate)
        mean = 0.0
        for number, part in enumerate(parts):
            image, real, fake = painted[number :: len(parts)], part.real, part.fake
            if self.settings.has("discriminator_labels"):
                image, real, fake = unremapped_targets(part, image)
            with self.device.autocast():
                verdict = self.discriminator(image).float().softmax(dim=1)
            right = [self._over(mask, verdict[:, kind : kind + 1]) for kind, mask in ((REAL, real), (FAKE, fake))]
            loss = 0.5 * ((1 - right[0]) + (1 - right[1]))
            (loss / len(parts)).backward()  # also without any such voxel: all processes must take part in the average
            mean += loss.item() / len(parts)
        self.device.average_gradients(self.discriminator)
        self.optimizers[1].step()
        return {"loss_discriminator": mean}

    def _over(self, mask: Tensor, values: Tensor) -> Tensor:
        """Mean of ``values`` over the voxels of ``mask`` in the batch of all processes."""
        return mean_over(values, mask, self.device)

    def _paint(self, canvas: Canvas) -> Tensor:
        """``x + a T change``, in window units, differentiable."""
        conditioned, route = not self.settings.has("unconditioned"), not self.settings.has("channel_routing")
        polarity = self.settings.painter.polarity
        change = learned_change(
            self.generator,
            canvas.image,
            canvas.alpha,
            canvas.organs,
            polarity,
            conditioned,
            route,
            self.settings.painter.smoothing,
        )
        return canvas.image + canvas.alpha * canvas.texture * change

    def _tumor_probability(self, classes: Tensor, organs: Tensor) -> Tensor:
        """Probability of the organ's own tumor class, or of any (published), (batch, 1, z, y, x)."""
        if self.settings.has("class_blind_loss"):
            return classes[:, 2::2].sum(dim=1, keepdim=True)
        codes = torch.tensor([tumor_code(int(organ)) for organ in organs], device=classes.device)
        return classes[torch.arange(len(classes), device=classes.device), codes].unsqueeze(1)


def mean_over(values: Tensor, mask: Tensor, device: Device) -> Tensor:
    """Mean of ``values`` over the voxels of ``mask``, over the batch of all processes; zero if there are none."""
    return device.total((values * mask).sum()) / (device.total(mask.sum()) + TINY)


def unremapped_targets(canvas: Canvas, painted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Image and masks that the published discriminator step sees (defect 3).

    Its labels are the study's codes, read as if they were collapsed: 1 organ, 2 real tumor, 3 fake. Only the first organ is
    then painted and marked; wherever the second organ lies, healthy voxels (code 3) count as fake.

    Returns:
        image, real and fake.
    """
    first = (canvas.organs == 0).to(painted.device).view(-1, 1, 1, 1, 1)
    image = torch.where(first, painted, canvas.image)
    real = canvas.label == tumor_code(0)
    fake = (canvas.fake & first) | (canvas.label == organ_code(1))
    return image, real, fake
