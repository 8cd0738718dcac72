"""Adversarial training: the losses have their hand-computed values, and every published defect does what it is said to do."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from freetumor.core.device import Device
from freetumor.synthesizer.adversarial import AdversarialTraining, Canvas, mean_over, unremapped_targets
from freetumor.synthesizer.assembly import segmenter_network
from tests.factory import small_config

CPU = Device(torch.device("cpu"))
SIZE = (2, 1, 8, 8, 16)


def make_training(labeled, pool, defects=(), name="freetumor", **painter):
    config = small_config()
    settings = config.synthesizers[name]
    settings = settings.model_copy(
        update={
            "painter": settings.painter.model_copy(update={"smoothing": 0.0} | painter),
            "defects": dict.fromkeys(defects, True),
            "mode": "corrected",
        }
    )
    config = config.model_copy(update={"synthesizers": config.synthesizers | {name: settings}})
    segmenter = segmenter_network(config.segmenter.network, config, seed=1).eval().requires_grad_(False)
    return AdversarialTraining(name, 0, config, segmenter, labeled, pool, CPU)


def make_canvas(organs=(0, 1)):
    """Two patches; the lesion of the first organ is real in places."""
    rng = torch.Generator().manual_seed(4)
    image, texture = torch.rand(SIZE, generator=rng), torch.rand(SIZE, generator=rng)
    label = torch.ones(SIZE, dtype=torch.uint8)
    label[:, :, :, :, 8:] = 3
    label[:, :, 0, 0, :3] = 2
    fake = torch.zeros(SIZE, dtype=torch.bool)
    fake[0, 0, 2:4, 2:4, 2:4] = True
    fake[1, 0, 4:7, 4:7, 10:12] = True
    real = torch.stack([label[index] == 2 * organ + 2 for index, organ in enumerate(organs)])
    return Canvas(image, fake * 0.5, texture, fake, real, label, torch.tensor(organs))


def test_a_batch_in_parts_keeps_its_order_and_the_mean_of_its_losses(labeled, pool):
    canvas = make_canvas()
    whole = make_training(labeled, pool)
    single = [whole._generator_descent(part, 1)[0] for part in canvas.parts(2)]
    trained = make_training(labeled, pool)
    trained.training = trained.training.model_copy(update={"accumulate": 2})
    painted, record = trained._generator_step(canvas)
    assert torch.equal(painted, torch.cat(single))
    records = [make_training(labeled, pool)._generator_descent(part, 1)[1] for part in canvas.parts(2)]
    assert record["loss_generator"] == pytest.approx(np.mean([one["loss_generator"] for one in records]), rel=1e-5)


class Fixed(nn.Module):
    """Answers with given logits, one per channel everywhere; they are its parameters."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x):
        return self.logits.view(1, -1, 1, 1, 1) + 0 * x.mean()


def softmax(logits):
    powers = [math.exp(value) for value in logits]
    return [value / sum(powers) for value in powers]


def with_fixed_networks(training):
    training.generator = Fixed(0.5, -0.25)
    training.segmenter = Fixed(0.1, 0.7, -0.3, 0.2, 0.9).requires_grad_(False)
    training.discriminator = Fixed(0.4, -0.6, 1.1)
    training.optimizers = [torch.optim.SGD(net.parameters(), 0.0) for net in (training.generator, training.discriminator)]
    return training


def test_losses_have_their_hand_computed_values(labeled, pool):
    training, canvas = with_fixed_networks(make_training(labeled, pool, adversarial_weight=0.25)), make_canvas()
    painted, losses = training._generator_step(canvas)
    a, t = canvas.alpha, canvas.texture
    expected = canvas.image.clone()
    expected[0] -= a[0] * t[0] * math.tanh(0.5)
    expected[1] -= a[1] * t[1] * math.tanh(-0.25)
    torch.testing.assert_close(painted.detach(), expected)

    classes, verdict = softmax([0.1, 0.7, -0.3, 0.2, 0.9]), softmax([0.4, -0.6, 1.1])
    voxels = [8, 18]  # of the first organ's lesion, whose class is 2, and of the second's, whose class is 4
    found = (voxels[0] * classes[2] + voxels[1] * classes[4]) / sum(voxels)
    assert losses["found"] == pytest.approx(found, abs=1e-6)
    assert losses["fooled"] == pytest.approx(verdict[1], abs=1e-6)
    assert losses["loss_generator"] == pytest.approx(1 - found + 0.25 * (1 - verdict[1]), abs=1e-6)
    change = (expected - canvas.image)[canvas.fake].mean().item() * 425
    assert losses["contrast_hu"] == pytest.approx(change, rel=1e-4)

    losses = training._discriminator_step(canvas, painted.detach())
    assert losses["loss_discriminator"] == pytest.approx(0.5 * ((1 - verdict[1]) + (1 - verdict[2])), abs=1e-6)


