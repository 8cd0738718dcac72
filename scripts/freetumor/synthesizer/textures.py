"""The texture T: smoothed Bernoulli noise, made on demand at the size that is wanted.

A box has the statistics of a crop of an endless texture: noise is drawn beyond its border as far as the Gaussians reach, and
what the published code measures on its one large volume (the range of the probability, the mean of the visible values) is
known beforehand. A Gaussian cannot tell noise per voxel from noise per cell of up to its own standard deviation, so noise is
drawn per cell, and smoothing is a product with one small matrix per axis.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincc, gammaincinv

from freetumor.core.config import Texture

from .separable import separable

if TYPE_CHECKING:
    import torch

LOW, HIGH = 0.05, 0.25  # range of the Bernoulli probability
VISIBLE = 0.12  # the published mean is taken over values above this
# From the least to the greatest value, smoothed noise in 420 x 300 x 320 mm spans this many of its standard deviations whatever
# sigma_a: 12.5, 13.5, 12.7, 12.8, 12.1 and 12.0 at 3, 4.5, 6, 9, 12 and 15 mm (means of 3 to 10 volumes; single ones differ by
# about 1). The extremes lie at the volume's border, where noise reflected by the filter varies more; inside it is 9.6 to 7.9.
SPAN = 12.5
MEAN, SPREAD = (LOW + HIGH) / 2, (HIGH - LOW) / SPAN  # mean and standard deviation of the probability
TAIL = 1e-5  # weights below are zero: they would only make slow, denormal numbers
CROWD = 100  # voxels under a Gaussian from which on it cannot tell cells from voxels


def make_texture(settings: Texture, shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw a texture in [0, 1].

    Noise is smoothed (sigma_a) and rescaled to the interval 0.05 to 0.25; each voxel is then one with that probability; the
    result is smoothed again (sigma_b) and scaled so that its mean over values above 0.12 is uniform in ``settings.level``.

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
    texture = separable(*_cells(settings, shape, spacing, rng))
    return np.clip(texture, 0, 1, out=texture)


def make_texture_tensor(
    settings: Texture, shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator, device: "torch.device"
) -> "torch.Tensor":
    """The same texture on ``device``, from the same random numbers: only the few cells travel there, not the voxels.

    Returns:
        float32 tensor of ``shape``, equal to :func:`make_texture` up to rounding.
    """
    import torch

    cells, matrices = _cells(settings, shape, spacing, rng)
    return separable(torch.tensor(cells).to(device), [torch.tensor(matrix).to(device) for matrix in matrices]).clamp_(0, 1)


def _cells(
    settings: Texture, shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Shares of ones in the cells, scaled to the level, and the matrices that smooth them and give the voxels."""
    spacing = tuple(float(s) for s in spacing)
    sigma_a, sigma_b = (float(sigmas[rng.integers(len(sigmas))]) for sigmas in (settings.sigma_a, settings.sigma_b))
    level = rng.uniform(*settings.level)
    cell = tuple(max(s, min(sigma_a, sigma_b)) for s in spacing) if _crowd(sigma_b, spacing) >= CROWD else spacing
    second = [_gaussian(n, s, sigma_b, c, 1) for n, s, c in zip(shape, spacing, cell, strict=True)]
    first = [_gaussian(matrix.shape[1], c, sigma_a, max(sigma_a, c), 2) for matrix, c in zip(second, cell, strict=True)]
    spots = _spots(first, prod(cell) / prod(spacing), rng)
    spots *= np.float32(level / _visible_mean(sigma_a, sigma_b, spacing))
    return spots, second


def _spots(matrices: list[np.ndarray], voxels: float, rng: np.random.Generator) -> np.ndarray:
    """Share of ones in each cell of so many ``voxels``; ``matrices`` smooth the noise that becomes their probability."""
    probability = separable(_noise([matrix.shape[1] for matrix in matrices], UNIFORM, rng), matrices)
    probability *= np.float32(SPREAD)
    probability += np.float32(MEAN)
    np.clip(probability, LOW, HIGH, out=probability)
    if voxels == 1:
        draws = np.frombuffer(rng.bytes(2 * probability.size), "<u2").reshape(probability.shape)
        return (draws < (probability * 65536).astype(np.uint16)).astype(np.float32)
    noise = _noise(probability.shape, _counts(voxels), rng)
    noise *= np.sqrt(probability * (1 - probability) / np.float32(voxels))
    return np.add(probability, noise, out=noise)


def _noise(shape: Sequence[int], values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Independent draws from 256 equally likely ``values``."""
    return values[np.frombuffer(rng.bytes(prod(shape)), np.uint8)].reshape(shape)


def _standardized(values: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1, float32."""
    return ((values - values.mean()) / values.std()).astype(np.float32)


UNIFORM = _standardized(np.arange(256))


@lru_cache(maxsize=512)
def _counts(voxels: float) -> np.ndarray:
    """Quantiles of the number of ones among ``voxels``, standardized: a gamma distribution, skewed as the binomial one is."""
    return _standardized(gammaincinv(4 * voxels * MEAN * (1 - MEAN) / (1 - 2 * MEAN) ** 2, (np.arange(256) + 0.5) / 256))


@lru_cache(maxsize=512)
def _gaussian(length: int, spacing: float, sigma: float, cell: float, norm: int) -> np.ndarray:
    """Gaussian weights (points, cells) of cells ``cell`` apart at ``length`` points ``spacing`` apart, float32.

    The cells reach 3 sigma beyond the points, and are the points where both are equally far apart. Rows of ``norm`` 1 sum to
    one and keep a mean, those of norm 2 keep the variance of noise.
    """
    extent = (length - 1) * spacing
    beyond = ceil(3 * sigma / cell)
    cells = ceil(extent / cell - 1e-6) + 1 + 2 * beyond
    nodes = (np.arange(cells) - (cells - 1) / 2) * cell
    points = (np.arange(length) - (length - 1) / 2) * spacing
    weights = np.exp(-0.5 * ((points[:, None] - nodes) / sigma) ** 2)
    weights[weights < TAIL] = 0
    weights /= np.linalg.norm(weights, norm, axis=1, keepdims=True)
    weights = weights.astype(np.float32)
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=512)
def _crowd(sigma: float, spacing: tuple[float, ...]) -> float:
    """Number of voxels whose plain mean varies as much as their Gaussian mean does: 1 / (sum of the squared weights)."""
    crowd = 1.0
    for voxel in spacing:
        weights = np.exp(-0.5 * (np.arange(-ceil(5 * sigma / voxel), ceil(5 * sigma / voxel) + 1) * voxel / sigma) ** 2)
        crowd *= weights.sum() ** 2 / (weights**2).sum()
    return crowd


@lru_cache(maxsize=512)
def _visible_mean(sigma_a: float, sigma_b: float, spacing: tuple[float, ...]) -> float:
    """Mean of the values above ``VISIBLE`` before they are scaled.

    They follow a beta distribution, which is that of single spots if nothing is smoothed and normal if much is; its variance is
    that of the smoothed probability plus that of the smoothed spots.
    """
    kept = (sigma_a / (sigma_a**2 + sigma_b**2) ** 0.5) ** len(spacing)
    single = MEAN * (1 - MEAN)
    size = max(single / (SPREAD**2 * kept + single / _crowd(sigma_b, spacing)) - 1, 1e-9)
    ones, zeros = MEAN * size, (1 - MEAN) * size
    return float(MEAN * betaincc(ones + 1, zeros, VISIBLE) / betaincc(ones, zeros, VISIBLE))
