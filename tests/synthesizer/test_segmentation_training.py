"""Supervised training: batches by step and slot, the validation score, and which weights are kept."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from freetumor.core.device import Device
from freetumor.core.tables import FOLD_CASES, read_table
from freetumor.synthesizer.assembly import segmenter_network
from freetumor.synthesizer.cases import open_cases
from freetumor.synthesizer.segmentation import RealBatches, SegmentationTraining

CPU = Device(torch.device("cpu"))


def make_training(study, labeled, fold, keep="last"):
    settings = study.segmenter.training.model_copy(update={"keep": keep})
    network = segmenter_network(study.segmenter.network, study, seed=3)
    batches = RealBatches(labeled, study.working.patch, "key")
    validation = open_cases(read_table(fold, FOLD_CASES), study, "validation")
    return SegmentationTraining(network, settings, batches, validation, study, CPU)


def test_a_patch_is_a_function_of_step_and_slot(study, labeled):
    a, b = (RealBatches(labeled, study.working.patch, "key") for _ in range(2))
    slots = [(step, slot) for step in (1, 2, 3) for slot in (0, 1)]
    forward = [a.sample(*slot) for slot in slots]
    backward = [b.sample(*slot) for slot in reversed(slots)][::-1]
    for one, two in zip(forward, backward, strict=True):
        assert (one.case_id, one.corner) == (two.case_id, two.corner)
        assert np.array_equal(one.image, two.image)
    assert len({(patch.case_id, patch.corner) for patch in forward}) > 3


def test_a_batch_in_parts_has_the_gradient_of_the_mean_of_the_parts(study, labeled, fold):
    whole, parts = (make_training(study, labeled, fold) for _ in range(2))
    size = parts.settings.batch
    assert size == 2
    parts.settings = parts.settings.model_copy(update={"accumulate": size})
    whole.settings = whole.settings.model_copy(update={"batch": 1})  # its only patch is the first one of the other
    sample = whole.batches.sample
    gradients = []
    for slot in range(size):
        whole.batches.sample = lambda step, _, slot=slot: sample(step, slot)
        state = {name: value.clone() for name, value in whole.network.state_dict().items()}
        whole.step(1)
        gradients.append([parameter.grad.clone() for parameter in whole.network.parameters()])
        whole.network.load_state_dict(state)
    parts.step(1)
    for one, other, both in zip(*gradients, parts.network.parameters(), strict=True):
        torch.testing.assert_close(both.grad, (one + other) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("side", [16, 20, 33, 48])
def test_the_loss_is_that_of_monai_and_its_gradient_that_of_the_mean_a_gpu_takes(study, labeled, fold, side):
    """On a GPU the losses of the voxels are averaged: another sum, but bit for bit the same gradient."""
    from monai.losses.dice import DiceCELoss

    dice_ce = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    training, random = make_training(study, labeled, fold), torch.Generator().manual_seed(side)
    logits = torch.randn(2, 5, side, 16, side, generator=random)
    labels = torch.randint(0, 5, (2, side, 16, side), generator=random)
    training.network = torch.nn.Identity()
    losses = {
        "ours": lambda x: training._loss(x, labels),
        "monai": lambda x: dice_ce(x, labels[:, None]),
        "gpu": lambda x: training.dice(x, labels[:, None]) + cross_entropy(x, labels, reduction="none").mean(),
    }
    values, gradients = {}, {}
    for name, loss in losses.items():
        x = logits.clone().requires_grad_()
        result = loss(x)
        result.backward()
        values[name], gradients[name] = result.item(), x.grad
    assert values["ours"] == values["monai"] == pytest.approx(values["gpu"], rel=1e-6)
    assert torch.equal(gradients["ours"], gradients["monai"])
    assert torch.equal(gradients["ours"], gradients["gpu"])


class Oracle(torch.nn.Module):
    """Finds what it was told to, whatever it sees."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, x):
        padded = np.zeros(x.shape[2:], int)
        low = [(big - small) // 2 for big, small in zip(padded.shape, self.classes.shape, strict=True)]
        padded[tuple(slice(a, a + n) for a, n in zip(low, self.classes.shape, strict=True))] = self.classes
        return 9 * torch.from_numpy(np.eye(5, dtype=np.float32)[padded].transpose(3, 0, 1, 2))[None]


def test_the_validation_score_is_the_mean_dice_of_the_tumors(study, labeled, fold):
    training = make_training(study, labeled, fold)
    label = training.validation[0].read_label().astype(int)
    assert (label == 2).any()
    assert (label == 4).any()
    found = label.copy()
    found[:, :18] = np.where(found[:, :18] == 2, 1, found[:, :18])  # misses what lies in the front half
    found[0, 0, :5] = 4  # and five voxels too many
    training.network = Oracle(found)
    liver = 2 * ((found == 2) & (label == 2)).sum() / ((found == 2).sum() + (label == 2).sum())
    pancreas = 2 * (label == 4).sum() / (2 * (label == 4).sum() + 5)
    assert training.validate(1)["validation_dice"] == pytest.approx((liver + pancreas) / 2, rel=1e-6)


@pytest.mark.parametrize(("keep", "kept"), [("last", 3), ("best", 2)])
def test_the_last_or_the_best_weights_are_kept(study, labeled, fold, keep, kept):
    training = make_training(study, labeled, fold, keep)
    scores = iter([0.2, 0.5, 0.4])
    training._tumor_dice = lambda case: next(scores)
    weights = {}
    for step in (1, 2, 3):
        training.step(step)
        weights[step] = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
        training.validate(step)
    assert all(torch.equal(training.kept[name], weights[kept][name]) for name in weights[kept])
    assert not all(torch.equal(weights[2][name], weights[3][name]) for name in weights[2])


def test_the_training_learns(study, labeled, fold):
    training = make_training(study, labeled, fold)
    losses = [training.step(step)["loss"] for step in range(1, 5)]
    assert losses[-1] < losses[0]
    assert np.isfinite(losses).all()
