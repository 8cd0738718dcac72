"""Whether a lesion is a copy of another: the correlation of their voxels, at the shift where they correlate best."""

import numpy as np
from scipy.fft import irfftn, next_fast_len, rfftn

LEAST_SHARED = 27  # voxels; fewer correlate by chance


def copy_correlation(image: np.ndarray, mask: np.ndarray, other: np.ndarray, other_mask: np.ndarray) -> float:
    """Greatest normalized cross-correlation of two lesions over all whole-voxel shifts.

    Only voxels of both lesions count, since any two dark spots in a bright organ correlate. Shifts at which they share less
    than half of the larger lesion, or less than 27 voxels, do not count. Turned and mirrored copies are not looked for.

    Args:
        image: HU (z, y, x), the lesion's box.
        mask: bool, same shape.
        other: HU of the other lesion's box, of any shape.
        other_mask: bool, of the same shape as ``other``.

    Returns:
        From -1 to 1; NaN if there is no such shift.

    Reference:
        Padfield 2012, masked object registration in the Fourier domain, eq. 7.
    """
    sizes = sorted((int(mask.sum()), int(other_mask.sum())))
    least = max(LEAST_SHARED, sizes[1] / 2)
    if sizes[0] < least:
        return float("nan")
    shape = tuple(next_fast_len(a + b - 1, real=True) for a, b in zip(mask.shape, other_mask.shape, strict=True))
    ours, theirs = _spectra(image, mask, shape), [np.conj(item) for item in _spectra(other, other_mask, shape)]

    def correlate(a: int, b: int) -> np.ndarray:
        return irfftn(ours[a] * theirs[b], shape)

    shared = np.rint(correlate(0, 0))
    valid = shared >= least
    n = shared[valid]
    if not len(n):
        return float("nan")
    sums = correlate(1, 0)[valid], correlate(0, 1)[valid]
    spreads = [total - part**2 / n for total, part in zip((correlate(2, 0)[valid], correlate(0, 2)[valid]), sums, strict=True)]
    covariance = correlate(1, 1)[valid] - sums[0] * sums[1] / n
    flat = np.minimum(*spreads) < n  # a variance below 1 HU^2 is constant up to rounding
    scale = np.sqrt(np.maximum(spreads[0], 1) * np.maximum(spreads[1], 1))
    return float(np.clip(np.where(flat, 0, covariance / scale), -1, 1).max())


def _spectra(image: np.ndarray, mask: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Spectra of the mask, and of the values and squares inside it; values lose their mean, so that sums stay small."""
    values = np.where(mask, image - image[mask].mean(dtype=float), 0)
    return [rfftn(item, shape) for item in (mask.astype(float), values, values**2)]
