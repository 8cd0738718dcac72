"""Windows of the diffusion painter: large enough for the lesion, drawn fairly, erased without a trace."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.config_synthesizer import Diffusion
from freetumor.core.labels import organ_code, tumor_code
from freetumor.core.seeding import generator
from freetumor.synthesizer.cases import AIR
from freetumor.synthesizer.diffusion_windows import LesionWindows, erase, scaled, window_size

HU = (-175.0, 250.0)
SETTINGS = Diffusion.model_validate({"margin": 2})  # stride 4
SIZE = (16, 16, 16)

lengths = st.tuples(*[st.integers(1, 40)] * 3)
patches = st.tuples(*[st.integers(4, 40)] * 3)


@given(lengths, patches, st.integers(0, 6))
def test_a_window_holds_lesion_and_margin_or_the_whole_patch(lesion, patch, margin):
    settings = Diffusion.model_validate({"margin": margin})
    size = window_size(np.array(lesion), settings, patch)
    for length, bound in zip(size, patch, strict=True):
        assert length % settings.stride == 0
        assert length >= min(max(lesion) + 2 * margin, bound)
        assert length - settings.stride < min(max(lesion) + 2 * margin, bound)


def ball(shape, radius):
    grid = np.indices(shape) - np.reshape(np.array(shape) // 2, (3, 1, 1, 1))
    return np.sqrt((grid**2).sum(axis=0)) <= radius


@pytest.mark.parametrize("organ", [0, 1])
def test_nothing_of_an_erased_lesion_is_left(organ):
    """A lesion with a blurred border in a noisy organ: the erased image says nothing of its contrast."""
    shape = (18, 20, 22)
    organ_voxels, lesion = ball(shape, 8), ball(shape, 4)
    label = organ_voxels * organ_code(organ) + lesion
    label[lesion] = tumor_code(organ)
    noise = generator("noise").normal(0, 10, shape)
    erased = []
    for contrast in (-80, 60):
        soft = np.clip(5.5 - np.linalg.norm(np.indices(shape) - np.reshape([9, 10, 11], (3, 1, 1, 1)), axis=0), 0, 1)
        image = np.rint(np.where(organ_voxels, 100, -80) + noise + contrast * soft).astype(np.int16)
        erased.append(erase(image, label, lesion, organ))
        changed = erased[-1] != image
        assert changed[lesion].mean() > 0.95
        assert not changed[~organ_voxels].any()
    assert np.array_equal(*erased)
    assert abs(erased[0][lesion].mean() - 100) < 3
    assert erased[0].dtype == np.float32


def test_a_lesion_that_fills_the_window_is_erased_too():
    image = np.full((8, 8, 8), 40, np.int16)
    lesion = np.ones(image.shape, bool)
    assert (erase(image, np.full(image.shape, 2, np.uint8), lesion, 0) == 0).all()
    lesion[0] = False
    image[0] = -90
    assert (erase(image, np.where(lesion, 2, 0).astype(np.uint8), lesion, 0)[1:] == -90).all()


def test_scaling_maps_the_window_to_minus_one_and_one():
    values = scaled(np.array([AIR, -175, 37.5, 250, 2000], np.float32), HU)
    np.testing.assert_allclose(values, [-1, -1, 0, 1, 1], atol=1e-6)


def test_every_annotated_lesion_is_learned_from_as_often(study, labeled, pool):
    windows = LesionWindows(labeled, pool, study.organs, SETTINGS, SIZE, HU)
    assert len(windows.lesions) == sum(len(case.lesions(organ)) for case in labeled for organ in study.organs)
    rng = generator("windows")
    drawn = [windows.lesion(rng) for _ in range(60)]
    assert {window.organ for window in drawn} == {0, 1}
    for window in drawn:
        assert window.lesion.sum() > 0
        assert set(np.unique(window.lesion)) <= {0, 1}
        inside = window.lesion > 0
        assert window.image[inside].mean() < window.erased[inside].mean()  # the made lesions are darker than their organ
        assert np.abs(window.image).max() <= 1
    assert len({window.image.tobytes() for window in drawn}) == 60


def test_a_lesion_larger_than_the_window_is_shown_in_part(study, labeled):
    settings = Diffusion.model_validate({"margin": 0})
    windows = LesionWindows(labeled, [], study.organs, settings, (8, 8, 8), HU)
    for number in range(20):
        window = windows.lesion(generator("part", number))
        assert window.image.shape <= (8, 8, 8)
        assert window.lesion.any()


def test_tissue_is_seen_at_lesions_and_elsewhere(study, labeled, pool):
    windows = LesionWindows(labeled, pool, study.organs, SETTINGS, SIZE, HU)
    rng = generator("tissue")
    levels = [windows.tissue(rng).mean() for _ in range(20)]
    assert len(set(levels)) == 20
    sizes = {windows.tissue(rng).shape for _ in range(40)}
    assert sizes <= {window_size(box[1::2] - box[::2], SETTINGS, SIZE) for _, _, box in windows.lesions}
