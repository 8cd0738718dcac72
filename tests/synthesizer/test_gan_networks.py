"""Generators and discriminators have the published layers, at any width and size."""

import pytest
import torch
from torch import nn

from freetumor.core.errors import UserError
from freetumor.synthesizer.gan_networks import Discriminator, Generator, count_stages, discriminator, image_generator
from freetumor.synthesizer.networks import count_parameters
from tests.regions import region_config


def painter(kind="dcgan", config=None):
    return (config or region_config()).synthesizers[kind].painter


def expected_generator(inputs, channels):
    """Sum over layers, written out: weights and biases, and scale and shift of each batch norm."""
    count = (inputs + 1) * channels[0] * 16 + 2 * channels[0]
    for a, b in zip(channels, [*channels[1:], 1], strict=True):
        count += (25 * a + 1) * b + (2 * b if b > 1 else 0)
    return count


def test_at_the_published_size_the_parameters_are_as_many_as_recorded():
    """About 18.9 and 4.3 million; every number is derived from the layers by hand."""
    assert count_parameters(Generator(100, 4, 64)) == expected_generator(100, [1024, 512, 256, 128]) == 18_865_921
    by_hand = 26 * 64 + (25 * 64 + 3) * 128 + (25 * 128 + 3) * 256 + (25 * 256 + 3) * 512 + 16 * 512 + 1
    assert count_parameters(Discriminator(4, 64, 1)) == by_hand == 4_313_345


def test_a_smaller_image_takes_a_stage_less():
    assert Generator(100, 4, 64).channels == [1024, 512, 256, 128]
    assert Generator(100, 3, 8).channels == [64, 32, 16]
    assert [layer.out_channels for layer in Discriminator(3, 8, 1).modules() if isinstance(layer, nn.Conv2d)] == [8, 16, 32]


@pytest.mark.parametrize(("side", "stages"), [(8, 1), (16, 2), (32, 3), (64, 4)])
def test_images_have_the_size_of_the_patch_and_lie_between_black_and_white(side, stages):
    made = Generator(7, stages, 2).eval()(torch.randn(5, 7) * 9)
    assert made.shape == (5, 1, side, side)
    assert made.abs().max() <= 1
    assert Discriminator(stages, 2, 4)(made).shape == (5, 4)


@pytest.mark.parametrize("side", [4, 24, 36, 48])
def test_other_sizes_are_a_mistake_of_the_user(side):
    with pytest.raises(UserError, match=rf"presets\.roi\.patch.*not {side}"):
        count_stages("dcgan", region_config(side, recognition=UNCHECKED))


UNCHECKED = {"network": {"name": "roi_cnn", "channels": [4, 4, 4]}, "arms": ["classic"], "seeds": [1]}


def test_only_the_first_stage_and_the_outputs_have_no_batch_norm():
    kinds = [type(layer).__name__ for layer in Discriminator(3, 4, 1).layers]
    assert kinds[:3] == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert kinds.count("BatchNorm2d") == 2
    assert kinds[-2:] == ["Flatten", "Linear"]
    kinds = [type(layer).__name__ for layer in Generator(9, 3, 4).layers]
    assert kinds.count("BatchNorm2d") == 3
    assert kinds[-2:] == ["ConvTranspose2d", "Tanh"]


def test_first_weights_are_normal_with_the_published_spread():
    network = image_generator(painter().model_copy(update={"width": 32, "latent": 100}), region_config(), seed=1)
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.ConvTranspose2d):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert abs(layer.weight.mean().item()) < 0.002
            assert not layer.bias.any()


@pytest.mark.parametrize("kind", ["dcgan", "acgan"])
def test_weights_belong_to_the_seed_and_to_nothing_else(kind):
    torch.manual_seed(0)
    first = image_generator(painter(kind), region_config(), 5).state_dict()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    again, other = (image_generator(painter(kind), region_config(), seed).state_dict() for seed in (5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.values(), again.values(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.values(), other.values(), strict=True))


def test_each_category_has_its_own_generator():
    """An image depends on the weights of its category alone, whatever else is in the batch."""
    network = image_generator(painter(), region_config(), 3).eval()
    latent, category = torch.rand(6, 6), torch.tensor([2, 0, 2, 1, 0, 0])
    together = network(latent, category)
    alone = torch.cat([network.members[c](v[None]) for c, v in zip(category.tolist(), latent, strict=True)])
    torch.testing.assert_close(together, alone)
    together.sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    network.zero_grad(set_to_none=True)
    network(latent, torch.full((6,), 1)).sum().backward()
    trained = [any(p.grad is not None for p in member.parameters()) for member in network.members]
    assert trained == [False, True, False]


def test_the_conditional_generator_makes_other_images_of_another_category():
    network = image_generator(painter("acgan"), region_config(), 3).eval()
    latent = torch.rand(1, 6).expand(3, 6)
    made = network(latent, torch.arange(3))
    assert not torch.allclose(made[0], made[1])
    assert not torch.allclose(made[1], made[2])


def test_a_discriminator_of_categories_answers_one_question_more_than_there_are():
    network = discriminator(painter("acgan"), region_config(), 4, seed=1)
    assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 4)
