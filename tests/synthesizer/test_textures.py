"""The texture has the published statistics, in millimeters."""

import numpy as np
import pytest

from freetumor.core.config import Texture
from freetumor.core.seeding import generator
from freetumor.synthesizer.textures import make_texture

SIZE, MM = (32, 32, 32), (1.0, 1.0, 1.0)


@pytest.mark.parametrize("spacing", [MM, (5.0, 1.25, 1.25)])
def test_values_lie_between_zero_and_one(spacing):
    for index in range(5):
        texture = make_texture(Texture(), SIZE, spacing, generator("range", index))
        assert texture.dtype == np.float32
        assert texture.shape == SIZE
        assert texture.min() >= 0
        assert texture.max() <= 1
        assert texture.std() > 0.01


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
    low, high = (make_texture(Texture(level=(level, level)), SIZE, MM, generator("level")) for level in (0.2, 0.3))
    assert np.allclose(low * 1.5, high, rtol=1e-5)
    assert 0.15 < low.mean() < 0.2  # most of the values are above the threshold; those below pull the mean down


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
