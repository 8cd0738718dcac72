"""Lesion matching against brute force over all assignments."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from freetumor.core.seeding import generator
from freetumor.evaluation.empty import lesion_rows
from freetumor.evaluation.lesions import (
    Components,
    ball_diameter,
    match_components,
    match_lesions,
    size_bin,
    size_bin_names,
)


def scatter(seed, density=0.12, shape=(6, 12, 12)):
    rng = generator("test", "scatter", seed)
    return ndimage.binary_dilation(rng.random(shape) < density / 6) & (rng.random(shape) < 0.9)


def components(mask, least):
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sets = [frozenset(map(tuple, np.argwhere(labels == number))) for number in range(1, count + 1)]
    return [s for s in sets if len(s) >= least], [s for s in sets if len(s) < least]


def best_total(true, found, threshold):
    """Greatest sum of admissible IoU over all one-to-one assignments, by trying them all."""
    iou = np.array([[len(a & b) / len(a | b) for b in found] for a in true]).reshape(len(true), len(found))
    iou[iou < threshold] = 0
    if len(true) > len(found):
        iou = iou.T
    choices = itertools.permutations(range(iou.shape[1]), iou.shape[0])
    return max((sum(iou[row, column] for row, column in enumerate(choice)) for choice in choices), default=0.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3]), st.integers(1, 4))
def test_matching_equals_brute_force(seed, threshold, least):
    reference, prediction = scatter(seed), scatter(seed) & scatter(seed + 1) | scatter(seed + 2, 0.05)
    true, tiny = components(reference, least)
    found, _ = components(prediction, least)
    if max(len(true), len(found)) > 7:
        return
    result = match_lesions(reference, prediction, 1.0, least, threshold)
    assert sorted(result.volumes) == sorted(map(len, true))
    assert result.ious.sum() == pytest.approx(best_total(true, found, threshold))
    assert np.all((result.ious == 0) | (result.ious >= threshold))
    outside = [f for f in found if not any(f & s for s in [*true, *tiny])]
    assert len(outside) <= result.false_positives <= len(found) - result.detected.sum()


def test_one_prediction_across_two_lesions_detects_one_of_them():
    reference, prediction = np.zeros((2, 3, 9, 9), bool)
    reference[1, 1:8, 1:4] = reference[1, 1:8, 6:8] = True
    prediction[1, 1:8, 1:8] = True
    result = match_lesions(reference, prediction, 1.0, 1, 0.1)
    assert result.detected.tolist() == [True, False] and result.false_positives == 0


def test_lesions_that_touch_at_a_corner_are_one():
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    assert match_lesions(mask, mask, 1.0, 1, 0.1).volumes.tolist() == [2]


def test_a_prediction_on_a_speck_of_the_reference_is_neither_hit_nor_false_positive():
    reference, prediction = np.zeros((2, 5, 9, 9), bool)
    reference[2, 2, 2] = prediction[2, 2, 2:4] = True
    result = match_lesions(reference, prediction, 1.0, 2, 0.1)
    assert len(result.volumes) == 0 and result.false_positives == 0
    prediction[2, 2, 7:9] = True
    assert match_lesions(reference, prediction, 1.0, 2, 0.1).false_positives == 1


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_the_number_of_a_lesion_does_not_depend_on_the_crop(seed):
    reference = scatter(seed)
    padded = np.pad(reference, ((2, 1), (5, 0), (3, 4)))
    here = match_lesions(reference, reference, 1.0, 1, 0.1).volumes
    np.testing.assert_array_equal(here, match_lesions(padded, padded, 1.0, 1, 0.1).volumes)


def panoptic(matching):
    return lesion_rows(False, matching)["panoptic_quality"]


def test_panoptic_quality_is_that_of_metrics_reloaded():
    """18 x 18 example of its tests (pitfalls paper, Fig. 3.51): 0.350 at an IoU of 0.5."""
    reference, prediction = np.zeros((2, 1, 18, 18), bool)
    for rows, columns in (((2, 7), (1, 3)), ((2, 5), (3, 6)), ((6, 12), (12, 17)), ((14, 15), (7, 10)), ((13, 16), (8, 9))):
        reference[0, slice(*rows), slice(*columns)] = True
    for rows, columns in (((3, 7), (1, 3)), ((3, 6), (3, 7)), ((13, 16), (4, 6)), ((7, 12), (13, 17)), ((13, 15), (13, 17))):
        prediction[0, slice(*rows), slice(*columns)] = True
    prediction[0, 15, 15] = True
    result = match_lesions(reference, prediction, 1.0, 1, 0.5)
    assert round(panoptic(result), 3) == 0.350
    assert result.touched.tolist() == [True, True, False] and (result.touching, result.untouching) == (2, 2)


@pytest.mark.parametrize(("threshold", "quality", "parts"), [(0.5, 0.25, None), (0.3, 0.45, (0.6, 0.75))])
def test_panoptic_quality_is_that_of_monai(threshold, quality, parts):
    """4 x 4 instances of its tests: PQ 0.25 at an IoU of 0.5; segmentation quality 0.6 and recognition quality 0.75 at 0.3."""
    found = np.array([[[0, 1, 1, 1], [0, 0, 0, 0], [2, 0, 3, 3], [4, 2, 2, 0]]])
    true = np.array([[[1, 1, 2, 1], [0, 0, 0, 0], [1, 3, 0, 0], [4, 3, 3, 3]]])
    box = (slice(0, 1), slice(0, 4), slice(0, 4))
    instances = (Components(labels, np.bincount(labels.ravel())[1:], box) for labels in (true, found))
    result = match_components(*instances, 1.0, 1, threshold)
    assert panoptic(result) == pytest.approx(quality)
    if parts is not None:
        assert result.ious[result.detected].mean() == pytest.approx(parts[0])
        assert lesion_rows(False, result)["f1"] == pytest.approx(parts[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_any_overlap_equals_brute_force(seed, least):
    reference, prediction = scatter(seed), scatter(seed) & scatter(seed + 1) | scatter(seed + 2, 0.05)
    (true, tiny), (found, _) = components(reference, least), components(prediction, least)
    result = match_lesions(reference, prediction, 1.0, least, 0.1)
    assert result.touched.sum() == sum(any(lesion & guess for guess in found) for lesion in true)
    assert result.touching == sum(any(lesion & guess for lesion in true) for guess in found)
    assert result.untouching == sum(not any(lesion & guess for lesion in [*true, *tiny]) for guess in found)


def test_diameter_is_that_of_the_ball_of_equal_volume():
    assert ball_diameter(4 / 3 * np.pi * 10**3 / 1000) == pytest.approx(20)
    assert ball_diameter(4.189) == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize(("diameter", "name"), [(3, "<=10"), (10, "<=10"), (10.1, "10-20"), (30, "20-30"), (31, ">30")])
def test_a_bound_belongs_to_the_bin_below(diameter, name):
    assert size_bin(diameter, [10.0, 20.0, 30.0]) == name
    assert size_bin_names([10.0, 20.0, 30.0]) == ["<=10", "10-20", "20-30", ">30"]
