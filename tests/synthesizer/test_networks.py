"""Networks have the published sizes, weights from their seed alone, and fit the patches the configuration admits."""

import pytest
import torch

from freetumor.core.config import Network
from freetumor.synthesizer.networks import BatchStatistics, UNet3D, build_network, count_parameters


def test_the_paper_s_u_net_has_19_07_million_parameters():
    """Wu et al. 2025: G and D, one input channel, three output channels; also counted by hand from the layer sizes."""

    def convolution(a, b, kernel):
        return a * b * kernel**3 + b

    def block(a, middle, b):
        return convolution(a, middle, 3) + 2 * middle + convolution(middle, b, 3) + 2 * b

    encoder = block(1, 32, 64) + block(64, 64, 128) + block(128, 128, 256) + block(256, 256, 512)
    upsampling = sum(convolution(c, c, 2) for c in (512, 256, 128))
    decoder = block(512 + 256, 256, 256) + block(256 + 128, 128, 128) + block(128 + 64, 64, 64)
    count = count_parameters(UNet3D(1, 3, width=32))
    assert count == encoder + upsampling + decoder + convolution(64, 3, 1)
    assert round(count / 1e6, 2) == 19.07


def test_the_paper_s_recognizer_has_72_76_million_parameters():
    """Wu et al. 2025: SwinUNETR with 48 features, seven classes."""
    network = build_network(Network(name="swin_unetr", channels=[48]), 1, 7, seed=0)
    assert round(count_parameters(network) / 1e6, 2) == 72.76


@pytest.mark.parametrize("name", ["unet", "unet3d"])
def test_weights_come_from_the_seed_and_the_global_generator_is_left_alone(name):
    settings = Network(name=name, channels=[4, 8])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = (list(build_network(settings, 1, 2, seed).state_dict().values()) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a, c, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        Network(name="unet", channels=[2, 4]),
        Network(name="unet", channels=[2, 4, 8, 16], norm="instance", residual_units=0),
        Network(name="unet3d", channels=[2]),
    ],
    ids=["unet2", "unet4", "unet3d"],
)
def test_a_patch_must_hold_several_whole_strides(settings):
    network, stride = build_network(settings, 1, 3, seed=0), settings.stride

    def fits(*size):
        try:
            return network(torch.zeros(1, 1, *size)).shape == (1, 3, *size)
        except (RuntimeError, ValueError):
            return False

    assert fits(2 * stride, stride, 3 * stride)
    assert not fits(2 * stride, 2 * stride + stride // 2, 2 * stride)
    assert not fits(stride, stride, stride)  # normalization over a single value


def test_the_skip_connections_carry_the_finest_detail():
    network = build_network(Network(name="unet3d", channels=[2]), 1, 1, seed=0)
    image = torch.zeros(1, 1, 16, 16, 16)
    image[0, 0, 8, 8, 8] = 1
    difference = (network(image) - network(torch.zeros_like(image)))[0, 0].abs()
    assert difference[7:10, 7:10, 7:10].mean() > 3 * difference[:4, :4, :4].mean()


def test_batch_statistics_let_neighbors_change_a_result_at_inference():
    """Defect `batch_statistics`; instance normalization does not have it."""
    patch, calm, wild = torch.randn(3, 1, 8, 8, 16, generator=torch.Generator().manual_seed(0)).split(1)
    for defect in (False, True):
        network = build_network(Network(name="unet3d", channels=[2]), 1, 1, seed=0, batch_statistics=defect).eval()
        a, b = (network(torch.cat([patch, neighbor]))[0] for neighbor in (calm, 30 + 9 * wild))
        assert torch.allclose(a, b, atol=1e-5) != defect


def test_batch_statistics_are_those_of_the_batch():
    x = torch.randn(3, 2, 4, 4, 4, generator=torch.Generator().manual_seed(1)) * 3 + 7
    norm = BatchStatistics(2).eval()
    mean, variance = x.mean(dim=(0, 2, 3, 4), keepdim=True), x.var(dim=(0, 2, 3, 4), unbiased=False, keepdim=True)
    torch.testing.assert_close(norm(x), (x - mean) / (variance + norm.eps).sqrt())
