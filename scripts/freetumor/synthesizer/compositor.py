"""Blending a rendered lesion into its organ: ``x' = (1 - a) x + a render``.

In the corrected form ``a`` is the blurred mask inside the mask and zero outside, voxels that change by no more than the
declared tolerance are given back unchanged, and the label is what changed: image and label agree voxel by voxel. In the
published form ``a`` reaches beyond the mask, and the label is the mask.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

HU_RANGE = (-32768, 32767)


@dataclass(frozen=True)
class Composite:
    """A painted patch."""

    image: np.ndarray  # int16 HU (z, y, x)
    lesion: np.ndarray  # bool (z, y, x): the label of the lesion


def soften(mask: np.ndarray, host: np.ndarray, spacing: tuple[float, ...], sigma: float, blurred_rim: bool) -> np.ndarray:
    """The blend weight a of a mask.

    Args:
        mask: bool (z, y, x).
        host: bool (z, y, x), where the organ is; a is zero outside it.
        spacing: mm per voxel.
        sigma: Gaussian blur in mm.
        blurred_rim: let a reach beyond the mask, as published.

    Returns:
        float32 array in [0, 1].

    Reference:
        Wu et al. 2025, eq. 1 (every voxel outside the mask keeps its value); the published code blurs beyond it.
    """
    alpha = gaussian_filter(mask.astype(np.float32), [sigma / s for s in spacing], truncate=4, mode="nearest")
    return np.where(host if blurred_rim else mask & host, np.clip(alpha, 0, 1), 0).astype(np.float32)


def composite(
    image: np.ndarray, rendered: np.ndarray, alpha: np.ndarray, mask: np.ndarray, tolerance: float, blurred_rim: bool
) -> Composite:
    """Blend ``rendered`` into ``image`` with weight ``alpha``.

    Args:
        image: the parent patch, int16 HU (z, y, x).
        rendered: the lesion, float32 HU, same shape.
        alpha: blend weight, float32, same shape.
        mask: the simulated mask, bool, same shape.
        tolerance: declared tolerance in HU.
        blurred_rim: label the mask, as published, instead of what changed.

    Raises:
        ValueError: if the shapes differ.
    """
    if not image.shape == rendered.shape == alpha.shape == mask.shape:
        raise ValueError("image, rendered lesion, weight and mask must have one shape")
    change = np.rint(alpha * (rendered - image)).astype(np.float32)
    painted = np.clip(image + change, *HU_RANGE).astype(np.int16)
    if blurred_rim:
        return Composite(painted, mask)
    lesion = np.abs(painted.astype(np.int32) - image) > tolerance
    return Composite(np.where(lesion, painted, image), lesion)
