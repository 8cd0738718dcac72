"""Augmentation moves image and label together; so does cut-and-join, unless the published defect is on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.recognition.augmentation import BETA, StandardAugmentation, cut_and_join
from freetumor.synthesizer.cases import Patch

WINDOW = (-175.0, 250.0)


def ramp(shape):
    """A patch whose label tells the voxel's HU: image = 2 code - 100."""
    codes = (np.arange(np.prod(shape)) * 7 % 150).reshape(shape).astype(np.uint8)
    return Patch((2 * codes.astype(np.int16) - 100), codes, (0, 0, 0), (1.0, 1.0, 1.0), "case", "patient", "source")


@pytest.mark.parametrize("shape", [(4, 6, 6), (4, 6, 8)])
def test_every_voxel_keeps_its_label(shape):
    """Intensities may be scaled or shifted as a whole: HU stays one increasing function of the code, from draw to draw."""
    augment, patch = StandardAugmentation(WINDOW, shape), ramp(shape)
    moved = rescaled = 0
    for index in range(200):
        result = augment(patch, "augment", index)
        assert result.image.shape == result.label.shape == shape
        assert (result.image.dtype, result.label.dtype) == (np.int16, np.uint8)
        assert np.array_equal(np.sort(result.label, axis=None), np.sort(patch.label, axis=None))
        levels = {code: set(result.image[result.label == code].tolist()) for code in np.unique(patch.label)}
        assert all(len(values) == 1 for values in levels.values())
        moved += not np.array_equal(result.label, patch.label)
        rescaled += any(values != {2 * int(code) - 100} for code, values in levels.items())
    # A flip of any axis or a quarter turn: 1 - 0.8^4; scale or shift: 1 - 0.9^2 (Wu et al. 2025, released code).
    turns = 4 if shape[1] == shape[2] else 3
    assert stats.binomtest(moved, 200, 1 - 0.8**turns).pvalue > 0.001
    assert stats.binomtest(rescaled, 200, 1 - 0.9**2).pvalue > 0.001


def test_results_are_flips_and_quarter_turns_in_plane():
    patch = ramp((3, 4, 4))
    allowed = {
        np.rot90(np.flip(patch.label, axes), turns, (1, 2)).tobytes()
        for axes in [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
        for turns in range(4)
    }
    augment = StandardAugmentation(WINDOW, (3, 4, 4))
    seen = {augment(patch, "turn", index).label.tobytes() for index in range(300)}
    assert len(allowed) == 16
    assert seen <= allowed
    assert len(seen) > 10


def test_an_augmentation_belongs_to_its_key():
    patch, augment, other = ramp((4, 4, 4)), StandardAugmentation(WINDOW, (4, 4, 4)), StandardAugmentation(WINDOW, (4, 4, 4))
    forward = [augment(patch, "key", index).image.tobytes() for index in range(10)]
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - a global state that must not matter
    backward = [other(patch, "key", index).image.tobytes() for index in reversed(range(10))]
    assert backward[::-1] == forward


def make_batch(size):
    labels = torch.arange(size * 4 * 6 * 6).reshape(size, 4, 6, 6)
    return labels[:, None].float() * 2, labels


@given(st.integers(1, 4), st.integers(0, 200))
def test_every_voxel_comes_from_its_own_place_in_this_or_the_previous_patch(size, key):
    images, labels = make_batch(size)
    new_images, new_labels = cut_and_join(images, labels, generator("join", key), independent_axes=False)
    assert torch.equal(new_images[:, 0], new_labels * 2)  # image and label are cut alike
    own = new_labels == labels
    neighbor = new_labels == torch.roll(labels, 1, dims=0)
    assert (own | neighbor).all()
    if size > 1:
        # One plane across y or x divides the patch: own voxels before it, the neighbor's after it.
        per_y, per_x = own.all(dim=3).all(dim=1), own.all(dim=2).all(dim=1)
        cut = [profile for profile in (per_y, per_x) if torch.equal(own, own & profile_mask(profile, per_y is profile))]
        assert any(is_step(profile) for profile in cut)


def profile_mask(profile, along_y):
    return profile[:, None, :, None] if along_y else profile[:, None, None, :]


def is_step(profile):
    values = profile.int()
    return bool((values.diff(dim=1) <= 0).all())


def test_the_cut_is_beta_distributed_and_takes_both_axes():
    images, labels = make_batch(2)
    wide = labels.repeat_interleave(40, dim=2).repeat_interleave(40, dim=3)
    shares, along_y = [], []
    for index in range(300):
        _, new = cut_and_join(images.repeat_interleave(40, 3).repeat_interleave(40, 4), wide, generator("cut", index), False)
        own = (new == wide)[0, 0]
        shares.append(own.float().mean().item())
        if 0 < shares[-1] < 1:
            along_y.append(bool(own.all(dim=1).any()))
    bounds = np.array([0, 0.1, 0.3, 0.7, 0.9, 1])
    counts = np.histogram(shares, bounds)[0]
    assert stats.chisquare(counts, 300 * np.diff(stats.beta(BETA, BETA).cdf(bounds))).pvalue > 0.001
    assert stats.binomtest(sum(along_y), len(along_y), 0.5).pvalue > 0.001


def test_the_published_cut_separates_label_and_image():
    """Defect of the released code: the label is cut along an axis drawn apart, so half of the real cuts disagree."""
    images, labels = make_batch(3)
    disagreements = {False: 0, True: 0}
    for independent in disagreements:
        for index in range(300):
            new_images, new_labels = cut_and_join(images, labels, generator("defect", index), independent)
            disagreements[independent] += not torch.equal(new_images[:, 0], new_labels * 2)
    real_cut = np.diff(stats.beta(BETA, BETA).cdf([1 / 12, 11 / 12]))[0]  # neither 0 nor all of the six voxels
    assert disagreements[False] == 0
    assert stats.binomtest(disagreements[True], 300, real_cut / 2).pvalue > 0.001


def test_the_input_batch_is_left_alone():
    images, labels = make_batch(2)
    before = images.clone(), labels.clone()
    cut_and_join(images, labels, generator("alone"), True)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])
