"""Boxes and points against closed forms, brute force and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.evaluation.localization import (
    assign,
    average_precision,
    box_iou,
    correct_localization,
    mean_average_precision,
    pointing_game,
)


def boxes_of(count, dimensions, *key):
    rng = generator("test", "localization", *key)
    low = rng.integers(0, 6, (count, dimensions))
    return np.concatenate([low, low + rng.integers(1, 5, (count, dimensions))], axis=1)


def voxels(box):
    half = len(box) // 2
    return set(itertools.product(*(range(a, b) for a, b in zip(box[:half], box[half:], strict=True))))


@pytest.mark.parametrize(("dimensions", "expected"), [(2, 0.25), (3, 0.125)])
def test_concentric_boxes_of_edge_one_and_two_have_the_iou_of_the_pitfalls_paper(dimensions, expected):
    inner, outer = [0.5] * dimensions + [1.5] * dimensions, [0] * dimensions + [2] * dimensions
    assert box_iou([inner], [outer]) == pytest.approx(expected)


@given(st.integers(0, 10**6), st.sampled_from([2, 3]))
def test_iou_is_that_of_the_voxels(seed, dimensions):
    first, second = boxes_of(4, dimensions, seed, "a"), boxes_of(3, dimensions, seed, "b")
    expected = [[len(voxels(a) & voxels(b)) / len(voxels(a) | voxels(b)) for b in second] for a in first]
    np.testing.assert_allclose(box_iou(first, second), expected)


def test_a_duplicate_is_a_false_positive_even_if_it_fits_better():
    reference = {"a": np.array([[0, 0, 4, 4]])}
    boxes = np.array([[0, 0, 4, 3], [0, 0, 4, 4]])
    assert assign(boxes, np.array([0.9, 0.8]), ["a", "a"], reference, 0.5).tolist() == [True, False]
    assert assign(boxes, np.array([0.8, 0.9]), ["a", "a"], reference, 0.5).tolist() == [False, True]


def test_a_box_counts_in_its_own_image_only():
    reference = {"a": np.array([[0, 0, 4, 4]]), "b": np.zeros((0, 4))}
    boxes, scores = np.array([[0, 0, 4, 4]] * 3), np.array([0.9, 0.8, 0.7])
    assert assign(boxes, scores, ["b", "c", "a"], reference, 0.5).tolist() == [False, False, True]


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_average_precision_equals_that_of_scikit_learn_where_every_reference_is_found(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = generator("test", "localization", "ap", seed)
    truth = np.append(rng.random(9) < 0.5, True)
    scores = rng.integers(0, 6, 10) / 6  # with ties
    boxes = np.array([[10 * i, 0, 10 * i + 5, 5] for i in range(10)])
    references = {"a": boxes[truth]}
    found = average_precision(boxes, scores, ["a"] * 10, references, 0.5)
    assert found == pytest.approx(metrics.average_precision_score(truth, scores))
    missed = {"a": np.concatenate([boxes[truth], [[0, 50, 5, 55]]])}
    assert average_precision(boxes, scores, ["a"] * 10, missed, 0.5) == pytest.approx(found * truth.sum() / (truth.sum() + 1))


def test_mean_average_precision_counts_the_thresholds_that_a_box_reaches():
    reference = {"a": np.array([[0, 0, 10, 10]])}
    shifted = np.array([[0, 0, 10, 8]])  # IoU 0.8: reaches 0.5, 0.55, ... 0.8, seven of ten
    assert mean_average_precision(shifted, np.array([1.0]), ["a"], reference) == pytest.approx(0.7)
    assert math.isnan(mean_average_precision(shifted, np.array([1.0]), ["a"], {}))
    assert average_precision(np.zeros((0, 4)), np.zeros(0), [], reference, 0.5) == 0


def test_correct_localization_looks_at_the_surest_box_of_each_image_with_a_reference():
    references = {"a": np.array([[0, 0, 4, 4], [6, 6, 8, 8]]), "b": np.array([[0, 0, 4, 4]]), "c": np.zeros((0, 4))}
    references["d"] = np.array([[0, 0, 4, 4]])  # nothing is predicted there
    boxes = np.array([[6, 6, 8, 8], [0, 0, 4, 4], [0, 0, 1, 1], [0, 0, 4, 4], [0, 0, 4, 4]])
    images, scores = ["a", "a", "b", "b", "c"], [0.9, 0.1, 0.9, 0.8, 1.0]
    assert correct_localization(boxes, scores, images, references) == pytest.approx(1 / 3)
    assert correct_localization(boxes, [0.9, 0.1, 0.7, 0.8, 1.0], images, references) == pytest.approx(2 / 3)
    assert math.isnan(correct_localization(boxes, scores, images, {}))


def test_pointing_game_counts_points_in_or_near_a_box():
    references = {"a": np.array([[0, 0, 0, 4, 4, 4]]), "b": np.array([[0, 0, 0, 4, 4, 4]]), "c": np.array([[0, 0, 0, 1, 1, 1]])}
    points = {"a": (2, 2, 2), "b": (4, 7, 8)}  # 3 and 4 beyond two faces: 5 away
    assert pointing_game(points, references) == pytest.approx(1 / 3)
    assert pointing_game(points, references, tolerance=4.9) == pytest.approx(1 / 3)
    assert pointing_game(points, references, tolerance=5.0) == pytest.approx(2 / 3)


def test_a_box_without_extent_is_refused():
    with pytest.raises(ValueError, match="no extent"):
        box_iou([[0, 0, 0, 4]], [[0, 0, 1, 1]])
