"""The max-pooling of GPUs gives the values and the gradients of torch's, bit for bit, ties and not-a-numbers included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from freetumor.synthesizer.networks import UNet3D
from freetumor.synthesizer.pooling import MaxPool3d, Pool

INTEGERS = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float64: torch.int64}


def bits(tensor):
    """A tensor in which -0.0 differs from 0.0, and not-a-number equals itself."""
    return tensor.view(INTEGERS[tensor.dtype])


def pooled(pool, x, gradient):
    """Values, and the gradient of ``x``."""
    x = x.clone().requires_grad_()
    values = pool(x)
    values.backward(gradient)
    return values.detach(), x.grad


sizes = st.tuples(st.integers(1, 2), st.integers(1, 3), *(st.integers(2, 7) for _ in range(3)))


@given(sizes, st.integers(1, 4), st.sampled_from([*INTEGERS]), st.floats(0, 0.5), st.integers(0, 2**31))
def test_values_and_gradients_are_those_of_torch(size, levels, dtype, unknown, seed):
    """Few levels make many ties, as a rectifier does; odd sizes leave a rest that no window holds."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randint(-1, levels, size, generator=random).to(dtype)
    x = torch.where(torch.rand(size, generator=random) < unknown, torch.nan, x).to(dtype)
    gradient = torch.randint(-2, 3, [*size[:2], *(n // 2 for n in size[2:])], generator=random).to(dtype) * -0.1
    ours, torchs = (pooled(pool, x, gradient) for pool in (Pool.apply, nn.MaxPool3d(2)))
    assert all(torch.equal(bits(a), bits(b)) for a, b in zip(ours, torchs, strict=True))


def test_a_tie_gives_the_gradient_to_the_first_in_z_then_y_then_x():
    x = torch.zeros(1, 1, 2, 2, 2)
    x[0, 0, 0, 1, 1] = x[0, 0, 1, 0, 0] = 1
    _, gradient = pooled(Pool.apply, x, torch.full((1, 1, 1, 1, 1), 5.0))
    assert gradient.nonzero().tolist() == [[0, 0, 0, 1, 1]]
    assert gradient.sum() == 5


def test_a_place_without_gradient_is_zero_even_if_others_are_not_numbers():
    x = torch.arange(16.0).reshape(1, 1, 2, 2, 4)
    _, gradient = pooled(Pool.apply, x, torch.tensor([torch.nan, torch.inf]).reshape(1, 1, 1, 1, 2))
    assert gradient.isnan().sum() == gradient.isinf().sum() == 1
    assert (gradient == 0).sum() == 14


@pytest.mark.parametrize("batch_statistics", [False, True])
def test_a_network_has_the_gradients_that_it_had_with_the_pooling_of_torch(batch_statistics):
    x = torch.rand(2, 1, 16, 8, 24, generator=torch.Generator().manual_seed(0))
    found = []
    for pool in (OnAGpu(), nn.MaxPool3d(2)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = UNet3D(1, 2, width=3, batch_statistics=batch_statistics)
        network.pool = pool
        result = network(x)
        result.square().sum().backward()
        found.append([result.detach(), *(parameter.grad for parameter in network.parameters())])
    assert all(torch.equal(bits(a), bits(b)) for a, b in zip(*found, strict=True))


class OnAGpu(nn.Module):
    """What the pooling of a network does on a GPU."""

    def forward(self, x):
        return Pool.apply(x)


def test_weights_of_before_still_fit():
    assert not MaxPool3d().state_dict()
    assert not [name for name in UNet3D(1, 1, width=2).state_dict() if name.startswith("pool")]


def test_values_without_a_gradient_are_those_of_inference():
    x = torch.rand(1, 2, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(Pool.apply(x), nn.MaxPool3d(2)(x))
        assert torch.equal(MaxPool3d()(x), nn.MaxPool3d(2)(x))
