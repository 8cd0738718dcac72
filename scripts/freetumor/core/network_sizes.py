"""How large networks are, by their configuration alone: what memory and time are computed from, without torch.

Convolutions are added up one by one; of SwinUNETR and the diffusion networks, whose layers are many, the numbers are
polynomials in the channels. Tests compare all of them with the networks themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .config import Config, Diffusion, Network, Painter

KEPT = 3  # arrays that a training keeps of a convolution: its output, normalized, and after the activation
LEVELS = 4  # of `unet3d`
SIDE, KERNEL = 4, 25  # of the GAN: pixels of the coarsest map, and taps of its kernels
DENSE = 256  # of `roi_cnn`
SWIN_SLOWNESS = 2.2  # of `swin_unetr`, measured with 12, 24 and 48 channels


@dataclass(frozen=True)
class Size:
    """What a network has and does.

    Attributes:
        parameters: its weights.
        values: numbers that a training keeps of the forward pass, per voxel of the input.
        operations: multiplications of a forward pass, per voxel of the input.
        slowness: time of a pass, relative to that of convolutions with as many values and multiplications.
    """

    parameters: float = 0
    values: float = 0.0
    operations: float = 0.0
    slowness: float = 1.0

    def __add__(self, other: "Size") -> "Size":
        """Both, one after the other."""
        return Size(self.parameters + other.parameters, self.values + other.values, self.operations + other.operations)

    def __mul__(self, count: float) -> "Size":
        """So many of them."""
        return Size(self.parameters * count, self.values * count, self.operations * count)


def network_size(network: Network, inputs: int, outputs: int, size: int | None = None) -> Size:
    """The size of a network of ``core.config``.

    Args:
        network: name and channels.
        inputs: channels of the input.
        outputs: channels of the output.
        size: `roi_cnn` only: pixels per axis of the input.
    """
    if network.name == "roi_cnn":
        return _roi_cnn(network.channels, outputs, size or 1)
    return {"unet": _unet, "unet3d": _unet3d, "swin_unetr": _swin_unetr}[network.name](network, inputs, outputs)


def segmenter_size(network: Network, config: Config) -> Size:
    """The size of a network that tells the classes of a study apart, or its categories."""
    if config.task == "classification":
        return network_size(network, 1, len(config.categories), config.working.patch[1])
    return network_size(network, 1, 1 + 2 * len(config.organs))


def generator_sizes(painter: Painter, config: Config) -> tuple[Size, Size]:
    """The sizes of what paints, and of what only teaches it to; of the kinds of painters that are trained.

    Sizes of the diffusion are those of its autoencoder and its denoiser, which both paint.
    """
    if painter.kind == "diffusion":
        return diffusion_sizes(painter.diffusion)
    if painter.kind == "difference":
        return network_size(painter.network, 2, len(config.organs)), network_size(painter.network, 1, 3)
    return _gan(painter, config.working.patch[1], len(config.categories))


def convolution(a: int, b: int, share: float, taps: int = 27, kept: int = KEPT, norm: int = 2, reads: float = 1.0) -> Size:
    """A convolution from ``a`` to ``b`` channels, with its normalization and activation.

    Args:
        a: channels of the input.
        b: channels of the output.
        share: voxels of the output per voxel of the network's input.
        taps: of its kernel.
        kept: arrays of its output's size that a training keeps.
        norm: parameters of the normalization per channel.
        reads: places that the kernel is applied to per voxel of the output; fewer where it is transposed.
    """
    return Size(a * b * taps + b * (1 + norm), kept * b * share, a * b * taps * share * reads)


def _unet(network: Network, inputs: int, outputs: int) -> Size:
    """MONAI's UNet: every level but the last halves the axes, in its first convolution."""
    channels, units = network.channels, network.residual_units
    norm, last = (2 if network.norm == "batch" else 0), len(channels) - 1
    total = Size()
    for level, (a, b) in enumerate(pairwise([inputs, *channels])):
        share = 8.0 ** -min(level + 1, last)
        total += _activated(convolution(a, b, share, norm=norm))
        total += _activated(convolution(b, b, share, norm=norm)) * max(units - 1, 0)
        if units:  # what is added to their output
            total += convolution(a, b, share, taps=27 if level < last else 1, kept=1, norm=0)
    for level in reversed(range(last)):
        a = channels[level] + channels[last if level == last - 1 else level]
        b = channels[level - 1] if level else outputs
        share, top = 8.0**-level, level == 0
        joined = Size(values=a * share / 8)
        if units:
            total += joined + _activated(convolution(a, b, share, norm=norm, reads=1 / 8))
            total += convolution(b, b, share, kept=1, norm=0) if top else _activated(convolution(b, b, share, norm=norm))
        else:
            bare = convolution(a, b, share, kept=0, norm=0, reads=1 / 8)
            total += joined + (bare if top else _activated(convolution(a, b, share, norm=norm, reads=1 / 8)))
    return total


