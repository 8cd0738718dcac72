"""Gates: what is kept of what was painted."""

from typing import Protocol

import numpy as np
import torch
from torch import nn

from freetumor.core.config import Gate
from freetumor.core.labels import tumor_code

from .painters import to_tensor, window_image

PUBLISHED_THRESHOLD = 0.7


class Judging(Protocol):
    """A gate."""

    threshold: float

    def score(self, image: np.ndarray, lesion: np.ndarray, organ: int) -> float:
        """How well the lesion passes: accepted if the score is at least the threshold.

        Args:
            image: painted patch, int16 HU (z, y, x).
            lesion: its label, bool (z, y, x).
            organ: position of the organ in the study's list.
        """
        ...


class OpenGate:
    """Keeps everything."""

    threshold = float("-inf")

    def score(self, image: np.ndarray, lesion: np.ndarray, organ: int) -> float:
        """No score."""
        return float("nan")


class SegmenterGate:
    """The frozen segmenter must find the lesion.

    Corrected: the overlap (Dice) of the lesion with what the segmenter calls a tumor of this very organ, in the neighborhood of
    the lesion. As published: the share of the lesion that is called a tumor of any organ.

    Args:
        segmenter: the frozen segmenter.
        settings: gate settings.
        window: HU interval that networks see.
        device: where the segmenter lives.
        recall_only: the published score and threshold.
    """

    def __init__(
        self, segmenter: nn.Module, settings: Gate, window: tuple[float, float], device: torch.device, recall_only: bool
    ) -> None:
        self.segmenter, self.window, self.device, self.recall_only = segmenter, window, device, recall_only
        self.threshold = PUBLISHED_THRESHOLD if recall_only else settings.threshold

    def score(self, image: np.ndarray, lesion: np.ndarray, organ: int) -> float:
        """Dice or recall of the segmenter on the lesion."""
        with torch.inference_mode():
            logits = self.segmenter(to_tensor(window_image(image, self.window), self.device))
        found = logits[0].cpu().numpy().argmax(axis=0)  # torch takes ten times as long on a CPU
        return gate_score(found, lesion, organ, self.recall_only)


def gate_score(found: np.ndarray, lesion: np.ndarray, organ: int, recall_only: bool) -> float:
    """Agreement of predicted classes with a lesion.

    Args:
        found: predicted study codes (z, y, x).
        lesion: bool (z, y, x), not empty.
        organ: position of the organ.
        recall_only: recall of any tumor class instead of the Dice of the organ's own class.

    Returns:
        A number from 0 to 1. Other lesions in the patch do not count against it: Dice looks at the lesion's bounding box.

    Reference:
        Wu et al. 2025, released code: ``|F and argmax S in tumor classes| / |F| > 0.7``.
    """
    if recall_only:
        return float(((found[lesion] > 0) & (found[lesion] % 2 == 0)).mean())
    box = tuple(slice(max(int(i.min()) - 2, 0), int(i.max()) + 3) for i in np.nonzero(lesion))
    tumor, lesion = found[box] == tumor_code(organ), lesion[box]
    return float(2 * (tumor & lesion).sum() / max(int(tumor.sum() + lesion.sum()), 1))
