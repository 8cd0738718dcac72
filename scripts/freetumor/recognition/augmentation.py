"""Standard augmentation with the paper's probabilities, and cut-and-join of patches."""

import numpy as np
import torch
from torch import Tensor

from freetumor.core.seeding import derive_seed
from freetumor.synthesizer.cases import Patch
from freetumor.synthesizer.painters import window_image

PROBABILITY_FLIP = 0.2  # per axis, and of a quarter turn in plane
PROBABILITY_INTENSITY = 0.1
INTENSITY = 0.1  # of the window
BETA = 0.2  # cut position ~ Beta(0.2, 0.2)


class StandardAugmentation:
    """Flips, quarter turns in plane if the patch is square there, intensity scale and shift.

    Args:
        window: HU interval in which intensities are scaled and shifted.
        size: voxels of a patch (z, y, x).

    Reference:
        Wu et al. 2025, released code (flips and turns p = 0.2, intensity 0.1 with p = 0.1).
    """

    def __init__(self, window: tuple[float, float], size: tuple[int, int, int]) -> None:
        from monai.transforms import Compose, RandFlipd, RandRotate90d, RandScaleIntensityd, RandShiftIntensityd

        both = ["image", "label"]
        self.window = window
        self.transform = Compose(
            [
                *[RandFlipd(both, prob=PROBABILITY_FLIP, spatial_axis=axis) for axis in range(3)],
                *[RandRotate90d(both, prob=PROBABILITY_FLIP, max_k=3, spatial_axes=(1, 2))] * (size[1] == size[2]),
                RandScaleIntensityd("image", factors=INTENSITY, prob=PROBABILITY_INTENSITY),
                RandShiftIntensityd("image", offsets=INTENSITY, prob=PROBABILITY_INTENSITY),
            ]
        )

    def __call__(self, patch: Patch, *key: str | int) -> Patch:
        """Augment a patch; the draw belongs to ``key``."""
        from monai.data import get_track_meta, set_track_meta

        self.transform.set_random_state(seed=derive_seed(*key) % 2**32)
        low, high = self.window
        arrays = {
            "image": torch.from_numpy(window_image(patch.image, self.window))[None],
            "label": torch.from_numpy(patch.label)[None],
        }
        tracked = get_track_meta()
        set_track_meta(False)  # a history of transforms, which nobody reads
        try:
            result = self.transform(arrays)
        finally:
            set_track_meta(tracked)
        image = np.rint(np.asarray(result["image"][0]) * (high - low) + low).astype(np.int16)
        label = np.asarray(result["label"][0]).astype(np.uint8)
        return Patch(image, label, patch.corner, patch.spacing, patch.case_id, patch.patient_id, patch.source)


def cut_and_join(images: Tensor, labels: Tensor, rng: np.random.Generator, independent_axes: bool) -> tuple[Tensor, Tensor]:
    """Cut every patch along y or x and join it with the rest of the next patch of the batch.

    Args:
        images: (batch, 1, z, y, x).
        labels: (batch, z, y, x).
        rng: source of randomness.
        independent_axes: draw the label's axis apart from the image's, as published (defect 5).

    Returns:
        New images and labels.
    """
    share = rng.beta(BETA, BETA)
    axis = int(rng.integers(1, 3))  # y or x, counted from z
    label_axis = int(rng.integers(1, 3)) if independent_axes else axis
    return _join(images, share, 2 + axis), _join(labels, share, 1 + label_axis)


def _join(batch: Tensor, share: float, axis: int) -> Tensor:
    length = batch.shape[axis]
    cut = round(share * length)
    other = torch.roll(batch, 1, dims=0)
    return torch.cat([batch.narrow(axis, 0, cut), other.narrow(axis, cut, length - cut)], dim=axis)
