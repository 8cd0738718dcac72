"""Sizes of networks by their configuration, against the networks themselves."""

import pytest
import torch
from torch import nn

from freetumor.core.config import Diffusion, Network
from freetumor.core.network_sizes import diffusion_sizes, generator_sizes, network_size
from freetumor.synthesizer.diffusion_networks import diffusion_network
from freetumor.synthesizer.gan_networks import discriminator, image_generator
from freetumor.synthesizer.networks import build_network, count_parameters
from tests.regions import region_config

NETWORKS = [
    ({"name": "unet", "channels": [16, 32, 64], "residual_units": 0}, 1, 5),
    ({"name": "unet", "channels": [8, 16], "residual_units": 1}, 2, 3),
    ({"name": "unet", "channels": [4, 8, 16, 24]}, 1, 7),
    ({"name": "unet", "channels": [8, 16, 32], "norm": "instance"}, 2, 2),
    ({"name": "unet3d", "channels": [2]}, 1, 5),
    ({"name": "unet3d", "channels": [6]}, 2, 3),
]
SWIN = [({"name": "swin_unetr", "channels": [width]}, 1, outputs) for width, outputs in ((12, 5), (24, 3))]
DIFFUSIONS = [([32], [16, 32, 64], 4, 2), ([16, 32], [32, 64], 8, 1), ([64], [32, 64, 128], 4, 2)]


def kept(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Numbers that a forward pass keeps for the way back, weights aside."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    found: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(*inputs)
    return sum(tensor.untyped_storage().nbytes() // 4 for tensor in found.values())


@pytest.mark.parametrize(("settings", "inputs", "outputs"), [*NETWORKS, *SWIN])
def test_a_network_has_the_weights_that_it_is_said_to_have(settings, inputs, outputs):
    network = Network(**settings)
    size = network_size(network, inputs, outputs)
    assert round(size.parameters) == count_parameters(build_network(network, inputs, outputs, 0))


@pytest.mark.parametrize(("settings", "inputs", "outputs"), NETWORKS)
def test_a_training_keeps_as_many_numbers_as_it_is_said_to_keep_or_somewhat_less(settings, inputs, outputs):
    network, side = Network(**settings), 16
    built = build_network(network, inputs, outputs, 0).train()
    values = kept(built, torch.zeros(2, inputs, side, side, side)) / (2 * side**3)
    assert values <= network_size(network, inputs, outputs).values <= 1.5 * values


@pytest.mark.parametrize(("settings", "inputs", "outputs"), NETWORKS)
def test_a_pass_multiplies_as_often_as_it_is_said_to(settings, inputs, outputs):
    from torch.utils.flop_counter import FlopCounterMode

    network, side = Network(**settings), 16
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        build_network(network, inputs, outputs, 0).eval()(torch.zeros(1, inputs, side, side, side))
    operations = counted.get_total_flops() / 2 / side**3
    assert network_size(network, inputs, outputs).operations == pytest.approx(operations, rel=0.01)


def test_the_classifier_of_regions_has_the_published_number_of_weights():
    assert network_size(Network(name="roi_cnn", channels=[32, 64, 128]), 1, 3, 64).parameters == 1_273_347


@pytest.mark.parametrize("kind", ["dcgan", "acgan"])
@pytest.mark.parametrize(("side", "width"), [(16, 2), (32, 3)])
def test_generators_and_discriminators_of_images_have_the_weights_that_they_are_said_to_have(kind, side, width):
    painter = {"painter": {"kind": kind, "width": width, "latent": 6}}
    config = region_config(side, synthesizers={kind: painter}, synthesis={"synthesizers": [kind]})
    settings = config.synthesizers[kind].painter
    made, judged = generator_sizes(settings, config)
    pairs, outputs = (3, 1) if kind == "dcgan" else (1, 4)
    assert made.parameters == count_parameters(image_generator(settings, config, 0))
    assert judged.parameters == pairs * count_parameters(discriminator(settings, config, outputs, 0))


def test_the_published_generator_and_discriminator_have_their_published_numbers_of_weights():
    painter = {"painter": {"kind": "dcgan", "width": 64, "latent": 100}}
    config = region_config(64, synthesizers={"dcgan": painter}, synthesis={"synthesizers": ["dcgan"]})
    made, judged = generator_sizes(config.synthesizers["dcgan"].painter, config)
    assert (made.parameters, judged.parameters) == (3 * 18_865_921, 3 * 4_313_345)


@pytest.mark.parametrize(("autoencoder", "denoiser", "latent", "fold"), DIFFUSIONS)
def test_the_networks_of_a_diffusion_are_somewhat_smaller_than_they_are_said_to_be(autoencoder, denoiser, latent, fold):
    sizes = {"channels": autoencoder, "latent": latent, "fold": fold}
    settings = Diffusion.model_validate({"autoencoder": sizes, "denoiser": {"channels": denoiser}})
    built = diffusion_network(settings, 2, 0)
    for said, network in zip(diffusion_sizes(settings), (built.autoencoder, built.denoiser), strict=True):
        assert count_parameters(network) <= said.parameters <= 1.3 * count_parameters(network)
