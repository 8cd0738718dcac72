"""Networks by name: MONAI's where it has them, and the max-pooling 3-D U-Net of FreeTumor, at any width.

Imports of MONAI take seconds, so they happen when one of its networks is asked for.
"""

import torch
from torch import Tensor, nn

from freetumor.core.config import Network


def build_network(
    network: Network, in_channels: int, out_channels: int, seed: int, batch_statistics: bool = False
) -> nn.Module:
    """Build a network with weights drawn from ``seed``; the global generator is left as it was.

    Args:
        network: name and size.
        in_channels: channels of the input.
        out_channels: channels of the output (logits).
        seed: seed of the weights.
        batch_statistics: `unet3d` only: normalize by batch statistics, also at inference, as published.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[network.name](network, in_channels, out_channels, batch_statistics)


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
        self.pool = nn.MaxPool3d(2)
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


def _unet3d(network: Network, in_channels: int, out_channels: int, batch_statistics: bool) -> nn.Module:
    return UNet3D(in_channels, out_channels, network.channels[0], batch_statistics)


def _unet(network: Network, in_channels: int, out_channels: int, _: bool) -> nn.Module:
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


def _swin_unetr(network: Network, in_channels: int, out_channels: int, _: bool) -> nn.Module:
    from monai.networks.nets.swin_unetr import SwinUNETR

    return SwinUNETR(
        in_channels=in_channels,
        out_channels=out_channels,
        feature_size=network.channels[0],
        use_v2=True,
        use_checkpoint=True,
    )


_BUILDERS = {"unet": _unet, "unet3d": _unet3d, "swin_unetr": _swin_unetr}
