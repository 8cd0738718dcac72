"""Networks of the diffusion painter: shapes, the sampler against a closed form, where a change can be."""

import itertools
import math

import pytest
import torch
from torch import nn

from freetumor.core.config_synthesizer import Diffusion
from freetumor.synthesizer.diffusion_networks import diffusion_network, sampling_times


def settings(**denoiser):
    return Diffusion.model_validate(
        {
            "autoencoder": {"channels": [8, 16], "latent": 3, "fold": 2},
            "denoiser": {"channels": [8, 8], "timesteps": 40, **denoiser},
            "early_steps": 2,
            "late_steps": 4,
        }
    )


@pytest.fixture(scope="module")
def network():
    return diffusion_network(settings(), 2, seed=1).eval()


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_a_latent_stands_for_a_cube_of_voxels(network):
    image = noise(2, 1, 16, 24, 8)
    latents = network.encode(image)
    assert network.cell == 4
    assert latents.shape == (2, 3, 4, 6, 2)
    assert network.decode(latents).shape == image.shape


@torch.no_grad()
def test_standardizing_is_undone_by_decoding(network):
    latents = noise(1, 3, 2, 2, 2)
    plain = network.image_of(latents)
    other = diffusion_network(settings(), 2, seed=1).eval()
    other.mean += 0.5
    other.deviation *= 3
    torch.testing.assert_close(other.decode((latents - 0.5) / 3), plain)
    torch.testing.assert_close(other.encode(plain) * 3 + 0.5, network.encode(plain))


def test_the_share_of_a_mask_keeps_its_volume(network):
    mask = torch.zeros(1, 1, 8, 8, 8)
    mask[..., 1:4, 2:7, 3:5] = 1
    share = network.share(mask)
    assert share.shape == (1, 1, 2, 2, 2)
    assert float(share.sum()) * 64 == pytest.approx(float(mask.sum()))


class Gaussian(nn.Module):
    """The perfect denoiser of latents that are normal with a given mean and standard deviation."""

    def __init__(self, network, predicts, mean, deviation):
        super().__init__()
        self.levels, self.predicts, self.mean, self.deviation = network.schedule.alphas_cumprod, predicts, mean, deviation

    def forward(self, x, timesteps, class_labels):
        noisy = x[:, :3].double()
        level = self.levels[timesteps].double().view(-1, 1, 1, 1, 1)
        spread = level * self.deviation**2 + 1 - level
        guess = (1 - level).sqrt() * (noisy - level.sqrt() * self.mean) / spread  # the expected noise
        if self.predicts == "velocity":
            clean = self.mean + level.sqrt() * self.deviation**2 * (noisy - level.sqrt() * self.mean) / spread
            guess = level.sqrt() * guess - (1 - level).sqrt() * clean
        return guess.float()


def level(part):
    """Share of variance that is signal, when ``part`` of the noising is done: the cosine schedule, its last step cut short."""

    def raw(part):
        return math.cos((part + 0.008) / 1.008 * math.pi / 2) ** 2

    return max(raw(part), 1e-3 * raw(part - 1 / 40)) / raw(0)


@pytest.mark.parametrize("predicts", ["velocity", "noise"])
@pytest.mark.parametrize("steps", [2, 4, 40])
@torch.no_grad()
def test_sampling_with_a_perfect_denoiser_has_its_closed_form(predicts, steps):
    """Normal latents of deviation s: a step from signal a to b multiplies the distance from the mean by a known factor."""
    network = diffusion_network(settings(predicts=predicts), 1, seed=0)
    network.denoiser = Gaussian(network, predicts, 0.5, s := 0.3)
    start = noise(1, 3, 6, 6, 6)
    made = network.sample(start, torch.zeros_like(start), torch.ones_like(start[:, :1]), torch.tensor([0]), steps)
    levels = [level((time + 1) / 40) for time in sampling_times(40, steps)] + [1.0]
    factor = math.prod(
        (math.sqrt(a * b) * s**2 + math.sqrt((1 - a) * (1 - b))) / (a * s**2 + 1 - a) for a, b in itertools.pairwise(levels)
    )
    expected = 0.5 + factor * (start - 0.5 * math.sqrt(levels[0]))
    torch.testing.assert_close(made, expected, atol=1e-4 if predicts == "velocity" else 0.02, rtol=0)
    assert factor == pytest.approx({2: 0.14, 4: 0.21, 40: 0.28}[steps], abs=0.02)  # few steps narrow the spread


