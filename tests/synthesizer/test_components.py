"""Bounding boxes and components, against brute force."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from freetumor.core.arrays import bounding_box
from freetumor.synthesizer.components import component_at

SPARSE = arrays(bool, (4, 5, 6), elements=st.sampled_from([True, False, False, False, False]))


def touching(mask):
    """26-connected components by their voxels, in raster order of the first one."""
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return [labels == number for number in range(1, count + 1)]


@given(SPARSE)
def test_the_box_is_the_smallest_that_holds_the_mask(mask):
    box = bounding_box(mask)
    if not mask.any():
        assert box is None
    else:
        voxels = np.argwhere(mask)
        assert [part.start for part in box] == voxels.min(axis=0).tolist()
        assert [part.stop for part in box] == (voxels.max(axis=0) + 1).tolist()


@given(SPARSE, st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5)))
def test_the_component_is_the_one_at_the_voxel_or_the_largest(mask, voxel):
    parts = touching(mask)
    largest = max(parts, key=np.count_nonzero, default=mask)  # the first of equal ones
    at_voxel = next((part for part in parts if part[voxel]), largest)
    assert np.array_equal(component_at(mask, None), largest)
    assert np.array_equal(component_at(mask, np.array(voxel)), at_voxel)


def test_voxels_that_touch_at_a_corner_are_one_component():
    mask = np.zeros((6, 6, 6), bool)
    mask[[1, 2, 3], [1, 2, 3], [1, 2, 3]] = True
    assert component_at(mask, None) is mask  # nothing is copied where there is nothing to choose
    mask[5, 5, 5] = True
    assert component_at(mask, (3, 3, 3)).sum() == 3
    assert component_at(mask, (5, 5, 5)).sum() == 1
    assert mask.sum() == 4


def test_a_view_of_a_larger_array_has_the_components_of_its_copy():
    mask = np.random.default_rng(0).random((12, 14, 16)) < 0.1
    view = mask[1:11, ::-1, 3:12]
    assert np.array_equal(component_at(view, None), component_at(view.copy(), None))
    assert bounding_box(view) == bounding_box(view.copy())