def test_the_class_blind_loss_counts_tumors_of_every_organ(labeled, pool):
    """Defect `class_blind_loss`: a lesion of the first organ that looks like one of the second counts as found."""
    canvas, classes = make_canvas(), softmax([0.1, 0.7, -0.3, 0.2, 0.9])
    _, losses = with_fixed_networks(make_training(labeled, pool, ["class_blind_loss"]))._generator_step(canvas)
    assert losses["found"] == pytest.approx(classes[2] + classes[4], abs=1e-6)


def test_the_mean_is_over_the_voxels_of_the_whole_batch():
    values, mask = torch.arange(6.0).view(2, 3), torch.tensor([[True, False, False], [True, True, False]])
    assert mean_over(values, mask, CPU).item() == pytest.approx((0 + 3 + 4) / 3, rel=1e-5)
    assert mean_over(values, torch.zeros(2, 3, dtype=torch.bool), CPU).item() == 0


def head_gradient(training, canvas):
    for optimizer in training.optimizers:
        optimizer.zero_grad(set_to_none=True)
    training._generator_step(canvas)
    return [float(gradient.abs().sum()) for gradient in training.generator.head.weight.grad]


def test_channel_routing_never_trains_the_other_organs_channel(labeled, pool):
    """Defect `channel_routing`: canvases of the second organ train the first channel only."""
    canvas = make_canvas(organs=(1, 1))
    corrected = head_gradient(make_training(labeled, pool), canvas)
    published = head_gradient(make_training(labeled, pool, ["channel_routing"]), canvas)
    assert corrected[0] == 0 < corrected[1]
    assert published[1] == 0 < published[0]


def discriminator_after_a_step(training, canvas):
    painted, _ = training._generator_step(canvas)
    leaked = [parameter.grad is not None for parameter in training.discriminator.parameters()]
    training._discriminator_step(canvas, painted.detach())
    return leaked, [parameter.grad.clone() for parameter in training.discriminator.parameters()]


def test_the_generators_gradient_leaks_into_the_discriminator(labeled, pool):
    """Defect `gradient_leak`: the discriminator is also moved toward being fooled."""
    canvas = make_canvas()
    leaked, own = discriminator_after_a_step(make_training(labeled, pool), canvas)
    assert not any(leaked)
    leaked, mixed = discriminator_after_a_step(make_training(labeled, pool, ["gradient_leak"]), canvas)
    assert all(leaked)
    assert any(not torch.allclose(a, b) for a, b in zip(own, mixed, strict=True))


def test_without_the_leak_the_discriminators_gradient_is_that_of_its_own_loss(labeled, pool):
    canvas = make_canvas()
    training = make_training(labeled, pool)
    painted, _ = training._generator_step(canvas)
    verdict = training.discriminator(painted.detach()).softmax(dim=1)
    loss = 0.5 * (2 - verdict[:, 1:2][canvas.real].mean() - verdict[:, 2:3][canvas.fake].mean())
    expected = torch.autograd.grad(loss, list(training.discriminator.parameters()))
    training._discriminator_step(canvas, painted.detach())
    for parameter, gradient in zip(training.discriminator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)


def test_unremapped_labels_take_the_second_organ_for_a_fake():
    """Defect `discriminator_labels`: lesions of the second organ are neither painted nor marked, its healthy voxels are."""
    canvas = make_canvas()
    painted = canvas.image + 1
    image, real, fake = unremapped_targets(canvas, painted)
    assert torch.equal(image[0], painted[0])
    assert torch.equal(image[1], canvas.image[1])
    healthy = canvas.label == 3
    assert torch.equal(fake[0], canvas.fake[0] | healthy[0])
    assert torch.equal(fake[1], healthy[1])
    assert torch.equal(real, canvas.label == 2)
    assert not torch.equal(real, canvas.real)


def test_unremapped_labels_change_the_discriminators_step(labeled, pool):
    canvas, losses = make_canvas(), []
    for defects in ([], ["discriminator_labels"]):
        training = make_training(labeled, pool, defects)
        painted, _ = training._generator_step(canvas)
        losses.append(training._discriminator_step(canvas, painted.detach())["loss_discriminator"])
    assert abs(losses[0] - losses[1]) > 1e-3