@pytest.mark.parametrize(("total", "steps"), [(200, 4), (200, 50), (8, 8), (8, 1), (1000, 1000)])
def test_sampling_starts_at_pure_noise_and_never_stands_still(total, steps):
    times = sampling_times(total, steps)
    assert len(times) == steps
    assert times[0] == total - 1
    assert all(a > b for a, b in itertools.pairwise(times))
    assert times[-1] >= 0


@pytest.mark.parametrize("predicts", ["velocity", "noise"])
def test_what_is_predicted_gives_the_latents_back(predicts):
    network = diffusion_network(settings(predicts=predicts), 1, seed=0)
    latents, grain = noise(2, 3, 2, 2, 2), noise(2, 3, 2, 2, 2, seed=1)
    times = torch.tensor([3, 30])
    noisy, target = network.noised(latents, grain, times)
    level = network.schedule.alphas_cumprod[times].view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(noisy, level.sqrt() * latents + (1 - level).sqrt() * grain)
    if predicts == "noise":
        torch.testing.assert_close(target, grain)
    else:
        torch.testing.assert_close(level.sqrt() * noisy - (1 - level).sqrt() * target, latents)


@torch.no_grad()
def test_a_lesion_of_nothing_changes_nothing(network):
    image, grain = noise(1, 1, 16, 16, 16), noise(1, 3, 4, 4, 4)
    change = network.change(image, image, torch.zeros_like(image), torch.tensor([0]), grain, 2)
    assert not change.any()


@torch.no_grad()
def test_organ_mask_erased_canvas_and_noise_all_count():
    network = diffusion_network(settings(), 2, seed=1).eval()
    for parameter in network.denoiser.parameters():  # some start at zero
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    image, mask = noise(1, 1, 16, 16, 16), torch.zeros(1, 1, 16, 16, 16)
    mask[..., 6:10, 6:10, 6:10] = 1
    larger = mask.clone()
    larger[..., 4:10, 6:10, 6:10] = 1
    first = (image, image, mask, torch.tensor([0]), noise(1, 3, 4, 4, 4), 2)
    changes = {1: image + 0.5, 2: larger, 3: torch.tensor([1]), 4: first[4] + 1}
    base = network.change(*first)
    assert torch.equal(base, network.change(*first))
    for place, other in changes.items():
        assert not torch.allclose(base, network.change(*first[:place], other, *first[place + 1 :]), atol=1e-4)


def test_weights_come_from_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = diffusion_network(settings(), 2, seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    second = diffusion_network(settings(), 2, seed=3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(
        torch.equal(first[name], tensor) for name, tensor in diffusion_network(settings(), 2, 4).state_dict().items()
    )


def test_more_steps_than_the_process_has_are_refused():
    with pytest.raises(ValueError, match=r"late_steps: must be at most denoiser\.timesteps = 40, got 41"):
        Diffusion.model_validate({"denoiser": {"timesteps": 40}, "late_steps": 41})


@torch.no_grad()
def test_a_residual_is_what_the_tumor_changes_where_it_reaches(network):
    other = diffusion_network(settings(), 2, seed=1).eval()
    other.shift += 0.5
    other.spread *= 2
    erased, tumor, lesion = noise(1, 3, 6, 6, 6), noise(1, 3, 6, 6, 6, seed=1), torch.zeros(1, 1, 24, 24, 24)
    lesion[..., 0, 0, 0] = 1
    touched = network.touched(network.share(lesion))
    assert touched.sum() == 8  # a corner and its neighbors
    for where in ((0, 0, 0), (1, 1, 1)):
        at = (0, slice(None), *where)
        expected = (tumor[at] - erased[at] - 0.5) / 2
        torch.testing.assert_close(other.residual(tumor, erased, touched)[at], expected)
    assert not other.residual(tumor, erased, touched)[..., 2:].any()


@torch.no_grad()
def test_noise_far_from_the_lesion_does_not_count(network):
    """The noise of latents that the lesion does not touch is never looked at."""
    erased, share = noise(1, 3, 6, 6, 6), torch.zeros(1, 1, 6, 6, 6)
    share[..., 1, 1, 1] = 0.5
    start = noise(1, 3, 6, 6, 6, seed=2)
    far = start.clone()
    far[..., 3:] += 1
    times = torch.tensor([20])
    first, second = (network.predict(item, times, erased, share, torch.tensor([1])) for item in (start, far))
    assert torch.equal(first, second)
