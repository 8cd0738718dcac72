"""Networks by name: MONAI's where it has them, the max-pooling 3-D U-Net of FreeTumor, and the region classifier of Frid-Adar.

Imports of MONAI take seconds, so they happen when one of its networks is asked for.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from freetumor.core.config import Config, Network
from freetumor.core.errors import UserError
from freetumor.core.weights import load_weights

from .pooling import MaxPool3d


def build_network(
    network: Network,
    in_channels: int,
    out_channels: int,
    seed: int,
    batch_statistics: bool = False,
    size: int | None = None,
) -> nn.Module:
    """Build a network with weights drawn from ``seed``; the global generator is left as it was.

    Args:
        network: name and size.
        in_channels: channels of the input.
        out_channels: channels of the output (logits).
        seed: seed of the weights.
        batch_statistics: `unet3d` only: normalize by batch statistics, also at inference, as published.
        size: `roi_cnn` only: pixels per axis of the input.

    Raises:
        UserError: if ``size`` is too small for the network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[network.name](network, in_channels, out_channels, batch_statistics, size)


def load_network(path: str | Path, network: nn.Module, config: Config, device: torch.device) -> nn.Module:
    """Load weights into ``network``, frozen, in evaluation mode.

    Raises:
        UserError: if the weights do not fit the network, or were trained for other structures or another preset.
    """
    state, description = load_weights(path)
    for key, had in description.get("fits", {}).items():
        if had != config.fits.get(key):
            raise UserError(f"{path}: was trained for {key} {had}, but the study has {config.fits.get(key)}; train it again")
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path}: the weights do not fit the network of the configuration; train it again") from error
    return network.to(device).eval().requires_grad_(False)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


class BatchStatistics(nn.BatchNorm3d):
    """Batch normalization that uses the statistics of the batch, also at inference (published defect 11)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` (batch, channels, z, y, x) by its own mean and variance."""
        return nn.functional.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class UNet3D(nn.Module):
    """The 3-D U-Net of FreeTumor's generator and discriminator.

    Three max-poolings; the two 3 x 3 x 3 convolutions of encoder level i give ``w 2^i`` and ``w 2^(i+1)`` channels; the decoder
    upsamples by 2 x 2 x 2 transposed convolution and concatenates the skip. With ``w = 32`` it has 19.07 M parameters.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: ``w``; 32 in the paper.
        batch_statistics: normalize by batch statistics always, as published, instead of per instance.

    Reference:
        Wu et al. 2025, released code; layer sizes recorded in docs/differences.md.
    """

    LEVELS = 4

    def __init__(self, in_channels: int, out_channels: int, width: int = 32, batch_statistics: bool = False) -> None:
        super().__init__()

        def block(inputs: int, middle: int, outputs: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for a, b in ((inputs, middle), (middle, outputs)):
                norm = BatchStatistics(b) if batch_statistics else nn.InstanceNorm3d(b, affine=True)
                layers += [nn.Conv3d(a, b, 3, padding=1), norm, nn.ReLU(inplace=True)]
            return nn.Sequential(*layers)

        ends = [width * 2 ** (level + 1) for level in range(self.LEVELS)]
        starts = [in_channels, *ends[:-1]]
        self.encoders = nn.ModuleList(block(a, b // 2, b) for a, b in zip(starts, ends, strict=True))
        self.pool = MaxPool3d()
        self.raise_ = nn.ModuleList(nn.ConvTranspose3d(c, c, 2, stride=2) for c in reversed(ends[1:]))
        self.decoders = nn.ModuleList(block(b + a, a, a) for a, b in zip(reversed(ends[:-1]), reversed(ends[1:]), strict=True))
        self.head = nn.Conv3d(ends[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, z, y, x) to (batch, out_channels, z, y, x); sizes are multiples of 8."""
        skips = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(x if level == 0 else self.pool(x))
            skips.append(x)
        for upsample, decoder, skip in zip(self.raise_, self.decoders, reversed(skips[:-1]), strict=True):
            x = decoder(torch.cat([skip, upsample(x)], dim=1))
        return self.head(x)


class RoiCnn(nn.Module):
    """The classifier of regions of interest: three unpadded 3 x 3 convolutions, each with a max-pooling, and two dense layers.

    At 64 x 64 pixels, with 32, 64 and 128 channels and three categories it has 1,273,347 parameters. Weights are drawn by
    Glorot and biases are zero, as in the published framework.

    Args:
        in_channels: channels of the input.
        categories: number of outputs.
        size: pixels per axis of the input.
        channels: of the three convolutions.

    Attributes:
        mean: what is subtracted from every input: the mean of the training set, stored with the weights.

    Raises:
        UserError: if nothing of the input is left after the convolutions.

    Reference:
        Frid-Adar et al. 2018, section 2.2 and figure 2; that the convolutions are unpadded follows from the number of
        parameters. Glorot et al. 2010 for the weights.
    """

    DENSE, DROPOUT = 256, 0.5

    def __init__(self, in_channels: int, categories: int, size: int, channels: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        layers: list[nn.Module] = []
        left = size
        for a, b in itertools.pairwise((in_channels, *channels)):
            layers += [nn.Conv2d(a, b, 3), nn.ReLU(), nn.MaxPool2d(2)]
            left = (left - 2) // 2
        if left < 1:
            raise UserError(f"patch: 'roi_cnn' needs regions of at least 22 x 22 pixels, got {size} x {size}")
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.dense = nn.Sequential(nn.Linear(channels[-1] * left**2, self.DENSE), nn.ReLU())
        self.dropout = nn.Dropout(self.DROPOUT)
        self.head = nn.Linear(self.DENSE, categories)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> Tensor:
        """The last layer before the categories: (batch, 256) of images (batch, in_channels, size, size) in 0 to 1."""
        return self.dense(self.convolutions(x - self.mean))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, categories) of images (batch, in_channels, size, size) in 0 to 1."""
        return self.head(self.dropout(self.features(x)))


def _unet3d(network: Network, in_channels: int, out_channels: int, batch_statistics: bool, _: int | None) -> nn.Module:
    return UNet3D(in_channels, out_channels, network.channels[0], batch_statistics)


def _unet(network: Network, in_channels: int, out_channels: int, *_: object) -> nn.Module:
    from monai.networks.nets.unet import UNet

    return UNet(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        channels=network.channels,
        strides=[2] * (len(network.channels) - 1),
        num_res_units=network.residual_units,
        norm=network.norm,
    )


def _swin_unetr(network: Network, in_channels: int, out_channels: int, *_: object) -> nn.Module:
    from monai.networks.nets.swin_unetr import SwinUNETR

    return SwinUNETR(
        in_channels=in_channels,
        out_channels=out_channels,
        feature_size=network.channels[0],
        use_v2=True,
        use_checkpoint=True,
    )


def _roi_cnn(network: Network, in_channels: int, out_channels: int, _: bool, size: int | None) -> nn.Module:
    if size is None:
        raise ValueError("'roi_cnn' needs the size of its input")
    return RoiCnn(in_channels, out_channels, size, network.channels)


_BUILDERS = {"unet": _unet, "unet3d": _unet3d, "swin_unetr": _swin_unetr, "roi_cnn": _roi_cnn}