@pytest.mark.parametrize(("defects", "inputs"), [([], 2), (["unconditioned"], 1)])
def test_an_unconditioned_generator_has_no_channel_for_the_mask(labeled, pool, defects, inputs):
    training = make_training(labeled, pool, defects)
    assert training.generator.encoders[0][0].in_channels == inputs


def test_batch_statistics_couple_the_canvases_of_a_batch(labeled, pool):
    """Defect `batch_statistics`: what is painted on a patch depends on its neighbor in the batch."""
    canvas = make_canvas()
    other = torch.cat([canvas.image[:1], canvas.image[1:] * 9])
    for defects in ([], ["batch_statistics"]):
        training = make_training(labeled, pool, defects)
        one = training._paint(canvas)[0]
        two = training._paint(Canvas(other, *list(vars(canvas).values())[1:]))[0]
        assert torch.equal(one, two) == (not defects)


def test_a_step_is_a_function_of_its_number(labeled, pool):
    first, second = make_training(labeled, pool), make_training(labeled, pool)
    second.feed.take(9)  # another draw in between
    torch.manual_seed(0)
    losses = [first.step(step) for step in (1, 2)]
    torch.manual_seed(1)
    assert [second.step(step) for step in (1, 2)] == losses
    for a, b in zip(first.generator.parameters(), second.generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_state_continues_exactly(labeled, pool):
    whole, stopped, resumed = (make_training(labeled, pool) for _ in range(3))
    for step in (1, 2, 3):
        whole.step(step)
    stopped.step(1)
    resumed.restore(stopped.state())
    for step in (2, 3):
        resumed.step(step)
    for name in ("generator", "discriminator"):
        for a, b in zip(getattr(whole, name).parameters(), getattr(resumed, name).parameters(), strict=True):
            assert torch.equal(a, b)


def test_the_segmenter_is_never_trained(labeled, pool):
    training = make_training(labeled, pool)
    before = [tensor.clone() for tensor in training.segmenter.state_dict().values()]
    training.step(1)
    assert all(torch.equal(a, b) for a, b in zip(before, training.segmenter.state_dict().values(), strict=True))


def test_training_makes_the_segmenter_find_more(labeled, pool):
    training = make_training(labeled, pool, adversarial_weight=0.0)
    canvas = make_canvas()
    training.optimizers[0] = torch.optim.Adam(training.generator.parameters(), 0.01)
    found = []
    for _ in range(30):
        training.optimizers[0].zero_grad()
        found.append(training._generator_step(canvas)[1]["found"])
    assert found[-1] > found[0]


def test_canvases_of_the_pool_show_no_real_tumor(labeled, pool):
    training = make_training(labeled, pool, labeled_share=0.0)
    samples = [training.feed.make._sample(step, 0) for step in range(20)]
    assert not any(sample["real"].any() for sample in samples)
    assert not any(((sample["label"] > 0) & (sample["label"] % 2 == 0)).any() for sample in samples)
    assert sum(sample["fake"].any() for sample in samples) > 15


def test_a_simulated_lesion_lies_in_healthy_voxels_of_its_organ(labeled, pool):
    training = make_training(labeled, pool, labeled_share=1.0)
    seen = set()
    for step in range(30):
        sample = training.feed.make._sample(step, 1)
        organ = sample["organ"]
        seen.add(organ)
        assert (sample["label"][sample["fake"]] == 2 * organ + 1).all()
        assert np.array_equal(sample["real"], sample["label"] == 2 * organ + 2)
        assert (sample["alpha"][~sample["fake"]] == 0).all()
    assert seen == {0, 1}


def test_a_batch_without_any_lesion_is_harmless(labeled, pool):
    """Every process of a distributed training takes part in every average, so no step may be left out."""
    training, canvas = make_training(labeled, pool), make_canvas()
    nothing = torch.zeros(SIZE, dtype=torch.bool)
    canvas = Canvas(canvas.image, canvas.alpha * 0, canvas.texture, nothing, nothing, canvas.label, canvas.organs)
    painted, losses = training._generator_step(canvas)
    losses |= training._discriminator_step(canvas, painted.detach())
    assert all(math.isfinite(value) for value in losses.values())
    assert all(parameter.grad is not None for parameter in training.discriminator.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in training.discriminator.parameters())
