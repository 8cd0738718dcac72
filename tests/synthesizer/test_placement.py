"""Places are uniform over the admissible sites, and margins and neighbors are kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats

from freetumor.core.config import Placement
from freetumor.core.seeding import generator
from freetumor.synthesizer.placement import Box, deepest, plan_site
from freetumor.synthesizer.synthetic import Plan
from tests.cases import MemoryCase

FREE = Placement()


def blob(spacing):
    grid = np.stack(np.meshgrid(*(np.arange(16) * s for s in spacing), indexing="ij"))
    inside = (np.linalg.norm(grid - np.reshape([24, 15, 15], (3, 1, 1, 1)), axis=0) < 11) & (grid[1] > 9)
    return inside.astype(np.uint8)


def depth_of(mask, spacing):
    """Brute force: mm to the nearest voxel outside, the volume's border included."""
    return ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]


@pytest.mark.parametrize("radius", [1.0, 4.0, 30.0])
def test_places_are_uniform_over_the_admissible_voxels(radius):
    spacing = (3.0, 2.0, 2.0)
    mask = blob(spacing)
    depth = depth_of(mask > 0, spacing)
    voxels = {tuple(voxel) for voxel in np.argwhere((depth > 0) & (depth >= min(radius / 2, 0.7 * depth.max()) - 1e-4))}
    case, rng = MemoryCase(mask, spacing), generator("places", str(radius))
    assert deepest(case, 0) == pytest.approx(depth.max())
    drawn = [plan_site(case, 0, radius, radius, rng, FREE) for _ in range(40 * len(voxels))]
    assert set(drawn) == voxels
    counts = np.unique(np.array(drawn) @ [256, 16, 1], return_counts=True)[1]
    assert stats.chisquare(counts).pvalue > 0.001


@settings(max_examples=50, deadline=None)
@given(arrays(bool, (5, 6, 7)), st.floats(0.1, 100), st.integers(0, 100))
def test_placing_never_fails_where_the_organ_is(mask, radius, seed):
    center = plan_site(MemoryCase(mask.astype(np.uint8)), 0, radius, radius, generator(seed), FREE)
    assert (center is not None) == mask.any()
    assert center is None or mask[center]


def test_an_organ_that_is_not_there_offers_nothing():
    case = MemoryCase(np.ones((4, 4, 4), np.uint8))
    assert plan_site(case, 1, 3.0, 3.0, generator("none"), FREE) is None
    assert deepest(case, 1) == 0


def test_tumors_are_not_organ_and_their_neighborhood_is_shallow():
    label = np.ones((20, 20, 20), np.uint8)
    label[8:12, 8:12, 8:12] = 2
    case = MemoryCase(label)
    for index in range(200):
        center = plan_site(case, 0, 8.0, 8.0, generator("beside", index), FREE)
        assert label[center] == 1
        assert np.linalg.norm((np.argwhere(label == 2) - center) * 2.0, axis=1).min() >= 4.0 - 1e-4


def test_a_margin_is_kept_even_if_nothing_is_left():
    mask = blob((2.0, 2.0, 2.0))
    depth, case = depth_of(mask > 0, (2.0, 2.0, 2.0)), MemoryCase(mask)
    for index in range(100):
        assert depth[plan_site(case, 0, 1.0, 1.0, generator("margin", index), Placement(margin=5.0))] >= 5 - 1e-4
    assert plan_site(case, 0, 1.0, 1.0, generator("margin"), Placement(margin=50.0)) is None


def test_vessels_are_avoided_on_request():
    rng = generator("vessel")
    image = rng.normal(100, 10, (24, 24, 24))
    image[:, 11:14, 11:14] += 150
    case = MemoryCase(np.ones((24, 24, 24), np.uint8), image=image.astype(np.int16))
    away = [plan_site(case, 0, 1.0, 1.0, generator("away", i), Placement(vessel_margin=8.0)) for i in range(300)]
    near = [plan_site(case, 0, 1.0, 1.0, generator("away", i), FREE) for i in range(300)]
    distance = [[2 * np.linalg.norm(np.subtract(c[1:], 12)) for c in found] for found in (away, near)]
    assert min(distance[0]) > 8
    assert min(distance[1]) < 6


def test_no_vessel_is_seen_in_noise():
    image = generator("noise").normal(100, 10, (24, 24, 24)).astype(np.int16)
    case = MemoryCase(np.ones((24, 24, 24), np.uint8), image=image)
    assert plan_site(case, 0, 1.0, 1.0, generator("place"), Placement(vessel_margin=8.0)) is not None


def test_lesions_that_are_taken_are_never_touched():
    case, reach = MemoryCase(np.ones((40, 40, 40), np.uint8)), 10.0
    taken = []
    for index in range(40):
        center = plan_site(case, 0, 5.0, reach, generator("taken", index), FREE, taken)
        if center is None:
            continue
        taken.append(Plan(0, center, reach, 40.0))
    assert len(taken) > 4
    volume = np.zeros((40, 40, 40), int)
    for plan in taken:  # the boxes that hold all that they may reach
        volume[tuple(slice(max(c - 5, 0), c + 6) for c in plan.center)] += 1
    assert volume.max() == 1
    assert plan_site(case, 0, 5.0, 100.0, generator("full"), FREE, taken) is None


def test_only_sites_within_a_box_are_considered():
    case = MemoryCase(np.ones((20, 20, 20), np.uint8))
    box = Box((2, 3, 4), (9, 8, 7))
    for index in range(50):
        center = plan_site(case, 0, 1.0, 1.0, generator("within", index), FREE, within=box)
        assert all(a <= c < b for a, c, b in zip(box.low, center, box.high, strict=True))
    assert plan_site(case, 0, 1.0, 1.0, generator("within"), FREE, within=Box((30, 30, 30), (31, 31, 31))) is None
