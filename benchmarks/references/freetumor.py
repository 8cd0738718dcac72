"""FreeTumor (Wu et al., 2025): a generator and a judge that slide over the box of the organ.

What is published: the generator is a 3-D U-Net of 19.1 M parameters with batch statistics, the judge a SwinUNETR of feature
size 48 with 72.8 M; the offline script crops the organ, slides both over it in windows of 96^3 at an overlap of 0.75,
simulates the mask, takes a texture, blurs the generator's map by a dense 7^3 kernel, composes, and asks the judge; up to ten
tries.

A network's time depends on its size alone: weights are random, one window is run, and its time is multiplied by the number of
windows. The second and later tries are not counted.
"""

import numpy as np
import torch
from monai.data.utils import dense_patch_slices
from scipy.ndimage import gaussian_filter
from torch import nn

from freetumor.core.config import Network
from freetumor.synthesizer.networks import build_network

from .syntumor import SIZES, bounding_box, random_mask

WINDOW = 96
OVERLAP = 0.75
SPACING_MM = 1.5  # the networks see volumes resampled to this
CLASSES = 7  # the judge's
GENERATOR = Network(name="unet3d", channels=[32])
JUDGE = Network(name="swin_unetr", channels=[48])
HU_WINDOW = (-175.0, 250.0)


def windows(organ_mm: tuple[float, ...]) -> int:
    """How many windows cover the box of an organ of this extent."""
    box = [max(round(length / SPACING_MM), WINDOW) for length in organ_mm]
    interval = [int(WINDOW * (1 - OVERLAP)) if length > WINDOW else WINDOW for length in box]
    return len(dense_patch_slices(box, (WINDOW,) * 3, interval))


def networks() -> tuple[nn.Module, nn.Module]:
    """Generator and judge with random weights."""
    generator = build_network(GENERATOR, 1, 3, seed=0, batch_statistics=True)
    return generator.eval(), build_network(JUDGE, 1, CLASSES, seed=0).eval()


def run_window(network: nn.Module, edge: int = WINDOW) -> None:
    """One window through a network."""
    with torch.inference_mode():
        network(torch.zeros(1, 1, edge, edge, edge))


def synthesis_step(
    image: np.ndarray, label: np.ndarray, texture: np.ndarray, size: str, change: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Mask, texture and composition of one tumor on the box of the organ.

    Args:
        image: float32 HU (x, y, z), a volume.
        label: uint8, 1 in the organ.
        texture: at least as large as the organ's box.
        size: key of ``syntumor.SIZES``.
        change: what the generator gave for the organ's box, float32.
        rng: source of randomness.

    Returns:
        The painted box in window units, float64.
    """
    box = bounding_box(label == 1)
    organ = label[box] == 1
    low, high = HU_WINDOW
    canvas = np.clip((image[box] - low) / (high - low), 0, 1)
    mask = random_mask(organ, SIZES[size], 1, rng)
    alpha = gaussian_filter(mask.astype(np.float64), rng.uniform(1, 2)) * organ
    start = [int(rng.integers(have - need + 1)) for have, need in zip(texture.shape, organ.shape, strict=True)]
    crop = texture[tuple(slice(a, a + n) for a, n in zip(start, organ.shape, strict=True))]
    return canvas - alpha * _blur(np.tanh(change)) * crop


def _blur(change: np.ndarray) -> np.ndarray:
    """A dense Gaussian kernel of 7^3 with sigma 1."""
    taps = torch.exp(-0.5 * torch.arange(-3.0, 4.0) ** 2)
    kernel = taps[:, None, None] * taps[:, None] * taps
    with torch.inference_mode():
        blurred = nn.functional.conv3d(torch.from_numpy(change)[None, None], (kernel / kernel.sum())[None, None], padding=3)
    return blurred[0, 0].numpy()
