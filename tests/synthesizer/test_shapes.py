"""Lesion masks: their geometry, and that they stay inside the organ."""

import itertools

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from freetumor.core.config import Placement, Shape
from freetumor.core.seeding import generator
from freetumor.synthesizer.components import component_at
from freetumor.synthesizer.ellipsoid import ellipsoid, random_rotation
from freetumor.synthesizer.shapes import EllipsoidShape, RealShape, placed
from tests.cases import MemoryCase

SPACINGS = st.tuples(*[st.floats(0.5, 1.5)] * 3)
AXES = st.tuples(*[st.floats(10.0, 14.0)] * 3)
STILL = np.zeros((3, 4, 4, 4))


def drawn(shape, case, organ, *key):
    """Plan and mask of a lesion, drawn in its own box; None without a place."""
    rng = generator(*key)
    plan = shape.plan(case, organ, shape.choose(organ, rng), rng)
    if plan is None:
        return None, None, None
    half = [int(np.ceil(plan.reach / s)) for s in case.spacing]
    patch = case.patch([c - h for c, h in zip(plan.center, half, strict=True)], [2 * h + 1 for h in half])
    return plan, patch, shape.draw(patch, plan, rng)


def ellipsoids(**changes):
    return EllipsoidShape(Shape(**changes), Placement(), ["liver", "pancreas"])


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


@pytest.mark.parametrize("kind", ["ellipsoid", "real"])
@pytest.mark.parametrize("organ", [0, 1])
def test_a_mask_is_connected_inside_healthy_organ_and_within_reach(study, labeled, kind, organ):
    shape = ellipsoids() if kind == "ellipsoid" else RealShape(labeled, study.organs, Placement())
    found = 0
    for index in range(60):
        case = labeled[index % len(labeled)]
        plan, patch, mask = drawn(shape, case, organ, "inside", kind, organ, index)
        if mask is None:
            continue
        found += 1
        assert mask.array.sum() >= 4
        assert (patch.label[mask.array] == 2 * organ + 1).all()  # healthy voxels of this organ, so no real tumor
        assert cc3d.connected_components(mask.array, connectivity=26).max() == 1
        farthest = np.abs((np.argwhere(mask.array) + patch.corner - plan.center) * case.spacing).max()
        assert farthest <= plan.reach
    assert found >= 20


@pytest.mark.parametrize("kind", ["ellipsoid", "real"])
def test_a_larger_patch_shows_the_same_mask(study, labeled, kind):
    shape = ellipsoids() if kind == "ellipsoid" else RealShape(labeled, study.organs, Placement())
    compared = 0
    for index in range(20):
        plan, patch, mask = drawn(shape, labeled[0], 0, "larger", index)
        if mask is None:
            continue
        rng = generator("larger", index)
        shape.plan(labeled[0], 0, shape.choose(0, rng), rng)
        large = labeled[0].patch([c - 7 for c in patch.corner], [n + 15 for n in patch.image.shape])
        again = shape.draw(large, plan, rng)
        inner = tuple(slice(7, 7 + n) for n in patch.image.shape)
        assert np.array_equal(again.array[inner], mask.array)
        assert again.array.sum() == mask.array.sum()
        compared += 1
    assert compared >= 10


def solid(*shape):
    return MemoryCase(np.ones(shape, np.uint8))


def test_size_classes_have_their_probabilities_and_axes_their_jitter():
    shape, case = ellipsoids(jitter=0.2), solid(40, 40, 40)
    plans = [drawn(shape, case, 0, "sizes", index)[0] for index in range(400)]
    settings = shape.settings
    counts = [sum(plan.choice["size"] == size for plan in plans) for size in settings.radius]
    assert stats.chisquare(counts, np.array(list(settings.probability.values())) * 400).pvalue > 0.001
    ratios = np.array([np.array(plan.choice["axes_mm"]) / settings.radius[plan.choice["size"]] for plan in plans]).ravel()
    assert stats.kstest(ratios, stats.uniform(0.8, 0.4).cdf).pvalue > 0.001


def test_the_order_of_the_size_classes_changes_no_draw():
    plain = Shape()
    turned = Shape(radius=dict(reversed(plain.radius.items())), probability=dict(reversed(plain.probability.items())))
    shapes = [EllipsoidShape(settings, Placement(), ["liver"]) for settings in (plain, turned)]
    chosen = [[shape.choose(0, generator("order", index)) for index in range(40)] for shape in shapes]
    assert chosen[0] == chosen[1]


