"""The product along three axes is the sum over all products."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.seeding import generator
from freetumor.synthesizer.separable import separable

LENGTHS = st.tuples(*[st.integers(1, 5)] * 3)


@given(LENGTHS, LENGTHS, st.integers(0, 100))
def test_each_axis_meets_its_own_matrix(lengths, wanted, seed):
    rng = generator("separable", seed)
    values = rng.random(lengths, dtype=np.float32)
    matrices = [rng.random((new, old), dtype=np.float32) for new, old in zip(wanted, lengths, strict=True)]
    expected = np.einsum("abc,za,yb,xc->zyx", values, *matrices)
    np.testing.assert_allclose(separable(values, matrices), expected, rtol=1e-5)
    tensor = separable(torch.tensor(values), [torch.tensor(matrix) for matrix in matrices])
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5)
