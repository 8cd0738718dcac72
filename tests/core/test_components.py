"""Components are those of SciPy, in arrays of any shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from freetumor.core.components import connected_components


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.booleans()))
def test_components_are_those_that_touch(mask):
    labels, count = connected_components(mask)
    expected, number = ndimage.label(mask, np.ones((3, 3, 3)))
    assert count == number
    assert labels.shape == mask.shape
    pairs = set(zip(labels[mask], expected[mask], strict=True))
    assert len(pairs) == count
    assert not labels[~mask].any()


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 1, 7), (1, 5, 5), (5, 5, 5), (9, 1, 9), (2, 3, 3)])
def test_lone_voxels_as_dense_as_can_be_are_told_apart(shape):
    mask = np.zeros(shape, bool)
    mask[::2, ::2, ::2] = True
    assert connected_components(mask)[1] == mask.sum()


def test_codes_that_touch_are_components_of_their_own():
    labels, count = connected_components(np.array([[[1, 1, 2, 0, 2]]], np.uint8))
    assert count == 3
    assert len(set(labels[labels > 0])) == 3
