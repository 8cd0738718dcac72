"""Outside the lesion nothing changes, and the label is what changed."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats

from freetumor.core.labels import organ_code
from freetumor.core.seeding import generator
from freetumor.synthesizer.compositor import composite, soften
from freetumor.synthesizer.gates import OpenGate

SHAPE = (3, 4, 5)
CHANGES = arrays(np.float32, SHAPE, elements=st.floats(-3000, 3000, width=32))


@pytest.mark.parametrize("radius", [1, 3, 8])
def test_a_fading_rim_leaves_the_middle_of_a_lesion_as_it_is(radius):
    mask = np.linalg.norm(np.indices((21, 21, 21)) - 10, axis=0) <= radius
    host = np.ones(mask.shape, bool)
    published, fading = (soften(mask, host, (1.0, 1.0, 1.0), 2.0, False, border) for border in (0.5, 0.0))
    assert fading.max() == pytest.approx(published.max(), rel=1e-5)
    assert np.unravel_index(fading.argmax(), mask.shape) == (10, 10, 10)
    assert (fading <= published + 1e-6).all()
    edge = mask & ~ndimage.binary_erosion(mask)
    if radius > 1:
        assert fading[edge].mean() < 0.6 * published[edge].mean()


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


@pytest.mark.parametrize("rim", [False, True])
def test_what_is_painted_on_stays_as_it_was(rim):
    rng = generator("inputs")
    image, rendered = rng.integers(-500, 500, (4, 5, 6), dtype=np.int16), rng.normal(0, 300, (4, 5, 6)).astype(np.float32)
    mask = np.zeros((4, 5, 6), bool)
    alpha = np.zeros((4, 5, 6), np.float32)
    mask[1:3, 2:4, 1:5], alpha[1:3, 2:4, 1:5] = True, 0.5
    before = [array.copy() for array in (image, rendered, alpha, mask)]
    result = composite(image, rendered, alpha, mask, 1.0, rim)
    assert all(np.array_equal(a, b) for a, b in zip((image, rendered, alpha, mask), before, strict=True))
    assert np.array_equal(result.image[~mask], image[~mask])
    assert (result.image != image).sum() > 10
    assert not np.shares_memory(result.image, image)


def test_a_weight_of_zero_paints_nothing():
    image = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nothing = np.zeros(image.shape, np.float32)
    result = composite(image, nothing + 999, nothing, nothing > 0, 1.0, blurred_rim=False)
    assert np.array_equal(result.image, image)
    assert not result.lesion.any()


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
    fading = soften(mask, host, (0.5, 1.0, 1.0), sigma=2.0, blurred_rim=False, border=0.2)
    assert np.abs(fading[10:50, 1, 1] - np.maximum((expected - 0.375) / 0.625, 0)[10:50]).max() < 3e-3
    rim = soften(mask, host, (0.5, 1.0, 1.0), sigma=2.0, blurred_rim=True)
    assert np.abs(rim[10:50, 1, 1] - stats.norm.cdf(depth / 2.0)[10:50]).max() < 2e-3


@given(
    arrays(bool, (6, 7, 9), elements=st.sampled_from([True, False, False])),
    arrays(bool, (6, 7, 9)),
    st.tuples(*[st.floats(0.5, 5)] * 3),
    st.floats(0.0, 4),
    st.booleans(),
)
def test_the_weight_is_the_filtered_mask(mask, host, spacing, sigma, rim):
    """Whether the mask touches the border (it goes on beyond it) or not, and however far the blur reaches."""
    blurred = ndimage.gaussian_filter(mask.astype(float), [sigma / s for s in spacing], truncate=4, mode="nearest")
    expected = np.where(host if rim else mask & host, blurred, 0)
    alpha = soften(mask, host, spacing, sigma, rim)
    assert alpha.dtype == np.float32
    np.testing.assert_allclose(alpha, expected, atol=2e-6)


@given(arrays(bool, SHAPE), arrays(bool, SHAPE), st.booleans())
def test_the_weight_is_zero_outside_the_organ(mask, host, rim):
    alpha = soften(mask, host, (1.0, 1.0, 1.0), 1.5, rim)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert (alpha[~host] == 0).all()
    assert rim or (alpha[~mask] == 0).all()


def paint(synthesizer, cases, number, key):
    """Up to ``number`` lesions in turn in ``cases``, whatever a gate would say of them."""
    synthesizer = copy.copy(synthesizer)
    synthesizer.gate = OpenGate()
    for index in range(4 * number):
        case = cases[index % len(cases)]
        made = synthesizer.make(case, index // len(cases) % 2, generator("make", *key, index))
        if made.accepted:
            number -= 1
            yield made
        if number == 0:
            return


@pytest.mark.parametrize(("name", "wanted"), [("constant", 340), ("copy_paste", 330), ("freetumor", 330)])
def test_in_a_thousand_lesions_no_voxel_outside_the_label_differs(study, synthesizers, labeled, pool, name, wanted):
    tolerance = study.synthesizers[name].compositor.tolerance
    accepted = differing = 0
    for made in paint(synthesizers[name], [*labeled, *pool], wanted, (name,)):
        accepted += 1
        change = np.abs(made.image.astype(np.int32) - made.canvas.image)
        differing += int((change[~made.lesion] != 0).sum())
        assert np.array_equal(change > tolerance, made.lesion)
        assert (made.canvas.label[made.lesion] == organ_code(made.organ)).all()
    assert differing == 0
    assert accepted == wanted


def test_the_published_rim_changes_voxels_that_the_label_does_not_cover(synthesizers, labeled):
    """Defect `blurred_rim`: the same lesions, painted with and without it."""
    outside = []
    for rim in (False, True):
        synthesizer = copy.copy(synthesizers["constant"])
        synthesizer.blurred_rim = rim
        painted = list(paint(synthesizer, labeled, 20, ("rim",)))
        assert len(painted) == 20
        outside.append(sum(int(((made.image != made.canvas.image) & ~made.lesion).sum()) for made in painted))
    assert outside[0] == 0
    assert outside[1] > 1000
