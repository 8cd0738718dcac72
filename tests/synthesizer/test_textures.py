"""The texture has the published statistics, in millimeters, whatever the size of the box."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from freetumor.core.config import Texture
from freetumor.core.seeding import generator
from freetumor.synthesizer.textures import make_texture, make_texture_tensor

SIZE, MM = (32, 32, 32), (1.0, 1.0, 1.0)
PUBLISHED_MM = (420, 300, 320)  # the volume from which the published code takes its crops


@pytest.mark.parametrize("spacing", [MM, (5.0, 1.25, 1.25)])
def test_values_lie_between_zero_and_one(spacing):
    for index in range(5):
        texture = make_texture(Texture(), SIZE, spacing, generator("range", index))
        assert texture.dtype == np.float32
        assert texture.shape == SIZE
        assert texture.min() >= 0
        assert texture.max() <= 1
        assert texture.std() > 0.01


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 11), (9, 2, 5)])
@pytest.mark.parametrize("spacing", [MM, (5.0, 0.7, 0.7), (20.0, 20.0, 20.0)])
def test_a_box_may_have_any_size(shape, spacing):
    texture = make_texture(Texture(level=(0.5, 0.5)), shape, spacing, generator("size"))
    assert texture.shape == shape
    assert np.isfinite(texture).all()


class Moments(NamedTuple):
    """Statistics of many textures of one level; correlations are at a distance of sigma_b and of twice sigma_b."""

    mean: float
    deviation: float
    skewness: float
    visible: float  # share of values above 0.12 before scaling
    low: float  # share of values a fifth below the mean
    near: float
    far: float


def moments(textures, step, threshold):
    """Statistics over ``textures``; ``step`` is sigma_b in voxels of the last axis."""
    mean = np.mean([texture.mean() for texture in textures])
    deviations = [texture - mean for texture in textures]
    power = [np.mean([(d**order).mean() for d in deviations]) for order in (2, 3)]
    products = [np.mean([(d[..., :-lag] * d[..., lag:]).mean() for d in deviations]) for lag in (step, 2 * step)]
    shares = [np.mean([(texture > value).mean() for texture in textures]) for value in (threshold, 0.8 * mean)]
    return Moments(mean, power[0] ** 0.5, power[1] / power[0] ** 1.5, shares[0], 1 - shares[1], *np.divide(products, power[0]))


def published(sigma_a, sigma_b, spacing, level, rng):
    """The published recipe, line by line, on a volume of the published size; its inner part and the threshold in its units."""
    shape = [int(length / s) for length, s in zip(PUBLISHED_MM, spacing, strict=True)]
    field = gaussian_filter(rng.random(shape, dtype=np.float32), [sigma_a / s for s in spacing], truncate=3)
    field = 0.05 + 0.2 * (field - field.min()) / (field.max() - field.min())
    spots = (rng.random(shape, dtype=np.float32) < field).astype(np.float32)
    texture = gaussian_filter(spots, [sigma_b / s for s in spacing], truncate=3)
    factor = level / texture[texture > 0.12].mean()
    border = [int(2 * sigma_a / s) + 1 for s in spacing]
    return np.clip(texture * factor, 0, 1)[tuple(slice(b, -b) for b in border)], 0.12 * factor


@pytest.mark.parametrize(
    ("sigma_a", "sigma_b", "spacing"),
    [
        pytest.param(9, 9, (3.0, 3.0, 3.0), id="cells"),  # each cell stands for 27 voxels, its noise is skewed
        pytest.param(9, 3, (3.0, 3.0, 3.0), id="voxels"),  # each voxel is drawn
        pytest.param(6, 5, (6.0, 2.5, 2.5), id="anisotropic"),  # cells of 6 x 5 x 5 mm
    ],
)
def test_a_small_box_is_a_crop_of_the_published_volume(sigma_a, sigma_b, spacing):
    """The range of one volume's noise, and so the strength of its texture, varies by about a tenth: three are averaged."""
    key = (sigma_a, sigma_b)
    step = round(sigma_b / spacing[2])
    volumes = [published(sigma_a, sigma_b, spacing, 0.5, generator("published", index, *key)) for index in range(3)]
    threshold = float(np.mean([volume[1] for volume in volumes]))
    expected = moments([volume[0] for volume in volumes], step, threshold)
    settings = Texture(sigma_a=[sigma_a], sigma_b=[sigma_b], level=(0.5, 0.5))
    boxes = [make_texture(settings, (5, 9, 2 * step + 3), spacing, generator("box", index, *key)) for index in range(4000)]
    found = moments(boxes, step, threshold)
    assert found.mean == pytest.approx(expected.mean, rel=0.012)
    assert found.deviation == pytest.approx(expected.deviation, rel=0.03)
    assert found.skewness == pytest.approx(expected.skewness, abs=0.03)
    assert found.visible == pytest.approx(expected.visible, abs=0.015)
    assert found.low == pytest.approx(expected.low, abs=0.005)
    assert found.near == pytest.approx(expected.near, abs=0.02)
    assert found.far == pytest.approx(expected.far, abs=0.02)