def test_an_organ_may_have_size_classes_of_its_own():
    sizes = {"radius": {"early": 4.0}, "probability": {"early": 1.0}}
    shape, label = ellipsoids(by_organ={"pancreas": sizes}), np.ones((40, 40, 40), np.uint8)
    label[:, :, 20:] = 3
    plans = [[drawn(shape, MemoryCase(label), organ, "own", index)[0] for index in range(10)] for organ in (0, 1)]
    assert {plan.choice["size"] for plan in plans[1]} == {"early"}
    assert all(max(plan.choice["axes_mm"]) <= 5 for plan in plans[1])
    assert "early" not in {plan.choice["size"] for plan in plans[0]}


def test_a_drawn_lesion_is_turned():
    shape = ellipsoids(radius={"medium": 12.0}, probability={"medium": 1.0}, jitter=0.5, deformation=0.0)
    case, tilts = solid(40, 40, 40), []
    for index in range(20):
        spread = np.cov(np.argwhere(drawn(shape, case, 0, "turned", index)[2].array).T)
        tilts.append(abs(spread[0, 1]) / np.sqrt(spread[0, 0] * spread[1, 1]))
    assert np.mean(tilts) > 0.1  # of an ellipsoid along the axes of the grid it is zero


def test_a_lesion_is_cut_down_to_what_the_organ_can_hold():
    label = np.zeros((24, 24, 24), np.uint8)
    label[10:14, :, :] = 1  # a plate of four voxels of 2 mm: at most two voxels deep, distances from voxel to voxel
    shape, case = ellipsoids(radius={"large": 20.0}, probability={"large": 1.0}, max_depth_ratio=1.5), MemoryCase(label)
    for index in range(10):
        assert max(drawn(shape, case, 0, "plate", index)[0].choice["axes_mm"]) <= 1.5 * 2 * 2.0 + 1e-3


def test_no_organ_means_no_plan_and_no_donor_no_lesion(study, labeled):
    empty, full = MemoryCase(np.full((16, 16, 16), 2, np.uint8)), solid(16, 16, 16)
    assert drawn(ellipsoids(), empty, 0, "none")[0] is None
    assert drawn(RealShape(labeled, study.organs, Placement()), empty, 0, "none")[0] is None
    assert drawn(RealShape([], study.organs, Placement()), full, 0, "none")[0] is None


def test_a_mask_of_three_voxels_is_none():
    label = np.zeros((9, 9, 9), np.uint8)
    label[4, 4, 3:6] = 1
    plan, _, mask = drawn(ellipsoids(), MemoryCase(label), 0, "three")
    assert plan is not None
    assert mask is None


def test_a_real_mask_carries_the_pixels_of_a_real_lesion(study, labeled):
    shape, found = RealShape(labeled, study.organs, Placement()), 0
    by_id = {case.case_id: case for case in labeled}
    for index in range(40):
        organ = index % 2
        _, _, mask = drawn(shape, labeled[index % 3], organ, "transplant", index)
        if mask is None:
            continue
        found += 1
        donor = by_id[mask.donor.case_id]
        tumor = donor.image[...][donor.read_label() == 2 * organ + 2]
        values, counts = np.unique(mask.donor.image[mask.array], return_counts=True)
        known = dict(zip(*np.unique(tumor, return_counts=True), strict=True))
        assert all(known.get(value, 0) >= count for value, count in zip(values, counts, strict=True))
    assert found >= 20


def test_the_component_is_the_one_at_the_center_or_the_largest():
    mask = np.zeros((5, 5, 9), bool)
    mask[2, 2, 0], mask[2, 2, 3:8] = True, True
    assert component_at(mask, np.array([2, 2, 0])).sum() == 1
    assert component_at(mask, np.array([0, 0, 0])).sum() == 5
    assert component_at(mask, None).sum() == 5
    assert component_at(np.zeros((3, 3, 3), bool), None).sum() == 0


@given(st.tuples(*[st.integers(-7, 7)] * 3), st.tuples(*[st.integers(1, 6)] * 3))
def test_pasting_moves_every_voxel_to_its_place(corner, shape):
    array = np.arange(1, 61).reshape(3, 4, 5)
    result = placed(array, corner, shape, 0)
    for voxel in itertools.product(*map(range, shape)):
        origin = tuple(np.subtract(voxel, corner))
        inside = all(0 <= a < n for a, n in zip(origin, array.shape, strict=True))
        assert result[voxel] == (array[origin] if inside else 0)
