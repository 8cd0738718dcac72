"""Building networks and synthesizers from the configuration and trained weights."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from freetumor.core.config import Config, Network, Synthesizer
from freetumor.core.errors import UserError
from freetumor.core.labels import class_names
from freetumor.core.seeding import generator

from .automaton_shape import AutomatonShape
from .calibration import real_lesions
from .cases import Case
from .diffusion import DiffusionPainter
from .diffusion_networks import diffusion_network
from .gan import ImageSynthesizer
from .gan_networks import image_generator
from .gates import ComposedGate, Listener, build_gate
from .networks import build_network, load_network
from .painters import ConstantPainter, DifferencePainter, TransplantPainter, generator_inputs
from .shapes import EllipsoidShape, RealShape
from .states import StatesPainter
from .synthetic import Painting, Shaping
from .tumor import RIM_SIGMAS, TumorSynthesizer


def segmenter_network(network: Network, config: Config, seed: int) -> nn.Module:
    """A segmentation network of the study: one input channel, one output per class."""
    return build_network(network, 1, len(class_names(config.organs)), seed)


def load_segmenter(path: str | Path, network: Network, config: Config, device: torch.device) -> nn.Module:
    """Load a trained segmentation network, frozen, in evaluation mode.

    Raises:
        UserError: if the weights do not fit the network.
    """
    return load_network(path, segmenter_network(network, config, seed=0), config, device)


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
    held_out: Sequence[Case] = (),
) -> TumorSynthesizer | ImageSynthesizer:
    """Build the synthesizer ``name`` of the configuration.

    Args:
        name: key of ``synthesizers``.
        config: the study.
        donors: labeled training cases, for shapes and pixels of real lesions.
        device: where networks run.
        weights: the trained generator, if the painter has one.
        segmenter: the trained segmenter, if the gate needs it.
        held_out: labeled validation cases, if the gate ranks lesions among real ones.

    Raises:
        UserError: if weights are missing or do not fit.
    """
    settings = config.synthesizers[name]
    for path, needed, what in ((weights, settings.trained, "generator"), (segmenter, settings.judged, "segmenter")):
        if needed and path is None:
            raise UserError(f"synthesizers.{name}: needs the trained {what}")
    if settings.whole_image:
        network = load_network(weights, image_generator(settings.painter, config, seed=0), config, device)
        return ImageSynthesizer(network, settings.painter.latent, config.working.window, device)
    shape = build_shape(settings, config.organs, donors)
    painter = PAINTERS[settings.painter.kind](settings, config, device, weights)
    judge = load_segmenter(segmenter, config.segmenter.network, config, device) if settings.judged else None
    critic = load_critic(settings, config, weights, device) if settings.gate.asks("discriminator") else None
    real = list(real_lesions(donors, config.organs)) if settings.gate.compares(config.organs) else []
    gate = build_gate(settings, config.organs, config.working.window, device, judge, critic, real)
    spacing = None if painter.local and gate.local else config.working.spacing
    synthesizer = TumorSynthesizer(settings, config.working.patch, shape, painter, gate, spacing)
    if isinstance(gate, ComposedGate):
        _calibrate(gate, synthesizer, name, config, donors, held_out)
    return synthesizer


def _calibrate(
    gate: ComposedGate,
    synthesizer: TumorSynthesizer,
    name: str,
    config: Config,
    donors: Sequence[Case],
    held_out: Sequence[Case],
) -> None:
    """Give a fair gate lesions to rank others among: real ones that no training has seen, or draws of the synthesizer."""
    if synthesizer.settings.gate.fair_among("real"):
        lesions = real_lesions(held_out, config.organs, config.working.patch)
        gate.calibrate("real", [row for lesion in lesions for row in gate.measure([lesion])])
    if synthesizer.settings.gate.fair_among("draws"):
        listener = Listener(gate)
        draft = TumorSynthesizer(synthesizer.settings, synthesizer.window, synthesizer.shape, synthesizer.painter, listener)
        for organ, title in enumerate(config.organs):
            canvases = [case for case in donors if title in case.organs]
            for draw in range(synthesizer.settings.gate.reference_draws if canvases else 0):
                rng = generator(config.seed, "gate", name, title, draw)
                draft.make(canvases[rng.integers(len(canvases))], organ, rng)
        gate.calibrate("draws", listener.measured)


def load_critic(settings: Synthesizer, config: Config, weights: str | Path, device: torch.device) -> nn.Module:
    """The discriminator that taught a painter; its weights lie beside the generator's."""
    network = build_network(settings.painter.network, 1, 3, 0, settings.has("batch_statistics"))
    return load_network(Path(weights).with_name("discriminator.safetensors"), network, config, device)


def untrained(settings: Synthesizer, organs: Sequence[str] = ("organ",)) -> TumorSynthesizer:
    """A synthesizer that needs no training and no study.

    Raises:
        UserError: if a part of it has to be trained, or needs real lesions.
    """
    if settings.trained or settings.judged or settings.shape.kind == "real" or settings.gate.compares(organs):
        raise UserError(
            f"synthesizer: the painter '{settings.painter.kind}', the shape '{settings.shape.kind}' and the gate "
            f"'{settings.gate.kind}' need a trained study; expected parts that need no training"
        )
    painter = PAINTERS[settings.painter.kind](settings, None, torch.device("cpu"), None)
    gate = build_gate(settings, organs, (0.0, 1.0), torch.device("cpu"))
    return TumorSynthesizer(settings, (1, 1, 1), build_shape(settings, organs, ()), painter, gate)


def build_shape(settings: Synthesizer, organs: Sequence[str], donors: Sequence[Case]) -> Shaping:
    """The shape of a synthesizer."""
    rim = RIM_SIGMAS * settings.compositor.blur[1]
    if settings.shape.kind == "real":
        return RealShape(donors, organs, settings.placement, rim)
    if settings.shape.kind == "automaton":
        return AutomatonShape(settings.shape, settings.placement, organs, rim)
    return EllipsoidShape(settings.shape, settings.placement, organs, rim)


def _constant(settings: Synthesizer, *_: object) -> Painting:
    return ConstantPainter(settings.painter, settings.texture)


def _states(settings: Synthesizer, *_: object) -> Painting:
    return StatesPainter(settings.painter, settings.texture)


def _transplant(*_: object) -> Painting:
    return TransplantPainter()


def _difference(settings: Synthesizer, config: Config, device: torch.device, weights: str | Path) -> Painting:
    network = load_network(weights, generator_network(settings, config, seed=0), config, device)
    conditioned, route = not settings.has("unconditioned"), not settings.has("channel_routing")
    return DifferencePainter(network, settings.painter, settings.texture, config.working.window, conditioned, route, device)


def _diffusion(settings: Synthesizer, config: Config, device: torch.device, weights: str | Path) -> Painting:
    diffusion = settings.painter.diffusion
    network = load_network(weights, diffusion_network(diffusion, len(config.organs), seed=0), config, device)
    return DiffusionPainter(network, diffusion, config.working.window, device)


PAINTERS: dict[str, Callable[..., Painting]] = {
    "constant": _constant,
    "states": _states,
    "transplant": _transplant,
    "difference": _difference,
    "diffusion": _diffusion,
}
