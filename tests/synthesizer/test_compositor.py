"""Outside the lesion nothing changes, and the label is what changed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from freetumor.core.seeding import generator
from freetumor.synthesizer.assembly import ACCEPTED
from freetumor.synthesizer.cases import canvas_patch
from freetumor.synthesizer.compositor import composite, soften

SHAPE = (3, 4, 5)
CHANGES = arrays(np.float32, SHAPE, elements=st.floats(-3000, 3000, width=32))


@given(
    arrays(np.int16, SHAPE, elements=st.integers(-32768, 32767)),
    CHANGES,
    arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32)),
    st.floats(0.1, 20),
)
def test_every_voxel_is_the_blend_or_the_old_value(image, change, alpha, tolerance):
    rendered = image + change
    result = composite(image, rendered, alpha, alpha > 0, tolerance, blurred_rim=False)
    for voxel in np.ndindex(SHAPE):
        old, blend = int(image[voxel]), float(alpha[voxel]) * (float(rendered[voxel]) - int(image[voxel]))
        new = int(result.image[voxel])
        if result.lesion[voxel]:
            assert abs(new - old) > tolerance
            assert new == min(max(old + round(blend), -32768), 32767) or abs(abs(blend) % 1 - 0.5) < 0.01
        else:
            assert new == old
            assert abs(blend) <= tolerance + 0.51 or not -32768 <= old + blend <= 32767
    assert result.image.dtype == np.int16


def test_shapes_that_differ_are_refused():
    image, other = np.zeros((2, 2, 2), np.int16), np.zeros((2, 2, 3), np.float32)
    with pytest.raises(ValueError, match="one shape"):
        composite(image, other, other, other > 0, 1.0, False)


def test_the_weight_of_a_half_space_is_the_normal_distribution():
    mask, host = np.zeros((60, 3, 3), bool), np.ones((60, 3, 3), bool)
    mask[30:] = True
    alpha = soften(mask, host, (0.5, 1.0, 1.0), sigma=2.0, blurred_rim=False)
    depth = (np.arange(60) - 29.5) * 0.5  # mm from the border to the middle of the voxel
    expected = np.where(depth > 0, stats.norm.cdf(depth / 2.0), 0)
    assert np.abs(alpha[10:50, 1, 1] - expected[10:50]).max() < 2e-3
    rim = soften(mask, host, (0.5, 1.0, 1.0), sigma=2.0, blurred_rim=True)
    assert np.abs(rim[10:50, 1, 1] - stats.norm.cdf(depth / 2.0)[10:50]).max() < 2e-3


@given(arrays(bool, SHAPE), arrays(bool, SHAPE), st.booleans())
def test_the_weight_is_zero_outside_the_organ(mask, host, rim):
    alpha = soften(mask, host, (1.0, 1.0, 1.0), 1.5, rim)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert (alpha[~host] == 0).all()
    assert rim or (alpha[~mask] == 0).all()


def paint(synthesizer, study, case, key):
    patch, name = canvas_patch(case, study.working.patch, generator("canvas", *key))
    organ = study.organs.index(name)
    return patch, organ, synthesizer.make(patch, organ, generator("make", *key))


@pytest.mark.parametrize(("name", "wanted"), [("constant", 340), ("copy_paste", 330), ("freetumor", 330)])
def test_in_a_thousand_lesions_no_voxel_outside_the_label_differs(study, synthesizers, labeled, pool, name, wanted):
    cases = [*labeled, *pool]
    tolerance = study.synthesizers[name].compositor.tolerance
    accepted = differing = 0
    for index in range(4 * wanted):
        patch, organ, made = paint(synthesizers[name], study, cases[index % len(cases)], (name, index))
        change = np.abs(made.image.astype(np.int32) - patch.image)
        if made.outcome != ACCEPTED:
            assert np.array_equal(made.image, patch.image)
            assert np.array_equal(made.label, patch.label)
            continue
        accepted += 1
        differing += int((change[~made.lesion] != 0).sum())
        assert np.array_equal(change > tolerance, made.lesion)
        assert (made.label[made.lesion] == 2 * organ + 2).all()
        assert np.array_equal(made.label[~made.lesion], patch.label[~made.lesion])
        assert (patch.label[made.lesion] == 2 * organ + 1).all()
        if accepted == wanted:
            break
    assert differing == 0
    assert accepted == wanted


def test_the_published_rim_changes_voxels_that_the_label_does_not_cover(study, synthesizers, labeled):
    """Defect `blurred_rim`: the same lesions, painted with and without it."""
    synthesizer = synthesizers["constant"]
    outside = []
    for rim in (False, True):
        synthesizer.blurred_rim = rim
        total = 0
        for index in range(20):
            patch, _, made = paint(synthesizer, study, labeled[0], ("rim", index))
            total += int(((made.image != patch.image) & (made.label == patch.label)).sum())
        outside.append(total)
    synthesizer.blurred_rim = False
    assert outside[0] == 0
    assert outside[1] > 1000
