"""Blending a rendered lesion into its organ: ``x' = (1 - a) x + a render``.

In the corrected form ``a`` is the blurred mask inside the mask and zero outside, voxels that change by no more than the
declared tolerance are given back unchanged, and the label is what changed: image and label agree voxel by voxel. In the
published form ``a`` reaches beyond the mask, and the label is the mask.

Both are computed in the bounding box of what they blur or change.
"""

from dataclasses import dataclass

import numpy as np

from freetumor.core.arrays import bounding_box

from .separable import separable

HU_RANGE = (-32768, 32767)
TRUNCATE = 4  # standard deviations at which the blur of the mask ends
TINY = 1e-6
AT_BORDER = 0.5  # of a blurred mask, where its border is flat


@dataclass(frozen=True)
class Composite:
    """A painted patch."""

    image: np.ndarray  # int16 HU (z, y, x)
    lesion: np.ndarray  # bool (z, y, x): the label of the lesion


def soften(
    mask: np.ndarray,
    host: np.ndarray,
    spacing: tuple[float, ...],
    sigma: float,
    blurred_rim: bool,
    border: float = AT_BORDER,
) -> np.ndarray:
    """The blend weight a of a mask.

    The blurred mask b is one half at the border of a large lesion, so a lesion begins there with half of its contrast. With a
    lower weight w at the border the rim fades: ``a = (b - c p) / (1 - c)`` where that is positive, ``c = (1/2 - w) / (1 - w)``.
    The greatest weight p, which is below one in lesions not much larger than the blur, stays as it is.

    Beyond the border of the array the mask goes on as it is there.

    Args:
        mask: bool (z, y, x).
        host: bool (z, y, x), where the organ is; a is zero outside it.
        spacing: mm per voxel.
        sigma: Gaussian blur in mm.
        blurred_rim: let a reach beyond the mask, as published.
        border: weight at the border, 0 to 1/2.

    Returns:
        float32 array in [0, 1].

    Reference:
        Wu et al. 2025, eq. 1 (every voxel outside the mask keeps its value); the published code blurs beyond it.
    """
    alpha = np.zeros(mask.shape, np.float32)
    box = bounding_box(mask)
    if box is None:
        return alpha
    target, matrices = [], []
    for part, length, voxel in zip(box, mask.shape, spacing, strict=True):
        margin = _radius(sigma / voxel) if blurred_rim else 0
        target.append(slice(max(part.start - margin, 0), min(part.stop + margin, length)))
        matrices.append(_blur(sigma / voxel, part, target[-1], length))
    blurred = separable(mask[box].astype(np.float32), matrices)
    target = tuple(target)
    inside = host[target] if blurred_rim else mask[box] & host[box]
    if border < AT_BORDER:
        lost = np.float32((AT_BORDER - border) / (1 - border))
        blurred -= lost * blurred.max(where=mask[box], initial=0)
        blurred /= 1 - lost
        np.maximum(blurred, 0, out=blurred)
    np.minimum(blurred, 1, out=blurred)
    np.multiply(blurred, inside, out=alpha[target])
    return alpha


def _radius(sigma: float) -> int:
    """Voxels after which a blur of ``sigma`` voxels ends."""
    return int(TRUNCATE * sigma + 0.5)


def _blur(sigma: float, source: slice, target: slice, length: int) -> np.ndarray:
    """The blur along an axis as a matrix: voxels ``source`` hold values, voxels ``target`` are wanted, others are empty.

    A source that touches an end of the axis, which has ``length`` voxels, goes on beyond it; ``sigma`` is in voxels.
    """
    radius = _radius(sigma)
    before, after = radius if source.start == 0 else 0, radius if source.stop == length else 0
    columns = np.arange(source.start - before, source.stop + after)
    distance = np.abs(np.subtract.outer(np.arange(target.start, target.stop), columns))
    taps = np.zeros(max(radius, int(distance.max())) + 1, np.float32)
    taps[: radius + 1] = np.exp(np.arange(radius + 1) ** 2 * (-0.5 / max(sigma, TINY) ** 2))
    taps /= 2 * taps.sum() - taps[0]
    matrix = taps[distance]
    if before:
        matrix[:, before] += matrix[:, :before].sum(axis=1)
    if after:
        matrix[:, -after - 1] += matrix[:, -after:].sum(axis=1)
    return matrix[:, before : len(columns) - after]


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
    painted, lesion = image.copy(), mask if blurred_rim else np.zeros(image.shape, bool)
    box = bounding_box(alpha != 0)
    if box is None:
        return Composite(painted, lesion)
    old = image[box].astype(np.float32)
    new = rendered[box] - old
    new *= alpha[box]
    np.rint(new, out=new)
    new += old
    np.clip(new, *HU_RANGE, out=new)
    if blurred_rim:
        painted[box] = new
        return Composite(painted, lesion)
    np.subtract(new, old, out=old)
    np.greater(np.abs(old, out=old), tolerance, out=lesion[box])
    np.copyto(painted[box], new, where=lesion[box], casting="unsafe")
    return Composite(painted, lesion)
