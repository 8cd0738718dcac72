"""The painter of constant contrast: darker by the texture in an organ, up to tissue in the lung."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freetumor.core.config import Painter, Texture
from freetumor.core.seeding import generator
from freetumor.synthesizer.cases import Patch
from freetumor.synthesizer.painters import ConstantPainter
from freetumor.synthesizer.synthetic import Brush, Mask
from freetumor.synthesizer.textures import make_texture

SHAPE, SPACING = (10, 14, 12), (3.0, 1.5, 1.5)
WHOLE = Mask(np.ones(SHAPE, bool))


def canvas(values):
    image = np.broadcast_to(np.asarray(values, np.int16), SHAPE).copy()
    return Patch(image, np.ones(SHAPE, np.uint8), (0, 0, 0), SPACING, "case", "patient", "made")


def render(values, seed=0, **settings):
    painter = ConstantPainter(Painter(kind="constant", **settings), Texture())
    patch = canvas(values)
    brush = Brush(patch, 0, WHOLE, np.ones(SHAPE, np.float32), generator("test", seed))
    return patch.image, *painter.render([brush])[0]


def texture(seed):
    """The texture that a painter draws after its contrast."""
    rng = generator("test", seed)
    rng.uniform()
    return make_texture(Texture(), SHAPE, SPACING, rng)


@pytest.mark.parametrize("seed", [0, 1])
def test_subtracting_darkens_by_texture_times_contrast_whatever_the_canvas(seed):
    for level in (-100, 0, 250):
        image, rendered, drawn = render(level, seed, contrast=[80, 80])
        np.testing.assert_allclose(rendered, image - 80 * texture(seed), atol=1e-3)
        assert drawn == {"contrast": 80}


def test_adding_brightens_lung_by_texture_times_contrast():
    image, rendered, _ = render(-850, contrast=[400, 400], polarity="add")
    np.testing.assert_allclose(rendered, image + 400 * texture(0), atol=1e-2)


def test_adding_ends_at_the_density_of_tissue():
    image, rendered, _ = render(-850, contrast=[1e6, 1e6], polarity="add")
    np.testing.assert_allclose(rendered[texture(0) > 0.01], 40, atol=1e-2)
    assert (rendered >= image).all()


def test_a_vessel_in_the_lung_does_not_become_bone():
    values = np.full(SHAPE, -850)
    values[:, 6:8] = 40
    image, rendered, _ = render(values, contrast=[1800, 1800], polarity="add")
    assert (rendered[:, 6:8] == image[:, 6:8]).all()
    assert (rendered[:, :6] > image[:, :6]).all()


@given(st.integers(-1000, 40), st.floats(0, 3000), st.integers(0, 3))
def test_adding_never_darkens_air_or_tissue_and_never_exceeds_40_hu(level, contrast, seed):
    image, rendered, _ = render(level, seed, contrast=[contrast, contrast], polarity="add")
    assert (rendered >= image - 1e-2).all()
    assert (rendered <= 40 + 1e-2).all()


def test_the_contrast_is_uniform_in_its_interval():
    drawn = [render(0, seed, contrast=[30, 50])[2]["contrast"] for seed in range(200)]
    assert 30 <= min(drawn) < 31.5
    assert 48.5 < max(drawn) <= 50
    assert np.mean(drawn) == pytest.approx(40, abs=4 * (20 / 12**0.5) / 200**0.5)
