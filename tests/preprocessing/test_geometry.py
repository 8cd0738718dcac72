"""Cropping, resampling and the way back neither move nor lose anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from freetumor.core.config import Preset
from freetumor.preprocessing import geometry
from freetumor.preprocessing.geometry import (
    apply_along,
    axis_matrix,
    choose_box,
    find_box,
    resample_image,
    resample_label,
    to_native,
    working_affine,
    working_shape,
)

NAMES = {1: "liver", 2: "liver_tumor"}


def ball(shape: tuple[int, ...], center: tuple[float, ...], radius: float, spacing: tuple[float, ...]) -> np.ndarray:
    """Voxels whose center lies within ``radius`` mm of ``center`` (voxels)."""
    axes = [(np.arange(n) - c) * s for n, c, s in zip(shape, center, spacing, strict=True)]
    return sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij")) <= radius**2


@given(
    start=st.integers(0, 5),
    kept=st.integers(1, 60),
    spacing=st.floats(0.3, 6),
    working=st.floats(0.5, 6),
)
def test_grids_share_their_outer_faces(start, kept, spacing, working):
    box = ((start, start + kept),) * 3
    shape = working_shape(box, (spacing,) * 3, (working,) * 3)
    assert shape[0] == max(1, round(kept * spacing / working))
    affine = working_affine(np.diag([spacing] * 3 + [1.0]), box, shape)
    first = (affine @ [-0.5, -0.5, -0.5, 1])[:3]
    last = (affine @ [shape[2] - 0.5, shape[1] - 0.5, shape[0] - 0.5, 1])[:3]
    np.testing.assert_allclose(first, (start - 0.5) * spacing, atol=1e-9)
    np.testing.assert_allclose(last, (start + kept - 0.5) * spacing, atol=1e-9)


@given(length=st.integers(2, 40), count=st.integers(1, 80), data=st.data())
def test_a_ramp_stays_a_ramp(length, count, data):
    step = length / count
    centers = (np.arange(count) + 0.5) * step - 0.5
    slope = data.draw(st.floats(-50, 50))
    result = axis_matrix(centers, length, step) @ (slope * np.arange(length)).astype(np.float32)
    inner = (centers - step / 2 >= 0) & (centers + step / 2 <= length - 1)
    np.testing.assert_allclose(result[inner], slope * centers[inner], atol=1e-5 * max(1, abs(slope) * length))
    assert result.min() >= min(0, slope * (length - 1)) - 1e-3
    assert result.max() <= max(0, slope * (length - 1)) + 1e-3


@pytest.mark.parametrize("shape", [(5, 7, 9), (2, 5, 6, 7), (6, 8)])
def test_an_axis_is_resampled_in_blocks_like_in_one(shape, monkeypatch):
    array = np.random.default_rng(2).integers(-1000, 1000, shape).astype(np.int16)
    monkeypatch.setattr(geometry, "BLOCK_BYTES", 3 * array.nbytes // min(shape))
    for axis, length in enumerate(shape):
        matrix = axis_matrix((np.arange(4) + 0.5) * length / 4 - 0.5, length, length / 4)
        expected = np.moveaxis(np.tensordot(matrix.toarray(), array.astype(float), (1, axis)), 0, axis)
        result = apply_along(matrix, array, axis)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-3)


def test_axes_that_keep_their_grid_leave_labels_outside_the_box_out():
    label = np.zeros((6, 12, 12), np.uint8)
    label[:, 2:10, 2:10] = 1
    box = ((2, 5), (0, 12), (0, 12))
    stored, _ = resample_label(label, box, (3, 6, 6), NAMES)
    whole, _ = resample_label(label, ((0, 6), (0, 12), (0, 12)), (6, 6, 6), NAMES)
    np.testing.assert_array_equal(stored, whole[2:5])
    assert stored.any()


def test_the_native_grid_is_left_alone():
    image = np.random.default_rng(0).integers(-1000, 1500, (9, 11, 13)).astype(np.int16)
    label = np.random.default_rng(1).integers(0, 3, (9, 11, 13)).astype(np.uint8)
    box = ((1, 9), (0, 10), (2, 13))
    inside = tuple(slice(*side) for side in box)
    shape = working_shape(box, (2, 2, 2), (2, 2, 2))
    np.testing.assert_array_equal(resample_image(image, box, shape), image[inside])
    working, rescued = resample_label(label, box, shape, NAMES)
    assert not rescued
    np.testing.assert_array_equal(working, label[inside])
    outside = np.ones(label.shape, bool)
    outside[inside] = False
    native, _ = to_native(working, box, label.shape)
    np.testing.assert_array_equal(native[inside], label[inside])
    assert not native[outside].any()


def test_added_probabilities_are_interpolated_like_any_and_rounded_once():
    shares = np.random.default_rng(4).dirichlet(np.ones(4), (6, 7, 8)).transpose(3, 0, 1, 2).astype(np.float32)
    box = ((1, 10), (0, 14), (2, 12))
    native, probability = to_native(shares, box, (11, 14, 13), added=(1, 3))
    centers = [(np.arange(e - s) + 0.5) * n / (e - s) - 0.5 for (s, e), n in zip(box, shares.shape[1:], strict=True)]
    grid = np.meshgrid(*centers, indexing="ij")
    expected = [ndimage.map_coordinates(share.astype(float), grid, order=1, mode="nearest") for share in shares]
    inside = tuple(slice(*side) for side in box)
    assert np.abs(probability[inside] - 255 * (expected[1] + expected[3])).max() <= 0.501
    assert (native[inside] == np.argmax(expected, axis=0)).mean() > 0.999
    outside = np.ones(probability.shape, bool)
    outside[inside] = False
    assert not probability[outside].any()


def test_refining_agrees_with_linear_interpolation_of_scipy():
    image = np.random.default_rng(2).integers(-1000, 1000, (8, 9, 10)).astype(np.int16)
    box = ((1, 7), (2, 8), (1, 9))
    shape = (11, 13, 17)
    centers = [s + (np.arange(m) + 0.5) * (e - s) / m - 0.5 for (s, e), m in zip(box, shape, strict=True)]
    grid = np.meshgrid(*centers, indexing="ij")
    expected = ndimage.map_coordinates(image.astype(float), grid, order=1, mode="nearest")
    assert np.abs(resample_image(image, box, shape) - expected).max() <= 0.51


def test_shrinking_removes_noise_that_the_coarse_grid_cannot_carry():
    image = np.random.default_rng(3).normal(0, 100, (48, 48, 48)).astype(np.int16)
    coarse = resample_image(image, ((0, 48),) * 3, (12, 12, 12))
    assert coarse.std() < 100 / 4**1.5  # below even the mean over 4 x 4 x 4 voxels, by the overlap of the triangles
    assert abs(coarse.mean() - image.mean()) < 2


@settings(max_examples=15, deadline=None)
@given(
    center=st.tuples(st.floats(14, 18), st.floats(14, 26), st.floats(14, 26)),
    radius=st.floats(10, 17),
    working=st.tuples(st.floats(1.5, 4), st.floats(1, 3), st.floats(1, 3)),
)
def test_a_ball_survives_the_journey_there_and_back(center, radius, working):
    spacing, native_shape = (2.5, 1.5, 1.5), (32, 40, 40)
    label = ball(native_shape, center, radius, spacing).astype(np.uint8)
    box = find_box(label > 0, 6, spacing)
    shape = working_shape(box, spacing, working)
    stored, _ = resample_label(label, box, shape, NAMES)
    back, _ = to_native(stored, box, native_shape)
    dice = 2 * (back & label).sum() / (back.sum() + label.sum())
    assert dice > 0.85
    shift = np.array(ndimage.center_of_mass(back)) - ndimage.center_of_mass(label)
    assert np.abs(shift * spacing).max() < 0.25 * max(working)
    assert abs(back.sum() / label.sum() - 1) < 0.15


def test_smooth_probabilities_come_back_exactly_where_they_decide():
    spacing, native_shape, box = (2.0, 1.0, 1.0), (20, 40, 40), ((2, 18), (4, 36), (4, 36))
    shape = working_shape(box, spacing, (2.0, 2.0, 2.0))
    centers = [s + (np.arange(m) + 0.5) * (e - s) / m - 0.5 for (s, e), m in zip(box, shape, strict=True)]
    plane = np.meshgrid(*centers, indexing="ij")[2] - 19.7  # a plane between columns 19 and 20
    probabilities = np.stack([0.5 - 0.02 * plane, 0.5 + 0.02 * plane]).astype(np.float32)
    native, _ = to_native(probabilities, box, native_shape)
    expected = np.zeros(native_shape, np.uint8)
    expected[2:18, 4:36, 20:36] = 1
    np.testing.assert_array_equal(native, expected)


def test_slabs_do_not_change_the_way_back(monkeypatch):
    probabilities = np.random.default_rng(5).random((3, 7, 8, 9)).astype(np.float32)
    box = ((1, 18), (2, 20), (0, 25))
    whole = to_native(probabilities, box, (20, 22, 26))
    monkeypatch.setattr("freetumor.preprocessing.geometry.SLAB_BYTES", 1)
    np.testing.assert_array_equal(to_native(probabilities, box, (20, 22, 26)), whole)


@settings(max_examples=25, deadline=None)
@given(places=st.lists(st.tuples(st.integers(1, 22), st.integers(1, 38), st.integers(1, 38)), min_size=1, max_size=6))
def test_no_lesion_is_lost_however_small(places):
    label = np.zeros((24, 40, 40), np.uint8)
    label[:, 8:34, 8:34] = 1
    for place in places:
        label[place] = 2
    stored, rescued = resample_label(label, ((0, 24), (0, 40), (0, 40)), (8, 13, 13), NAMES)
    assert rescued
    found = np.argwhere(stored == 2)
    for place in places:
        distance = np.abs((found + 0.5) * [24 / 8, 40 / 13, 40 / 13] - 0.5 - place).max(axis=1).min()
        assert distance <= 3.5


def test_ties_go_to_the_tumor():
    label = np.ones((4, 4, 4), np.uint8)
    label[:, :, :2] = 2
    stored, _ = resample_label(label, ((0, 4),) * 3, (1, 1, 1), NAMES)
    assert stored.item() == 2


def test_the_crop_is_what_the_preset_asks_for():
    label = np.zeros((20, 30, 30), np.uint8)
    label[8:12, 10:20, 10:15] = 1
    body = ((0, 20), (3, 28), (2, 29))
    fields = {"spacing": (2, 2, 2), "window": (0, 1), "patch": (8, 8, 8), "margin": 4.0}
    spacing = (4.0, 2.0, 1.0)
    assert choose_box(body, label, Preset(crop="body", **fields), spacing) == ((0, 20), (1, 30), (0, 30))
    assert choose_box(body, label, Preset(crop="organs", **fields), spacing) == ((7, 13), (8, 22), (6, 19))
    empty = np.zeros_like(label)
    assert choose_box(body, empty, Preset(crop="organs", **fields), spacing) == ((0, 20), (1, 30), (0, 30))
    assert find_box(empty > 0, 5, spacing) == ((0, 20), (0, 30), (0, 30))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_nothing_drifts_along_any_axis(axis):
    image = np.zeros((16, 16, 16), np.int16)
    image[(slice(None),) * axis + (slice(0, 8),)] = 1000
    for count in (5, 16, 31):
        shape = [16, 16, 16]
        shape[axis] = count
        result = resample_image(image, ((0, 16),) * 3, shape).mean(axis=tuple({0, 1, 2} - {axis}))
        edge = result.sum() / 1000 * 16 / count  # position of the edge in native voxels
        assert abs(edge - 8) < 0.05 * 16 / count + 0.02
