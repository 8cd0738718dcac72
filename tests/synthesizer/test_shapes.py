"""Lesion masks: their geometry, their place, and that they stay inside the organ."""

import itertools

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats

from freetumor.core.config import Shape
from freetumor.core.seeding import generator
from freetumor.synthesizer.cases import Patch, canvas_patch, tumor_patch
from freetumor.synthesizer.shapes import (
    EllipsoidShape,
    RealShape,
    component_at,
    depth_of,
    ellipsoid,
    place,
    random_rotation,
    shifted,
)

SPACINGS = st.tuples(*[st.floats(0.5, 1.5)] * 3)
AXES = st.tuples(*[st.floats(10.0, 14.0)] * 3)
STILL = np.zeros((3, 4, 4, 4))


def draw_mask(shape, patch, organ, rng):
    return shape.draw(patch, organ, rng, shape.choose(organ, rng))


def draw_ellipsoid(spacing, axes, rotation, displacement=STILL):
    shape = [int(np.ceil(40 / s)) for s in spacing]
    center = np.array([n // 2 for n in shape])
    return ellipsoid(shape, spacing, center, np.array(axes), rotation, displacement), center


@settings(max_examples=25)
@given(SPACINGS, AXES, st.integers(0, 1000))
def test_without_deformation_the_volume_is_that_of_the_ellipsoid(spacing, axes, seed):
    mask, _ = draw_ellipsoid(spacing, axes, random_rotation(generator(seed)))
    assert mask.sum() * np.prod(spacing) == pytest.approx(4 / 3 * np.pi * np.prod(axes), rel=0.04)  # of voxels counted


@settings(max_examples=25)
@given(SPACINGS, AXES, st.integers(0, 1000))
def test_without_deformation_the_second_moments_are_those_of_the_ellipsoid(spacing, axes, seed):
    rotation = random_rotation(generator(seed))
    mask, center = draw_ellipsoid(spacing, axes, rotation)
    points = (np.argwhere(mask) - center) * spacing
    expected = rotation.T @ np.diag(np.square(axes) / 5) @ rotation  # of a solid ellipsoid, semi-axes along the rows
    assert np.abs(points.mean(axis=0)).max() < 0.3
    assert np.abs(np.cov(points.T) - expected).max() < 0.04 * max(axes) ** 2


def test_a_coarser_grid_shows_the_same_lesion():
    rng = generator("coarser")
    rotation, displacement = random_rotation(rng), rng.normal(0, 0.25, (3, 4, 4, 4))
    axes = np.array([9.0, 6.0, 7.5])
    fine = ellipsoid((49, 49, 49), (1, 1, 1), np.array([24, 24, 24]), axes, rotation, displacement)
    coarse = ellipsoid((17, 25, 49), (3, 2, 1), np.array([8, 12, 24]), axes, rotation, displacement)
    assert fine.any()
    assert np.array_equal(fine[::3, ::2], coarse)


def test_deformation_changes_the_shape_but_not_much_the_volume():
    rng = generator("deformed")
    volumes = []
    for _ in range(40):
        mask, _ = draw_ellipsoid((1, 1, 1), (9, 9, 9), np.eye(3), rng.normal(0, 0.25, (3, 4, 4, 4)))
        volumes.append(mask.sum() / (4 / 3 * np.pi * 9**3))
    assert np.std(volumes) > 0.02
    assert 0.8 < np.mean(volumes) < 1.25


def test_a_lesion_at_the_border_is_the_part_that_lies_inside():
    whole, center = draw_ellipsoid((1, 1, 1), (9, 9, 9), np.eye(3))
    part = ellipsoid((20, 40, 40), (1, 1, 1), center - [18, 0, 0], np.array([9.0, 9, 9]), np.eye(3), STILL)
    assert np.array_equal(part, whole[18:38])


def test_directions_are_uniform():
    rng = generator("rotation")
    matrices = np.array([random_rotation(rng) for _ in range(2000)])
    assert np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    # Every entry of a uniformly drawn orthogonal matrix is uniform in [-1, 1] (Archimedes).
    for i, j in itertools.product(range(3), repeat=2):
        assert stats.kstest(matrices[:, i, j], stats.uniform(-1, 2).cdf).pvalue > 1e-4


def flat_patch(label, spacing=(2.0, 2.0, 2.0)):
    return Patch(np.zeros(label.shape, np.int16), label, (0, 0, 0), spacing, "case", "patient", "source")


@pytest.mark.parametrize("kind", ["ellipsoid", "real"])
@pytest.mark.parametrize("organ", [0, 1])
def test_a_mask_is_connected_and_inside_healthy_organ(study, labeled, kind, organ):
    shape = EllipsoidShape(Shape()) if kind == "ellipsoid" else RealShape(labeled, study.organs)
    drawn = 0
    for index in range(60):
        rng = generator("inside", kind, organ, index)
        patch = tumor_patch(labeled[index % len(labeled)], study.working.patch, rng)
        mask = draw_mask(shape, patch, organ, rng)
        if mask is not None:
            drawn += 1
            assert mask.array.sum() >= 4
            assert (patch.label[mask.array] == 2 * organ + 1).all()  # healthy voxels of this organ, so no real tumor
            assert cc3d.connected_components(mask.array, connectivity=26).max() == 1
    assert drawn >= 20


def test_size_classes_have_their_probabilities_and_axes_their_jitter():
    settings = Shape(jitter=0.2)
    shape, patch = EllipsoidShape(settings), flat_patch(np.ones((20, 20, 20), np.uint8))
    facts = [draw_mask(shape, patch, 0, generator("sizes", index)).parameters for index in range(400)]
    counts = [sum(fact["size"] == size for fact in facts) for size in settings.radius]
    assert stats.chisquare(counts, np.array(list(settings.probability.values())) * 400).pvalue > 0.001
    ratios = np.array([np.array(fact["axes_mm"]) / settings.radius[fact["size"]] for fact in facts]).ravel()
    assert stats.kstest(ratios, stats.uniform(0.8, 0.4).cdf).pvalue > 0.001


def test_the_order_of_the_size_classes_changes_no_draw():
    plain = Shape()
    turned = Shape(radius=dict(reversed(plain.radius.items())), probability=dict(reversed(plain.probability.items())))
    chosen = [[EllipsoidShape(s).choose(0, generator("order", i)) for i in range(40)] for s in (plain, turned)]
    assert chosen[0] == chosen[1]


def test_a_drawn_lesion_is_turned():
    settings = Shape(radius={"medium": 12.0}, probability={"medium": 1.0}, jitter=0.5, deformation=0.0)
    patch, tilts = flat_patch(np.ones((40, 40, 40), np.uint8)), []
    for index in range(20):
        mask = draw_mask(EllipsoidShape(settings), patch, 0, generator("turned", index))
        spread = np.cov(np.argwhere(mask.array).T)
        tilts.append(abs(spread[0, 1]) / np.sqrt(spread[0, 0] * spread[1, 1]))
    assert np.mean(tilts) > 0.1  # of an ellipsoid along the axes of the grid it is zero


def test_a_lesion_is_cut_down_to_what_the_organ_can_hold():
    label = np.zeros((24, 24, 24), np.uint8)
    label[10:14, :, :] = 1  # a plate of four voxels of 2 mm: at most two voxels deep, distances from voxel to voxel
    settings = Shape(radius={"large": 20.0}, probability={"large": 1.0}, max_depth_ratio=1.5)
    for index in range(10):
        mask = draw_mask(EllipsoidShape(settings), flat_patch(label), 0, generator("plate", index))
        assert max(mask.parameters["axes_mm"]) <= 1.5 * 2 * 2.0 + 1e-3


def admissible(mask, spacing, radius):
    """Brute force: organ voxels in the middle half of the patch, at least half a radius (or 0.7 of the depth) deep."""
    depth = ndimage.distance_transform_edt(mask, sampling=spacing)
    middle = np.zeros_like(mask)
    middle[tuple(slice(n // 4, n - n // 4) for n in mask.shape)] = True
    depth = np.where(middle, depth, 0) if (depth * middle).any() else depth
    return {tuple(voxel) for voxel in np.argwhere((depth > 0) & (depth >= min(radius / 2, 0.7 * depth.max()) - 1e-4))}


@pytest.mark.parametrize("radius", [1.0, 4.0, 30.0])
def test_places_are_uniform_over_the_admissible_voxels(radius):
    spacing = (3.0, 2.0, 2.0)
    grid = np.stack(np.meshgrid(*(np.arange(16) * s for s in spacing), indexing="ij"))
    mask = (np.linalg.norm(grid - np.reshape([24, 15, 15], (3, 1, 1, 1)), axis=0) < 11) & (grid[1] > 9)
    depth, rng = depth_of(mask, spacing), generator("places", str(radius))
    voxels = sorted(admissible(mask, spacing, radius))
    drawn = [tuple(place(depth, radius, rng)) for _ in range(40 * len(voxels))]
    assert set(drawn) == set(voxels)
    counts = np.unique(np.array(drawn) @ [256, 16, 1], return_counts=True)[1]
    assert stats.chisquare(counts).pvalue > 0.001


@given(arrays(bool, (5, 6, 7)), st.floats(0.1, 100), st.integers(0, 100))
def test_placing_never_fails_where_the_organ_is(mask, radius, seed):
    center = place(depth_of(mask, (2.0, 1.0, 1.5)), radius, generator(seed))
    assert (center is not None) == mask.any()
    assert center is None or mask[tuple(center)]


def test_an_organ_that_fills_the_patch_offers_a_place():
    label = np.ones((12, 12, 12), np.uint8)
    assert place(depth_of(label == 1, (1, 1, 1)), 50.0, generator("full")) is not None
    assert draw_mask(EllipsoidShape(Shape()), flat_patch(label), 0, generator("full")) is not None


def test_no_organ_means_no_mask(study, labeled):
    empty = flat_patch(np.full((16, 16, 16), 2, np.uint8))
    assert draw_mask(EllipsoidShape(Shape()), empty, 0, generator("none")) is None
    assert draw_mask(RealShape(labeled, study.organs), empty, 0, generator("none")) is None
    assert draw_mask(RealShape([], study.organs), flat_patch(np.ones((16, 16, 16), np.uint8)), 0, generator("none")) is None


@given(arrays(bool, (6, 5, 7), elements=st.booleans()))
def test_depth_is_the_distance_to_the_nearest_voxel_outside(mask):
    outside = np.argwhere(~mask) * [2.0, 1.0, 1.5]
    depth = depth_of(mask, (2.0, 1.0, 1.5))
    for voxel in np.argwhere(mask)[:20]:
        distances = np.linalg.norm(outside - voxel * [2.0, 1.0, 1.5], axis=1)
        if len(distances):
            assert depth[tuple(voxel)] == pytest.approx(distances.min(), rel=1e-5)
    assert (depth[~mask] == 0).all()


def test_a_real_mask_carries_the_pixels_of_a_real_lesion(study, labeled):
    shape, size = RealShape(labeled, study.organs), study.working.patch
    by_id = {case.case_id: case for case in labeled}
    drawn = 0
    for index in range(40):
        rng = generator("transplant", index)
        patch, name = canvas_patch(labeled[index % 3], size, rng)
        organ = study.organs.index(name)
        mask = draw_mask(shape, patch, organ, rng)
        if mask is None:
            continue
        drawn += 1
        donor = by_id[mask.donor.case_id]
        tumor = donor.image[...][donor.read_label() == 2 * organ + 2]
        values, counts = np.unique(mask.donor.image[mask.array], return_counts=True)
        known = dict(zip(*np.unique(tumor, return_counts=True), strict=True))
        assert all(known.get(value, 0) >= count for value, count in zip(values, counts, strict=True))
    assert drawn >= 20


def test_the_component_is_the_one_at_the_center_or_the_largest():
    mask = np.zeros((5, 5, 9), bool)
    mask[2, 2, 0], mask[2, 2, 3:8] = True, True
    assert component_at(mask, np.array([2, 2, 0])).sum() == 1
    assert component_at(mask, np.array([0, 0, 0])).sum() == 5
    assert component_at(mask, None).sum() == 5
    assert component_at(np.zeros((3, 3, 3), bool), None).sum() == 0


@given(st.tuples(*[st.integers(-7, 7)] * 3))
def test_shifting_moves_every_voxel_by_the_shift(shift):
    array = np.arange(1, 61).reshape(3, 4, 5)
    moved = shifted(array, shift, 0)
    for voxel in itertools.product(range(3), range(4), range(5)):
        origin = tuple(np.subtract(voxel, shift))
        inside = all(0 <= a < n for a, n in zip(origin, array.shape, strict=True))
        assert moved[voxel] == (array[origin] if inside else 0)
