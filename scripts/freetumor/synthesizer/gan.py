"""Generative adversarial networks of whole images of a category: their training, and ``make`` on an empty canvas.

Losses, with D the probability that an image is real and C the probability of its category::

    DCGAN, per category   L_D = -log D(x) - log(1 - D(G(z)))                       L_G = -log D(G(z))
    ACGAN                 L_D = ... - log C(c | x)                                 L_G = ... - log C(c' | G(z, c'))

This is ``D maximizes L_S + L_C, G maximizes L_C - L_S``, with the non-saturating form of ``L_S`` for G. The discriminator's
``L_C`` is over real images: when it also learns categories from generated ones, both networks agree on signs of a category that
real images do not have, and cysts come out as hemangiomas. A step updates the discriminator, then the generator on the same
latent vectors. No label smoothing, no averaging of weights: it was not needed.

Reference:
    Frid-Adar et al. 2018, section 3.2; Goodfellow et al. 2014; Radford et al. 2016; Odena et al. 2017.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from freetumor.core.config import Config, Painter
from freetumor.core.device import Device
from freetumor.core.distributed import separate_norms
from freetumor.core.epochs import batch_samples
from freetumor.core.optimization import learning_rate, set_learning_rate
from freetumor.core.seeding import derive_seed, generator

from .cases import Patch
from .gan_networks import Discriminator, discriminator, image_generator
from .painters import window_image
from .regions import Region, classic_group, plain
from .synthetic import ACCEPTED, SyntheticCase

CALIBRATION = (32, 128)  # batches, and images of each, over which the final statistics of the batch norms are taken


@dataclass(frozen=True)
class Pair:
    """A discriminator, what it has to tell from the generator, and the categories it sees.

    Attributes:
        generator: the part of the generator that learns from this discriminator.
        images: real images (samples, 1, n, n) in -1 to 1.
        categories: their categories (samples,).
        choices: categories that are generated.
    """

    generator: nn.Module
    discriminator: Discriminator
    images: Tensor
    categories: Tensor
    choices: Sequence[int]


class GanTraining:
    """Trains a generator and its discriminators in turn.

    Args:
        painter: kind, widths and optimization.
        config: the study.
        images: real images in HU, float32 (samples, n, n).
        categories: their categories (samples,).
        device: where to compute.
        key: seed key of the training.
    """

    def __init__(
        self, painter: Painter, config: Config, images: np.ndarray, categories: np.ndarray, device: Device, *key: str | int
    ) -> None:
        self.painter, self.config, self.device, self.key = painter, config, device, key
        self.generator = image_generator(painter, config, derive_seed(*key, "generator")).to(device.torch)
        scaled = torch.from_numpy(window_image(images, config.working.window) * 2 - 1)[:, None]
        self.pairs = PAIRS[painter.kind](self, scaled, torch.from_numpy(categories))
        for network in (self.generator, *(pair.discriminator for pair in self.pairs)):
            device.synchronize_norms(network)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), painter.training.learning_rate, betas=painter.betas)
            for pair in self.pairs
            for network in (pair.generator, pair.discriminator)
        ]

    def new_discriminator(self, name: str, outputs: int) -> Discriminator:
        """A discriminator whose first weights belong to ``name``."""
        return discriminator(self.painter, self.config, outputs, derive_seed(*self.key, "discriminator", name)).to(
            self.device.torch
        )

    def step(self, step: int) -> dict[str, float]:
        """One step of each pair on its own batch; the numbers are means over pairs."""
        for optimizer in self.optimizers:
            set_learning_rate(optimizer, learning_rate(self.painter.training, step))
        records = [self._pair_step(number, step) for number in range(len(self.pairs))]
        return {name: float(np.mean([record[name] for record in records])) for name in records[0]}

    def validate(self, step: int) -> dict[str, float]:
        """Nothing beyond the losses: what the generator makes is judged after synthesis."""
        return {}

    def state(self) -> dict[str, Any]:
        """All networks and optimizers."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator_state(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.generator.load_state_dict(state["generator"])
        self._discriminators().load_state_dict(state["discriminator"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def discriminator_state(self) -> dict[str, Tensor]:
        """The state of all discriminators."""
        return self._discriminators().state_dict()

    def generator_state(self) -> dict[str, Tensor]:
        """The state of the trained generator, with final statistics of its batch norms (:func:`calibrate`)."""
        return calibrate(self.generator, self.painter.latent, len(self.config.categories), *self.key).state_dict()

    def _discriminators(self) -> nn.ModuleList:
        return nn.ModuleList(pair.discriminator for pair in self.pairs)

    def _pair_step(self, number: int, step: int) -> dict[str, float]:
        pair = self.pairs[number]
        real, real_category, latent, category = self._batch(number, step)
        with self.device.autocast():
            made = self.generator(latent, category)
        judged = self._discriminator_step(number, real, real_category, made.detach(), category)
        pair.discriminator.requires_grad_(False)
        with self.device.autocast():
            logits = pair.discriminator(made).float()
        loss = source_loss(logits, real=True) + category_loss(logits, category)
        self._descend(2 * number, loss, pair.generator)
        pair.discriminator.requires_grad_(True)
        return {"loss_generator": loss.item(), **judged}

    def _discriminator_step(
        self, number: int, real: Tensor, real_category: Tensor, made: Tensor, category: Tensor
    ) -> dict[str, float]:
        network = self.pairs[number].discriminator
        with self.device.autocast():  # real and generated images are normalized apart, as batches of their own
            on_real, on_made = network(real).float(), network(made).float()
        loss = source_loss(on_real, real=True) + source_loss(on_made, real=False)
        loss = loss + category_loss(on_real, real_category)
        self._descend(2 * number + 1, loss, network)
        record = {
            "loss_discriminator": loss.item(),
            "real_found_real": on_real[:, 0].sigmoid().mean().item(),
            "synthetic_found_real": on_made[:, 0].sigmoid().mean().item(),
        }
        if on_made.shape[1] > 1:
            record["synthetic_category_found"] = (on_made[:, 1:].argmax(1) == category).float().mean().item()
        return record

    def _descend(self, place: int, loss: Tensor, network: nn.Module) -> None:
        self.optimizers[place].zero_grad(set_to_none=True)
        loss.backward()
        self.device.average_gradients(network)
        self.optimizers[place].step()

    def _batch(self, number: int, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Real images, their categories, latent vectors and categories to generate: a pure function of the arguments."""
        pair, size = self.pairs[number], self.painter.training.batch
        places = batch_samples((*self.key, "order", number), step, size, len(pair.images))
        rng = generator(*self.key, "latent", number, step)
        latent = torch.from_numpy(rng.uniform(-1, 1, (size, self.painter.latent)).astype(np.float32))
        category = torch.from_numpy(rng.choice(pair.choices, size))
        mine = list(self.device.mine(size))
        batch = pair.images[places][mine], pair.categories[places][mine], latent[mine], category[mine]
        return tuple(tensor.to(self.device.torch) for tensor in batch)


class ImageSynthesizer:
    """Makes whole images of a category on an empty canvas.

    Args:
        network: a trained generator in evaluation mode.
        latent: length of its latent vector.
        window: HU interval that -1 to 1 stand for.
        device: where the generator lives.
    """

    def __init__(self, network: nn.Module, latent: int, window: tuple[float, float], device: torch.device) -> None:
        self.network, self.latent, self.window, self.device = network, latent, window, device

    @torch.inference_mode()
    def make(self, patch: Patch, organ: int, rng: np.random.Generator) -> SyntheticCase:
        """Make an image of category number ``organ``; it depends on the category and ``rng`` alone.

        Args:
            patch: an empty canvas (1, n, n); it gives the place, not the content.
            organ: position in the categories of the study.
            rng: source of randomness.

        Raises:
            ValueError: if the canvas has another size than the generator's images.
        """
        latent = torch.from_numpy(rng.uniform(-1, 1, (1, self.latent)).astype(np.float32)).to(self.device)
        made = self.network(latent, torch.tensor([organ], device=self.device))[0].float().cpu().numpy()
        if made.shape != patch.image.shape:
            raise ValueError(f"expected a canvas of {made.shape} voxels, got {patch.image.shape}")
        low, high = self.window
        image = np.rint(low + (made + 1) / 2 * (high - low)).astype(np.int16)
        return SyntheticCase(ACCEPTED, organ, 1, patch, image, np.ones(image.shape, bool))


def training_images(regions: Sequence[Region], group: int, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """What a generator learns from: the regions as they are, and a classic group of ``group`` samples.

    Returns:
        Images (samples, n, n) float32 HU and their categories (samples,).
    """
    images, categories = classic_group(regions, group, config)
    originals = [plain(region, config) for region in regions]
    return np.concatenate([originals, images]), np.concatenate([[region.category for region in regions], categories])


def seen_apart(kind: str, categories: int) -> int:
    """Into how many trainings of their own a painter divides its samples."""
    return categories if PAIRS[kind] is _separate else 1


@torch.no_grad()
def calibrate(network: nn.Module, latent: int, categories: int, *key: str | int) -> nn.Module:
    """A copy of a generator in evaluation mode whose batch norms hold the plain mean of their statistics over many batches.

    While training they hold a mean over the last few steps, of networks that no longer exist.

    Args:
        network: the generator.
        latent: length of its latent vector.
        categories: all of them are generated equally often.
        key: seed key of the latent vectors.
    """
    network = copy.deepcopy(network).train()
    separate_norms(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    device = next(network.parameters()).device
    count, size = CALIBRATION
    category = torch.arange(size * categories, device=device) % categories
    for number in range(count):
        vectors = generator(*key, "calibration", number).uniform(-1, 1, (len(category), latent)).astype(np.float32)
        network(torch.from_numpy(vectors).to(device), category)
    return network.eval()


def source_loss(logits: Tensor, real: bool) -> Tensor:
    """Mean cross-entropy of the answers (batch, outputs) to the question whether the images are real."""
    return binary_cross_entropy_with_logits(logits[:, 0], torch.full_like(logits[:, 0], float(real)))


def category_loss(logits: Tensor, category: Tensor) -> Tensor:
    """Mean cross-entropy of the answers to the question of the category; zero for a discriminator without that head."""
    return cross_entropy(logits[:, 1:], category) if logits.shape[1] > 1 else logits.new_zeros(())


def _separate(training: GanTraining, images: Tensor, categories: Tensor) -> list[Pair]:
    """A generator and a discriminator per category."""
    pairs = []
    for index, name in enumerate(training.config.categories):
        chosen = categories == index
        member, judge = training.generator.members[index], training.new_discriminator(name, 1)
        pairs.append(Pair(member, judge, images[chosen], categories[chosen], [index]))
    return pairs


def _conditional(training: GanTraining, images: Tensor, categories: Tensor) -> list[Pair]:
    """One generator, and one discriminator that also tells the category."""
    count = len(training.config.categories)
    network = training.new_discriminator("all", 1 + count)
    return [Pair(training.generator, network, images, categories, range(count))]


PAIRS: dict[str, Callable[[GanTraining, Tensor, Tensor], list[Pair]]] = {"dcgan": _separate, "acgan": _conditional}
