"""Generators and discriminators of square single-channel images, as published, at any width.

An image of n = 4 * 2^s pixels per side takes s stages of 5 x 5 convolutions with stride 2; n = 64 of the paper takes four. The
discriminator's first stage has ``width`` channels and each further one twice as many; the generator mirrors it. With width 64
at 64 x 64 the generator has 18,865,921 parameters and the discriminator 4,313,345.

Images are (batch, 1, n, n) in -1 to 1; latent vectors (batch, latent) uniform in -1 to 1; categories int64 (batch,).

Reference:
    Frid-Adar et al. 2018, section 3.2 and figures 4 and 5; Radford et al. 2016; Odena et al. 2017.
"""

import itertools
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from freetumor.core.config import Config, Painter
from freetumor.core.errors import UserError

Network = TypeVar("Network", bound=nn.Module)

START = 4  # pixels per side of the coarsest feature map
KERNEL = {"kernel_size": 5, "stride": 2, "padding": 2}
SPREAD = 0.02  # standard deviation of the first weights


class Generator(nn.Module):
    """A DCGAN generator: dense to 4 x 4, then transposed convolutions that double the side; batch norm, ReLU, tanh.

    Args:
        inputs: length of the input vector.
        stages: transposed convolutions.
        width: channels before the last of them are ``2 * width``.
    """

    def __init__(self, inputs: int, stages: int, width: int) -> None:
        super().__init__()
        self.channels = [width * 2 ** (stages - level) for level in range(stages)]
        self.dense = nn.Linear(inputs, self.channels[0] * START * START)
        layers: list[nn.Module] = [nn.BatchNorm2d(self.channels[0]), nn.ReLU(inplace=True)]
        for a, b in itertools.pairwise(self.channels):
            layers += [nn.ConvTranspose2d(a, b, **KERNEL, output_padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(self.channels[-1], 1, **KERNEL, output_padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, vector: Tensor) -> Tensor:
        """Map (batch, inputs) to images (batch, 1, n, n)."""
        return self.layers(self.dense(vector).unflatten(1, (self.channels[0], START, START)))


class Discriminator(nn.Module):
    """A DCGAN discriminator: strided convolutions, leaky ReLU 0.2, batch norm but in the first stage and the output.

    Args:
        stages: convolutions.
        width: channels of the first.
        outputs: logits of an image.
    """

    def __init__(self, stages: int, width: int, outputs: int) -> None:
        super().__init__()
        channels = [1, *(width * 2**level for level in range(stages))]
        layers: list[nn.Module] = []
        for level, (a, b) in enumerate(itertools.pairwise(channels)):
            norm = [nn.BatchNorm2d(b)] if level else []
            layers += [nn.Conv2d(a, b, **KERNEL), *norm, nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * START * START, outputs))

    def forward(self, image: Tensor) -> Tensor:
        """Map images (batch, 1, n, n) to logits (batch, outputs); the first says real, the others the category."""
        return self.layers(image)


class SeparateGenerators(nn.Module):
    """A generator per category; each sees its own category alone."""

    def __init__(self, categories: int, latent: int, stages: int, width: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(Generator(latent, stages, width) for _ in range(categories))

    def forward(self, latent: Tensor, category: Tensor) -> Tensor:
        """Images (batch, 1, n, n) of the given categories."""
        made: Tensor | None = None
        for index in category.unique().tolist():
            chosen = category == index
            images = self.members[index](latent[chosen])
            made = images.new_zeros(len(latent), *images.shape[1:]) if made is None else made
            made = made.masked_scatter(chosen.view(-1, 1, 1, 1), images)
        return made


class ConditionalGenerator(nn.Module):
    """One generator that is told the category by an embedding, with which the latent vector is multiplied."""

    def __init__(self, categories: int, latent: int, stages: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(categories, latent)
        self.generator = Generator(latent, stages, width)

    def forward(self, latent: Tensor, category: Tensor) -> Tensor:
        """Images (batch, 1, n, n) of the given categories."""
        return self.generator(latent * self.embedding(category))


GENERATORS: dict[str, Callable[[int, int, int, int], nn.Module]] = {"dcgan": SeparateGenerators, "acgan": ConditionalGenerator}


def image_generator(painter: Painter, config: Config, seed: int) -> nn.Module:
    """The generator of a painter of whole images: ``(latent, category) -> images``, with weights drawn from ``seed``.

    Raises:
        UserError: if the patch is not 4 times a power of two.
    """
    make, stages = GENERATORS[painter.kind], count_stages(painter.kind, config)
    return draw_weights(lambda: make(len(config.categories), painter.latent, stages, painter.width), seed)


def discriminator(painter: Painter, config: Config, outputs: int, seed: int) -> Discriminator:
    """A discriminator of the study's images with ``outputs`` logits and weights drawn from ``seed``."""
    stages = count_stages(painter.kind, config)
    return draw_weights(lambda: Discriminator(stages, painter.width, outputs), seed)


def count_stages(kind: str, config: Config) -> int:
    """Stages between 4 x 4 and the study's patch.

    Raises:
        UserError: if the patch is not 4 times a power of two.
    """
    side = config.working.patch[1]
    stages = (side // START).bit_length() - 1
    if side != START * 2**stages or stages < 1:
        raise UserError(f"presets.{config.preset}.patch: '{kind}' makes images of 8, 16, 32, 64 ... pixels a side, not {side}")
    return stages


def draw_weights(build: Callable[[], Network], seed: int) -> Network:
    """Build a network and draw its weights from N(0, 0.02), scales of norms from N(1, 0.02), embeddings from N(0, 1).

    The global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, SPREAD)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, SPREAD)
        return network
