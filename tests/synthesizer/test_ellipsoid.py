"""The ellipsoid against its formula, voxel by voxel."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.synthesizer.ellipsoid import ellipsoid, random_rotation


def squared_distance(voxel, spacing, center, axes, rotation, displacement):
    """``|diag(1/axes) R (p - c) + u(p)|^2`` at one voxel, written out; infinite outside the cube of 1.5 largest semi-axes."""
    offset = (np.array(voxel) - center) * spacing
    reach = 1.5 * max(axes)
    points = displacement.shape[1]
    bumps = []
    for position in offset / reach:
        bump = np.exp(-0.5 * ((position - np.linspace(-1, 1, points)) * (points - 1) / 1.4) ** 2)
        bumps.append(bump / bump.sum())
    warp = np.zeros(3)
    for a, b, c in itertools.product(range(points), repeat=3):
        warp += displacement[:, a, b, c] * bumps[0][a] * bumps[1][b] * bumps[2][c]
    voxels_away = (np.abs(offset) - reach) / spacing
    return np.inf if voxels_away.max() > 1 else float((((rotation @ offset) / axes + warp) ** 2).sum())


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.floats(0.6, 3.0)] * 3),
    st.tuples(*[st.floats(2.0, 9.0)] * 3),
    st.sampled_from([2, 4]),
    st.integers(0, 1000),
)
def test_a_voxel_is_inside_where_the_formula_says_so(shape, spacing, axes, points, seed):
    rng = generator("formula", seed)
    center = rng.integers(-2, np.array(shape) + 2)  # may lie outside the box
    rotation, displacement = random_rotation(rng), rng.normal(0, 0.25, (3, points, points, points))
    mask = ellipsoid(shape, spacing, center, np.array(axes), rotation, displacement)
    assert mask.shape == shape
    assert mask.dtype == bool
    for voxel in np.ndindex(shape):
        distance = squared_distance(voxel, np.array(spacing), center, np.array(axes), rotation, displacement)
        assert mask[voxel] == (distance <= 1) or abs(distance - 1) < 1e-5


@pytest.mark.parametrize("radius", [3, 5, 9])
def test_a_voxel_on_the_surface_is_inside(radius):
    """All lattice points at exactly the radius count, in whatever box they are evaluated: (0, 0, r) and, for 9, (4, 4, 7)."""
    axes, still = np.full(3, float(radius)), np.zeros((3, 4, 4, 4))
    for margin in range(4):
        length = 2 * (radius + margin) + 1
        mask = ellipsoid((length,) * 3, (1, 1, 1), np.full(3, radius + margin), axes, np.eye(3), still)
        offsets = np.stack(np.indices((length,) * 3)) - radius - margin
        assert np.array_equal(mask, (offsets**2).sum(axis=0) <= radius**2)


def test_a_large_lesion_is_evaluated_in_slabs_without_a_seam():
    rng = generator("slabs")
    rotation, displacement = random_rotation(rng), rng.normal(0, 0.2, (3, 4, 4, 4))
    axes = np.array([22.0, 27.0, 30.0])
    whole = ellipsoid((91, 93, 89), (1, 1, 1), np.array([45, 46, 44]), axes, rotation, displacement)
    for plane in range(0, 91, 13):  # one plane at a time fits into one slab
        center = np.array([45 - plane, 46, 44])
        assert np.array_equal(ellipsoid((1, 93, 89), (1, 1, 1), center, axes, rotation, displacement)[0], whole[plane])


def test_nothing_lies_in_a_box_out_of_reach():
    still = np.zeros((3, 4, 4, 4))
    for center in ([-40, 5, 5], [5, 60, 5], [-30, -30, 90]):
        assert not ellipsoid((10, 10, 10), (1, 2, 1), np.array(center), np.full(3, 5.0), np.eye(3), still).any()
