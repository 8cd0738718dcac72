"""Measures of how like two samples are: similarity of structure, discrepancies of features, nearest neighbors."""

from collections.abc import Callable, Sequence

import numpy as np

from .statistics.bootstrap import percentile_interval

HALVES = 200  # random halves of the samples, for intervals
SCALES = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # weights of MS-SSIM, from fine to coarse
SMALLEST = 32  # pixels per side of the coarsest scale; the window of SSIM has 11
CHUNK = 256  # images that are compared with the known ones at once
Bounded = tuple[float, float, float]  # a number and the bounds of its interval; NaN where there is none


def structural_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SSIM of pairs of images, over several scales where the images are large enough.

    The coarsest scale has at least 32 pixels per side; weights of the scales are those of Wang et al. 2003, made to sum to one.

    Args:
        a: images (pairs, n, n) in 0 to 1.
        b: images of the same shape.

    Returns:
        (pairs,), at most 1.
    """
    import torch
    from monai.metrics.regression import compute_ssim_and_cs
    from torch.nn.functional import avg_pool2d

    first, second = (torch.from_numpy(np.ascontiguousarray(array, np.float32))[:, None] for array in (a, b))
    scales = max(1, min(len(SCALES), (a.shape[1] // SMALLEST).bit_length()))
    product = np.ones(len(a))
    for scale, weight in enumerate(SCALES[:scales] / SCALES[:scales].sum()):
        similarity, structure = compute_ssim_and_cs(first, second, 2, (11, 11), (1.5, 1.5))
        term = (similarity if scale == scales - 1 else structure).flatten(1).mean(dim=1).clamp(min=0)
        product *= term.numpy().astype(float) ** weight
        first, second = avg_pool2d(first, 2), avg_pool2d(second, 2)
    return product


def cubic_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(a . b / d + 1)^3`` of features (samples, d): the kernel of the kernel inception distance."""
    return (a.astype(float) @ b.T.astype(float) / a.shape[1] + 1) ** 3


def squared_discrepancy(aa: np.ndarray, bb: np.ndarray, ab: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy from the kernel matrices within and between two samples.

    Reference:
        Gretton et al. 2012, lemma 6. Unbiased: negative in half of the cases where there is no difference.
    """
    within = [(kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in (aa, bb)]
    return float(sum(within) - 2 * ab.mean())


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of the normal distributions that two samples suggest: features (n, d) and (m, d), each of at least two.

    ``|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2))`` with unbiased covariances A and B. The trace of the root is the sum of
    the singular values of the product of the centered samples, so that few samples of many features are no trouble.
    The distance itself is biased upward by about ``tr(A + B) / n`` and more: only distances at equal n can be compared.

    Reference:
        Dowson and Landau 1982; its use on features of images by Heusel et al. 2017 (FID).
    """
    roots = [_root(sample) for sample in (a, b)]
    spread = sum(float(np.sum(root**2)) for root in roots)
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return float(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)) + spread - 2 * shared


def _root(sample: np.ndarray) -> np.ndarray:
    """A matrix R of few rows with R^T R the covariance of a sample (n, d)."""
    centered = (sample - sample.mean(axis=0)) / np.sqrt(len(sample) - 1)
    return np.linalg.qr(centered, mode="r") if len(centered) > centered.shape[1] else centered


def nearest_lesions(images: np.ndarray, known: np.ndarray, lesions: np.ndarray) -> np.ndarray:
    """Root mean square distances to the nearest training lesion and to the next one.

    Args:
        images: (samples, n, n).
        known: training images (known, n, n), several of a lesion.
        lesions: lesion of each of them (known,), counted from 0; at least two.

    Returns:
        (samples, 2); the first is the distance to the nearest training image.
    """
    order = np.argsort(lesions, kind="stable")
    flat = known[order].reshape(len(known), -1).astype(float)
    starts = np.flatnonzero(np.diff(lesions[order], prepend=-1))
    found = np.empty((len(images), 2))
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK].reshape(-1, flat.shape[1]).astype(float)
        squares = (part**2).sum(axis=1)[:, None] + (flat**2).sum(axis=1) - 2 * part @ flat.T
        by_lesion = np.minimum.reduceat(np.maximum(squares, 0), starts, axis=1)
        found[start : start + CHUNK] = np.sqrt(np.partition(by_lesion, 1, axis=1)[:, :2] / flat.shape[1])
    return found


def half_samples(statistic: Callable[..., float], sizes: Sequence[int], confidence: float, rng: np.random.Generator) -> Bounded:
    """A statistic of samples with an interval from random halves.

    The spread of a statistic over random halves without replacement is that of the statistic itself over new samples (the
    delete-half jackknife), also for an unbiased discrepancy, which drawing with replacement would bias.

    Args:
        statistic: function of one array of positions per sample.
        sizes: sizes of the samples.
        confidence: level of the interval.
        rng: source of randomness.

    Reference:
        Shao and Wu 1989.
    """
    halves = [[rng.permutation(size)[: max(2, size // 2)] for size in sizes] for _ in range(HALVES)]
    low, high = percentile_interval(np.array([statistic(*half) for half in halves]), confidence)
    return statistic(*(np.arange(size) for size in sizes)), low, high
