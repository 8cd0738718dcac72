"""The texture T: smoothed Bernoulli noise, made on demand at patch size."""

import numpy as np
from scipy.ndimage import gaussian_filter

from freetumor.core.config import Texture

LOW, HIGH = 0.05, 0.25  # range of the Bernoulli probability
VISIBLE = 0.12  # the published mean is taken over values above this


def make_texture(settings: Texture, shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw a texture in [0, 1].

    Uniform noise is smoothed (sigma_a) and rescaled to the interval 0.05 to 0.25; each voxel is then one with that probability;
    the result is smoothed again (sigma_b) and scaled so that its mean over values above 0.12 is uniform in ``settings.level``.

    Args:
        settings: the statistics.
        shape: voxels (z, y, x).
        spacing: mm per voxel.
        rng: source of randomness.

    Returns:
        float32 array of ``shape``.

    Reference:
        Hu et al. 2023 (SynTumor), as used by Wu et al. 2025. The published code smooths in voxels; here it is in mm, equal at
        1 mm spacing.
    """
    sigma_a, sigma_b = (float(rng.choice(sigmas)) for sigmas in (settings.sigma_a, settings.sigma_b))
    level = rng.uniform(*settings.level)
    field = gaussian_filter(rng.random(shape, dtype=np.float32), [sigma_a / s for s in spacing], truncate=3)
    field -= field.min()
    probability = LOW + (HIGH - LOW) * field / max(float(field.max()), 1e-6)
    spots = (rng.random(shape, dtype=np.float32) < probability).astype(np.float32)
    texture = gaussian_filter(spots, [sigma_b / s for s in spacing], truncate=3)
    visible = texture[texture > VISIBLE]
    if visible.size:
        texture *= level / float(visible.mean())
    return np.clip(texture, 0, 1)
