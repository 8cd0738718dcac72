"""Class probabilities of a whole volume by sliding window."""

import math

import numpy as np
import torch
from torch import nn

from freetumor.core.device import Device

from .painters import to_tensor, window_image

WINDOW = 64  # least window in voxels: small patches make small windows, and many passes
WHOLE = 1_500_000  # volumes up to this many voxels are predicted in one pass
MULTIPLE = 32  # sizes that every network can halve often enough


@torch.inference_mode()
def predict_volume(
    network: nn.Module,
    image: np.ndarray,
    window: tuple[float, float],
    patch: tuple[int, int, int],
    overlap: float,
    device: Device,
) -> np.ndarray:
    """Softmax probabilities of a volume.

    Args:
        network: a segmentation network in evaluation mode.
        image: int16 HU (z, y, x).
        window: HU interval that the network sees.
        patch: training patch; the sliding window is at least this large, and the whole volume if that is small.
        overlap: overlap of neighboring windows.
        device: where to compute.

    Returns:
        float32 (classes, z, y, x).
    """
    from monai.inferers import sliding_window_inference

    whole = tuple(-(-length // MULTIPLE) * MULTIPLE for length in image.shape)
    size = whole if math.prod(whole) <= WHOLE else tuple(max(WINDOW, length) for length in patch)
    with device.autocast():
        logits = sliding_window_inference(
            to_tensor(window_image(image, window), device.torch),
            roi_size=size,
            sw_batch_size=1,
            predictor=network,
            overlap=overlap,
            mode="gaussian",
        )
    return logits[0].float().softmax(dim=0).cpu().numpy()