def _activated(size: Size) -> Size:
    """With the weight of its PReLU."""
    return replace(size, parameters=size.parameters + 1)


def _unet3d(network: Network, inputs: int, outputs: int) -> Size:
    """FreeTumor's U-Net, ``synthesizer.networks.UNet3D``; its activations overwrite what they see."""
    ends = [network.channels[0] * 2 ** (level + 1) for level in range(LEVELS)]
    total = Size()
    for level, (a, b) in enumerate(pairwise([inputs, *ends])):
        share = 8.0**-level
        total += convolution(a, b // 2, share, kept=2) + convolution(b // 2, b, share, kept=2)
    for level in reversed(range(LEVELS - 1)):
        below, here, share = ends[level + 1], ends[level], 8.0**-level
        total += convolution(below, below, share, taps=8, kept=1, norm=0, reads=1 / 8)
        total += Size(values=(below + here) * share)
        total += convolution(below + here, here, share, kept=2) + convolution(here, here, share, kept=2)
    return total + convolution(ends[0], outputs, 1.0, taps=1, kept=0, norm=0)


def _swin_unetr(network: Network, _: int, outputs: int) -> Size:
    """MONAI's SwinUNETR with checkpoints of its transformers, at one input channel.

    It keeps 73.5 + 15.7 values per channel; what a checkpoint is computed again for comes on top, by the memory measured.
    """
    width = network.channels[0]
    parameters = 31481 * width**2 + 667 * width + 197730 + (width + 1) * outputs
    return Size(parameters, 560 + 16 * width, 164 * width**2 + 414 * width, SWIN_SLOWNESS)


def _roi_cnn(channels: Sequence[int], outputs: int, size: int) -> Size:
    """The classifier of regions, ``synthesizer.networks.RoiCnn``."""
    total, left = Size(), size
    for a, b in pairwise((1, *channels)):
        left -= 2
        total += convolution(a, b, left**2 / size**2, taps=9, kept=2, norm=0)
        left //= 2
    flat = channels[-1] * left**2
    dense = flat * DENSE + DENSE * outputs
    return total + Size(dense + DENSE + outputs, (flat + DENSE) / size**2, dense / size**2)


def diffusion_sizes(settings: Diffusion) -> tuple[Size, Size]:
    """The sizes of the autoencoder and of the denoiser, of MONAI; about, and rather more than less."""
    autoencoder, denoiser = settings.autoencoder, settings.denoiser
    share = float(settings.autoencoder.fold) ** -3
    first = Size()
    for level, width in enumerate(autoencoder.channels):
        here = share * 8.0**-level
        first += Size(145 * width**2, (27 if level else 17) * width * here, (365 if level else 130) * width**2 * here)
    share *= 8.0 ** (1 - len(autoencoder.channels))
    second = Size()
    for level, width in enumerate(denoiser.channels):
        here = share * 8.0**-level
        second += Size(345 * width**2, 40 * width * here, 365 * width**2 * here)
    return first, second


def _gan(painter: Painter, side: int, categories: int) -> tuple[Size, Size]:
    """Generators and discriminators of whole images, ``synthesizer.gan_networks``; a pair per category of a `dcgan`."""
    stages = (side // SIDE).bit_length() - 1
    widths = [painter.width * 2**level for level in range(stages)]
    top, flat = 2 * widths[-1] * SIDE**2, widths[-1] * SIDE**2
    pairs, labels = (categories, 1) if painter.kind == "dcgan" else (1, 1 + categories)
    made = Size((painter.latent + 1) * top, top / side**2, painter.latent * top / side**2)
    made += Size(2 * 2 * widths[-1])  # its normalization
    for level, (a, b) in enumerate(pairwise([2 * width for width in reversed(widths)] + [1])):
        share, norm = 4.0 ** (level + 1 - stages), 2 if b > 1 else 0
        made += convolution(a, b, share, KERNEL, kept=2, norm=norm, reads=1 / 4)
    judged = Size(flat * labels + labels, operations=flat * labels / side**2)
    for level, (a, b) in enumerate(pairwise([1, *widths])):
        judged += convolution(a, b, 4.0 ** -(level + 1), KERNEL, kept=2, norm=2 if level else 0)
    embedding = Size(categories * painter.latent if painter.kind == "acgan" else 0)
    return made * pairs + embedding, judged * pairs
