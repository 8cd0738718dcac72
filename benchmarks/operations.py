"""Floating-point operations of the networks of a study, counted without computing them.

A multiplication and an addition are two operations. Convolutions and matrix products are counted, by torch, on shapes alone.
"""

import math
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from freetumor.core.config import Config, Network, Training
from freetumor.core.labels import class_names
from freetumor.synthesizer.networks import build_network
from freetumor.synthesizer.painters import generator_inputs

TERA = 1e12
Size = tuple[int, int, int]


@cache
def _network(name: str, channels: tuple[int, ...], units: int, inputs: int, outputs: int) -> torch.nn.Module:
    network = Network(name=name, channels=list(channels), residual_units=units)
    return build_network(network, inputs, outputs, seed=0).to("meta")


def operations(network: Network, inputs: int, outputs: int, patch: Size, backward: bool = False) -> float:
    """10^12 operations of one patch (z, y, x) through a network, forward, or forward and backward."""
    built = _network(network.name, tuple(network.channels), network.residual_units, inputs, outputs)
    patches = torch.empty(1, inputs, *patch, device="meta")
    with FlopCounterMode(display=False) as counter:
        result = built(patches)
        if backward:
            result.sum().backward()
    return counter.get_total_flops() / TERA


class Study:
    """Operations of a study's jobs, in 10^12.

    Args:
        config: the study; a segmentation.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.patch, self.classes = config, config.working.patch, len(class_names(config.organs))

    def recognizer(self) -> float:
        """A training of a recognizer, without validation and without painting."""
        return self._supervised(self.config.recognition.network, self.config.recognition.training)

    def segmenter(self) -> float:
        """The training of the segmenter, without validation."""
        return self._supervised(self.config.segmenter.network, self.config.segmenter.training)

    def generator(self, name: str) -> float | None:
        """The adversarial training of a synthesizer; None for another kind of training.

        Gradients go through the segmenter and the discriminator to the generator (forward and half of backward), then through
        the discriminator twice, for its own weights.
        """
        painter = self.config.synthesizers[name].painter
        if painter.kind != "difference":
            return None
        conditioned = generator_inputs(not self.config.synthesizers[name].has("unconditioned"))
        own = operations(painter.network, conditioned, len(self.config.organs), self.patch, backward=True)
        judge = self._through(self.config.segmenter.network, self.classes)
        critic = self._through(painter.network, 3) + operations(painter.network, 1, 3, self.patch, backward=True)
        return painter.training.steps * painter.training.batch * (own + judge + critic)

    def lesion(self, name: str) -> float | None:
        """One attempt at a lesion: generator and judge, forward; None for networks that are not counted here."""
        settings = self.config.synthesizers[name]
        if settings.painter.kind not in ("difference", "constant", "states", "transplant"):
            return None
        judge = operations(self.config.segmenter.network, 1, self.classes, self.patch) if settings.judged else 0.0
        if settings.painter.kind != "difference":
            return judge
        inputs = generator_inputs(not settings.has("unconditioned"))
        return judge + operations(settings.painter.network, inputs, len(self.config.organs), self.patch)

    def prediction(self, voxels: float) -> float:
        """A volume of ``voxels`` stored voxels through the recognizer, in windows of the patch that overlap."""
        share = (1 - self.config.recognition.overlap) ** 3
        windows = voxels / math.prod(self.patch) / share
        return windows * operations(self.config.recognition.network, 1, self.classes, self.patch)

    def _supervised(self, network: Network, training: Training) -> float:
        return training.steps * training.batch * operations(network, 1, self.classes, self.patch, backward=True)

    def _through(self, network: Network, outputs: int) -> float:
        """Forward, and the gradient of the input alone."""
        forward = operations(network, 1, outputs, self.patch)
        both = operations(network, 1, outputs, self.patch, backward=True)
        return forward + (both - forward) / 2
