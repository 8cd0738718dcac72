"""Soft edges and smooth fields of the phantom."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.download.canvas import Canvas, Cosines, occupancy, smooth_union, upsample
from freetumor.download.scanner import Grid


def flat_canvas(shape=(30, 50, 50), spacing=(3.0, 2.0, 2.0), warp=0.0, pose=None):
    origin = -(np.array(shape) - 1) * spacing / 2
    grid = Grid(shape, spacing, np.diag(spacing), origin)
    return Canvas(grid, np.eye(3) if pose is None else pose, np.zeros(3), warp, generator("canvas"))


@settings(max_examples=25, deadline=None)
@given(radius=st.floats(12, 22), shift=st.tuples(*[st.floats(-1.5, 1.5)] * 3), scale=st.floats(0.01, 100))
def test_soft_edges_keep_the_volume_of_a_ball_whatever_the_scale_of_the_field(radius, shift, scale):
    canvas = flat_canvas()
    z, y, x = (c - s for c, s in zip((canvas.z, canvas.y, canvas.x), shift, strict=True))
    share = occupancy(((np.sqrt(z**2 + y**2 + x**2) - radius) * scale).astype(np.float32))
    assert share.sum() * math.prod(canvas.grid.spacing) == pytest.approx(4 / 3 * math.pi * radius**3, rel=0.03)


@given(offset=st.floats(-0.5, 0.5))
@settings(deadline=None)
def test_a_plane_across_an_axis_covers_exactly_the_share_of_its_voxel(offset):
    plane = np.broadcast_to(np.arange(-3, 4, dtype=np.float32)[:, None, None] - np.float32(offset), (7, 3, 3))
    np.testing.assert_allclose(occupancy(plane)[:, 1, 1], [1, 1, 1, 0.5 + offset, 0, 0, 0], atol=1e-5)


def test_tube_and_ellipsoid_agree_with_brute_force_distances():
    turn = math.radians(7)
    pose = np.array([[1, 0, 0], [0, math.cos(turn), -math.sin(turn)], [0, math.sin(turn), math.cos(turn)]])
    canvas = flat_canvas(warp=3.0, pose=pose)
    points, radii = [(-20, -10, -15), (5, 4, 0), (18, -8, 20)], [6.0, 6.0, 6.0]
    line = np.concatenate([np.linspace(a, b, 400) for a, b in itertools.pairwise(points)])
    places = np.stack([canvas.z, canvas.y, canvas.x], -1).reshape(-1, 3)[::7]
    expected = np.array([np.sqrt(((line - place) ** 2).sum(1).min()) for place in places]) - 6
    box, field = canvas.tube(points, radii)
    whole = np.full(canvas.grid.shape, 8.0, np.float32)
    whole[box] = field
    np.testing.assert_allclose(whole.ravel()[::7], np.minimum(expected, 8), atol=0.02)

    box, field = canvas.ellipsoid((2, 3, -4), (20, 12, 9))
    inside = np.zeros(canvas.grid.shape, bool)
    inside[box] = field < 0
    brute = ((canvas.z - 2) / 20) ** 2 + ((canvas.y - 3) / 12) ** 2 + ((canvas.x + 4) / 9) ** 2 < 1
    assert np.count_nonzero(inside != brute) <= 2  # rounding on the surface


def test_a_smooth_union_holds_both_parts_and_differs_only_near_both_surfaces():
    first, second = np.meshgrid(np.linspace(-20, 20, 81), np.linspace(-20, 20, 81))
    union = smooth_union(first, second, 4.0)
    assert (union <= np.minimum(first, second) + 1e-9).all()
    far = np.abs(first - second) > 4
    np.testing.assert_allclose(union[far], np.minimum(first, second)[far])
    assert (np.minimum(first, second) - union).max() == pytest.approx(1.0)  # a quarter of the blend


def test_smooth_fields_have_unit_variance_and_upsampling_is_linear():
    z, y, x = np.ogrid[0:400:10, 0:400:10, 0:400:10]
    values = [Cosines(generator("cosines", k), (20.0, 60.0))(z, y, x).std() for k in range(8)]
    assert np.mean(values) == pytest.approx(1, abs=0.1)
    nodes = np.add.outer(np.add.outer(np.arange(4.0), 2 * np.arange(3.0)), 5 * np.arange(2.0))
    fine = upsample(nodes, (10, 9, 6))
    expected = np.add.outer(np.add.outer(np.linspace(0, 3, 10), np.linspace(0, 4, 9)), np.linspace(0, 5, 6))
    np.testing.assert_allclose(fine, expected, atol=1e-5)