def test_a_box_is_the_same_at_its_border_as_in_its_middle():
    """Smoothing that stops or reflects at the border of the box would make it more or less varied there."""
    settings = Texture(sigma_a=[4.0], sigma_b=[4.0], level=(0.5, 0.5))
    boxes = np.array([make_texture(settings, (9, 9, 9), (1.0, 2.0, 3.0), generator("border", i)) for i in range(3000)])
    mean, deviation = boxes.mean(axis=0), boxes.std(axis=0)
    assert np.ptp(mean) < 8 * deviation.max() / 3000**0.5
    assert deviation.max() / deviation.min() < 1.15


def test_a_box_is_as_varied_as_a_crop():
    """One box differs from the next: neither its range nor its mean is adjusted to itself."""
    settings = Texture(sigma_a=[15.0], sigma_b=[4.0], level=(0.5, 0.5))
    whole = [make_texture(settings, (60, 60, 60), MM, generator("whole", index)) for index in range(40)]
    crops = [texture[a : a + 8, b : b + 8, c : c + 8] for texture in whole for a in (0, 52) for b in (0, 52) for c in (0, 52)]
    boxes = [make_texture(settings, (8, 8, 8), MM, generator("small", index)) for index in range(1000)]
    means = [np.std([part.mean() for part in parts]) for parts in (crops, boxes)]
    inner = [np.mean([part.std() for part in parts]) for parts in (crops, boxes)]
    assert means[1] == pytest.approx(means[0], rel=0.15)
    assert inner[1] == pytest.approx(inner[0], rel=0.1)


def test_without_smoothing_every_voxel_is_empty_or_at_the_level():
    """Then the values above 0.12 are ones, so their mean is the level, and their share is a probability of 0.05 to 0.25."""
    settings = Texture(sigma_a=[3.0], sigma_b=[0.1], level=(0.5, 0.55))
    levels = []
    for index in range(20):
        texture = make_texture(settings, SIZE, MM, generator("spots", index))
        (level,) = set(texture[texture > 0].tolist())
        levels.append(level)
        assert 0.05 < (texture > 0).mean() < 0.25
    assert 0.5 <= min(levels) < 0.51
    assert 0.54 < max(levels) <= 0.55


def test_the_texture_is_proportional_to_the_level():
    for index in range(3):
        low, high = (make_texture(Texture(level=(level, level)), SIZE, MM, generator("level", index)) for level in (0.2, 0.3))
        assert np.allclose(low * 1.5, high, rtol=1e-5)


def test_smoothing_is_in_millimeters():
    settings = Texture(sigma_a=[12.0], sigma_b=[4.0])
    texture = make_texture(settings, (32, 64, 64), (4.0, 1.0, 1.0), generator("mm"))
    per_voxel = [np.sqrt((np.diff(texture, axis=axis) ** 2).mean()) for axis in range(3)]
    assert per_voxel[1] == pytest.approx(per_voxel[2], rel=0.2)
    assert per_voxel[0] / per_voxel[1] == pytest.approx(4, rel=0.25)  # one voxel along z is four of them along y


def test_a_texture_belongs_to_its_generator():
    a, b, c = (make_texture(Texture(), SIZE, MM, generator("texture", key)) for key in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_tensor_is_the_array():
    arguments = Texture(), (20, 14, 17), (2.0, 1.0, 1.0)
    tensor = make_texture_tensor(*arguments, generator("tensor"), torch.device("cpu"))
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), make_texture(*arguments, generator("tensor")), atol=1e-6)
