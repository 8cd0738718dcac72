"""The painter of grown tumors: contrast follows density, necrosis is darker, the lung gains tissue."""

import numpy as np
import pytest

from freetumor.core.config import Painter, Synthesizer, Texture
from freetumor.core.errors import UserError
from freetumor.core.seeding import generator
from freetumor.core.settings import validate
from freetumor.synthesizer.cases import Patch
from freetumor.synthesizer.states import StatesPainter
from freetumor.synthesizer.synthetic import Brush, Mask
from freetumor.synthesizer.textures import make_texture
from tests.factory import small_config

SHAPE, SPACING = (14, 26, 26), (3.0, 1.5, 1.5)
INNER = (slice(3, 11), slice(6, 20), slice(6, 20))  # blurring does not reach it from the patch's border


def brush(level, density=1.0, core=False, seed=0):
    patch = Patch(np.full(SHAPE, level, np.int16), np.ones(SHAPE, np.uint8), (0, 0, 0), SPACING, "case", "patient", "made")
    density = np.broadcast_to(np.float32(density), SHAPE)
    mask = Mask(density > 0, density=density, core=np.broadcast_to(np.asarray(core), SHAPE))
    return Brush(patch, 0, mask, np.ones(SHAPE, np.float32), generator("test", seed))


def render(*arguments, contrast=(80, 80), necrosis=(100, 100), polarity="subtract", **keywords):
    painter = StatesPainter(Painter(kind="states", contrast=contrast, necrosis=necrosis, polarity=polarity), Texture())
    return painter.render([brush(*arguments, **keywords)])[0]


def texture(seed=0):
    """The texture that the painter draws after its two contrasts."""
    rng = generator("test", seed)
    rng.uniform(size=2)
    return make_texture(Texture(), SHAPE, SPACING, rng)


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
def test_contrast_follows_density_whatever_the_canvas(density):
    for level in (-100, 110):
        rendered, drawn = render(level, density)
        np.testing.assert_allclose(rendered[INNER], level - (80 * density * texture())[INNER], atol=1e-2)
        assert drawn == {"contrast": 80, "necrosis": 100}


def test_necrosis_is_darker_by_texture_times_its_contrast():
    living, dead = render(110)[0], render(110, core=True)[0]
    np.testing.assert_allclose((living - dead)[INNER], (100 * texture())[INNER], atol=1e-2)


def test_states_are_blurred_only_slightly():
    density = np.zeros(SHAPE, np.float32)
    density[:, :, 13:] = 1
    change = (110 - render(110, density)[0]) / (80 * texture())
    np.testing.assert_allclose(change[INNER][:, :, :4], 0, atol=1e-2)
    np.testing.assert_allclose(change[INNER][:, :, -4:], 1, atol=1e-2)
    profile = change[7, 13]
    assert (np.diff(profile[8:18]) >= -1e-3).all()
    assert 0.05 < profile[12] < 0.5 < profile[13] < 0.95


def test_in_the_lung_tissue_takes_the_place_of_air_and_ends_there():
    thin, full, dead = (
        render(-850, density, core, contrast=(1e5, 1e5), polarity="add")[0][INNER]
        for density, core in ((1e-3, False), (1.0, False), (1.0, True))
    )
    bare = texture()[INNER]
    seen = bare > 0.05
    np.testing.assert_allclose(full[seen], 40, atol=1e-2)
    np.testing.assert_allclose(dead[seen], (40 - 100 * bare)[seen], atol=1e-2)
    np.testing.assert_allclose(thin, -850 + np.minimum(100 * bare, 890), atol=0.1)


def test_lesions_are_rendered_each_as_if_alone():
    painter = StatesPainter(Painter(kind="states"), Texture())
    together = painter.render([brush(110, seed=1), brush(90, 0.5, seed=2)])
    alone = [painter.render([brush(110, seed=1)])[0], painter.render([brush(90, 0.5, seed=2)])[0]]
    for (first, drawn), (second, again) in zip(together, alone, strict=True):
        assert np.array_equal(first, second)
        assert drawn == again


def test_contrasts_are_uniform_in_their_intervals():
    drawn = [render(110, contrast=(65, 145), necrosis=(90, 110), seed=seed)[1] for seed in range(100)]
    for key, low, high in (("contrast", 65, 145), ("necrosis", 90, 110)):
        values = np.array([facts[key] for facts in drawn])
        assert low <= values.min() <= values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / 10)


def test_the_painter_needs_a_grown_shape():
    Synthesizer.model_validate({"painter": {"kind": "states"}, "shape": {"kind": "automaton"}})
    raw = small_config().model_dump(mode="json")
    raw["synthesizers"]["constant"] |= {"painter": {"kind": "states"}}
    with pytest.raises(UserError, match=r"synthesizers.constant: the painter 'states' needs shape.kind 'automaton'") as error:
        validate(raw)
    assert "\n" not in str(error.value)
