"""A synthesizer: shape, texture, painter, compositor and gate behind one call, ``make(patch, organ, rng)``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from freetumor.core.config import Config, Network, Synthesizer
from freetumor.core.errors import UserError
from freetumor.core.labels import class_names, tumor_code
from freetumor.core.weights import load_weights

from .cases import Case, Patch, organ_mask
from .compositor import composite, soften
from .gan import ImageSynthesizer
from .gan_networks import image_generator
from .gates import Judging, OpenGate, SegmenterGate
from .networks import build_network
from .painters import ConstantPainter, DifferencePainter, Painting, TransplantPainter, generator_inputs
from .shapes import EllipsoidShape, RealShape
from .synthetic import ACCEPTED, EMPTY, NO_PLACE, REFUSED, SyntheticCase


class TumorSynthesizer:
    """Paints a lesion into an organ.

    Args:
        settings: the combination of parts.
        shape: draws masks.
        painter: renders.
        gate: keeps or refuses.
    """

    def __init__(self, settings: Synthesizer, shape: EllipsoidShape | RealShape, painter: Painting, gate: Judging) -> None:
        self.settings, self.shape, self.painter, self.gate = settings, shape, painter, gate
        self.blurred_rim = settings.has("blurred_rim")
        self.attempts = 1 if settings.has("recall_gate") else settings.gate.attempts

    def make(self, patch: Patch, organ: int, rng: np.random.Generator) -> SyntheticCase:
        """Paint one lesion into organ number ``organ`` of ``patch``.

        The result depends on the arguments alone: not on other patches, shards or workers. A refused lesion is drawn again
        in the size class first chosen: a gate that favors large lesions would otherwise turn small draws into large ones.
        """
        chosen = self.shape.choose(organ, rng)
        outcome, score, parameters = NO_PLACE, float("nan"), chosen
        for attempt in range(1, self.attempts + 1):
            mask = self.shape.draw(patch, organ, rng, chosen)
            if mask is None:
                continue
            host = organ_mask(patch.label, organ)
            sigma = rng.uniform(*self.settings.compositor.blur)
            alpha = soften(mask.array, host, patch.spacing, sigma, self.blurred_rim)
            rendered, drawn = self.painter.render(patch, organ, mask, alpha, rng)
            result = composite(patch.image, rendered, alpha, mask.array, self.settings.compositor.tolerance, self.blurred_rim)
            parameters = {**mask.parameters, **drawn, "blur_mm": round(sigma, 3)}
            if not result.lesion.any():
                outcome = EMPTY
                continue
            score = self.gate.score(result.image, result.lesion, organ)
            if score < self.gate.threshold:
                outcome = REFUSED
                continue
            label = patch.label.copy()
            label[result.lesion] = tumor_code(organ)
            return SyntheticCase(result.image, label, result.lesion, ACCEPTED, organ, attempt, score, parameters)
        nothing = np.zeros(patch.image.shape, bool)
        return SyntheticCase(patch.image, patch.label, nothing, outcome, organ, self.attempts, score, parameters)


def segmenter_network(network: Network, config: Config, seed: int) -> nn.Module:
    """A segmentation network of the study: one input channel, one output per class."""
    return build_network(network, 1, len(class_names(config.organs)), seed)


def load_segmenter(path: str | Path, network: Network, config: Config, device: torch.device) -> nn.Module:
    """Load a trained segmentation network, frozen, in evaluation mode.

    Raises:
        UserError: if the weights do not fit the network.
    """
    return load_network(path, segmenter_network(network, config, seed=0), device)


def load_network(path: str | Path, network: nn.Module, device: torch.device) -> nn.Module:
    """Load weights into ``network``, frozen, in evaluation mode.

    Raises:
        UserError: if the weights do not fit the network.
    """
    state, _ = load_weights(path)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path}: the weights do not fit the network of the configuration ({error})") from error
    return network.to(device).eval().requires_grad_(False)


def generator_network(settings: Synthesizer, config: Config, seed: int) -> nn.Module:
    """The generator: one output channel per organ."""
    inputs = generator_inputs(not settings.has("unconditioned"))
    return build_network(settings.painter.network, inputs, len(config.organs), seed, settings.has("batch_statistics"))


def assemble(
    name: str,
    config: Config,
    donors: Sequence[Case],
    device: torch.device,
    weights: str | Path | None = None,
    segmenter: str | Path | None = None,
) -> TumorSynthesizer | ImageSynthesizer:
    """Build the synthesizer ``name`` of the configuration.

    Args:
        name: key of ``synthesizers``.
        config: the study.
        donors: labeled training cases, for shapes and pixels of real lesions.
        device: where networks run.
        weights: the trained generator, if the painter has one.
        segmenter: the trained segmenter, if the gate needs it.

    Raises:
        UserError: if weights are missing or do not fit.
    """
    settings = config.synthesizers[name]
    window = config.working.window
    for path, needed, what in ((weights, settings.trained, "generator"), (segmenter, settings.judged, "segmenter")):
        if needed and path is None:
            raise UserError(f"synthesizers.{name}: needs the trained {what}")
    if settings.whole_image:
        generator = load_network(weights, image_generator(settings.painter, config, seed=0), device)
        return ImageSynthesizer(generator, settings.painter.latent, window, device)
    shape = RealShape(donors, config.organs) if settings.shape.kind == "real" else EllipsoidShape(settings.shape)
    painter: Painting
    if settings.painter.kind == "difference":
        generator = load_network(weights, generator_network(settings, config, seed=0), device)
        conditioned, route = not settings.has("unconditioned"), not settings.has("channel_routing")
        painter = DifferencePainter(generator, settings.painter, settings.texture, window, conditioned, route, device)
    elif settings.painter.kind == "transplant":
        painter = TransplantPainter()
    else:
        painter = ConstantPainter(settings.painter, settings.texture)
    gate: Judging = OpenGate()
    if settings.judged:
        network = load_segmenter(segmenter, config.segmenter.network, config, device)
        gate = SegmenterGate(network, settings.gate, window, device, settings.has("recall_gate"))
    return TumorSynthesizer(settings, shape, painter, gate)
