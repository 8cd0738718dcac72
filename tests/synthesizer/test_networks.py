"""Networks have the published sizes, weights from their seed alone, and fit the patches the configuration admits."""

import pytest
import torch

from freetumor.core.config import Network
from freetumor.core.errors import UserError
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


@pytest.mark.parametrize(("name", "channels"), [("unet", [4, 8]), ("unet3d", [4]), ("roi_cnn", [2, 3, 4])])
def test_weights_come_from_the_seed_and_the_global_generator_is_left_alone(name, channels):
    settings = Network(name=name, channels=channels)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b, c = (list(build_network(settings, 1, 2, seed, size=24).state_dict().values()) for seed in (1, 1, 2))
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


def test_the_paper_s_classifier_has_1_273_347_parameters():
    """Frid-Adar et al. 2018: "about 1.3 M"; by hand, with unpadded convolutions 64 → 62 → 31 → 29 → 14 → 12 → 6 pixels."""
    convolutions = (1 * 9 * 32 + 32) + (32 * 9 * 64 + 64) + (64 * 9 * 128 + 128)
    dense = (128 * 6 * 6 * 256 + 256) + (256 * 3 + 3)
    network = build_network(Network(name="roi_cnn", channels=[32, 64, 128]), 1, 3, seed=0, size=64)
    assert count_parameters(network) == convolutions + dense == 1_273_347


def classifier(size=24, seed=0):
    return build_network(Network(name="roi_cnn", channels=[3, 4, 5]), 1, 3, seed, size=size)


@pytest.mark.parametrize("size", [22, 23, 24, 32, 64])
def test_a_classifier_takes_squares_from_22_pixels(size):
    network, images = classifier(size), torch.zeros(2, 1, size, size)
    assert network(images).shape == (2, 3)
    assert network.features(images).shape == (2, 256)


def test_a_region_too_small_for_the_classifier_is_a_user_error():
    with pytest.raises(UserError, match="at least 22 x 22 pixels, got 21 x 21"):
        classifier(size=21)


def test_the_features_are_what_the_last_layer_reads():
    network = classifier().eval()
    images = torch.rand(4, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    features = network.features(images)
    assert (features >= 0).all()
    assert (features > 0).any()
    torch.testing.assert_close(network(images), features @ network.head.weight.T + network.head.bias)


def test_the_mean_is_subtracted_and_travels_with_the_weights():
    images = torch.rand(4, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    first, second = classifier().eval(), classifier(seed=1).eval()
    without = first(images - 0.25)
    first.mean.fill_(0.25)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(first(images), without)
    assert torch.equal(second(images), first(images))
    assert not torch.allclose(first(images), classifier().eval()(images))


def test_half_of_the_features_are_dropped_in_training_alone():
    network, images = classifier(), torch.rand(1, 1, 24, 24)
    drawn = [network(images) for _ in range(3)]
    assert not torch.equal(drawn[0], drawn[1])
    network.eval()
    assert torch.equal(network(images), network(images))
    assert network.dropout.p == 0.5
