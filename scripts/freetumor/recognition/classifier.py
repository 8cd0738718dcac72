"""The network that classifies regions: as it is built, loaded and asked."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from freetumor.core.config import Config
from freetumor.synthesizer.networks import RoiCnn, build_network, load_network
from freetumor.synthesizer.painters import window_image

CHUNK = 256  # images that go through the network at once


def classifier_network(config: Config, seed: int) -> RoiCnn:
    """The recognizer of the study: one input channel, one output per category.

    Raises:
        UserError: if the patch is too small for it.
    """
    return build_network(config.recognition.network, 1, len(config.categories), seed, size=config.working.patch[1])


def load_classifier(path: str | Path, config: Config, device: torch.device) -> RoiCnn:
    """Load a trained recognizer, frozen, in evaluation mode.

    Raises:
        UserError: if the weights do not fit the network.
    """
    return load_network(path, classifier_network(config, seed=0), config, device)


def class_probabilities(network: RoiCnn, images: np.ndarray) -> np.ndarray:
    """Probabilities float32 (images, categories) of images (images, n, n) whose window is 0 to 1."""
    return _in_chunks(lambda x: network(x).softmax(dim=1), network, images)


def last_features(network: RoiCnn, images: np.ndarray) -> np.ndarray:
    """What the last layer before the categories gives, float32 (images, 256), for images (images, n, n) in 0 to 1."""
    return _in_chunks(network.features, network, images)


def window_images(images: Sequence[np.ndarray], config: Config) -> np.ndarray:
    """Images in HU, each (n, n), as networks see them: float32 (images, n, n) in 0 to 1."""
    n = config.working.patch[1]
    return np.array([window_image(image, config.working.window) for image in images], np.float32).reshape(-1, n, n)


@torch.inference_mode()
def _in_chunks(function: Callable[[Tensor], Tensor], network: RoiCnn, images: np.ndarray) -> np.ndarray:
    device = network.mean.device
    parts = torch.from_numpy(np.ascontiguousarray(images, np.float32))[:, None].split(CHUNK)
    return torch.cat([function(part.to(device)).cpu() for part in parts]).numpy()
