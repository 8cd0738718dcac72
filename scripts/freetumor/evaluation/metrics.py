"""All metrics of one structure of one scan, at native resolution."""

from dataclasses import dataclass

import numpy as np

from freetumor.core.config import Evaluation, Triple
from freetumor.evaluation.empty import lesion_rows, segmentation_rows
from freetumor.evaluation.lesions import Matching, match_lesions
from freetumor.evaluation.overlap import dice, iou, volume_error
from freetumor.evaluation.surface import (
    average_distance,
    border_distances,
    hausdorff95,
    mean_average_distance,
    surface_dice,
)


@dataclass(frozen=True)
class Scan:
    """What a metric must know of the image besides the masks.

    Attributes:
        spacing: of the voxels in mm, (z, y, x).
        diagonal: of the image in mm.
    """

    spacing: Triple
    diagonal: float

    @classmethod
    def of(cls, shape: tuple[int, ...], spacing: Triple) -> "Scan":
        """The scan with voxels of ``spacing`` mm on a grid of ``shape``."""
        return cls(spacing, float(np.linalg.norm(np.multiply(shape, spacing))))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        return float(np.prod(self.spacing)) / 1000


def segmentation_metrics(reference: np.ndarray, prediction: np.ndarray, scan: Scan, settings: Evaluation) -> dict[str, float]:
    """Overlap and surface metrics of two masks, with the policy for empty ones, and both volumes in ml.

    Args:
        reference: boolean mask, (z, y, x); may be a crop of the image that holds both masks.
        prediction: boolean mask of the same shape.
        scan: geometry of the whole image.
        settings: tolerance of the surface Dice.
    """
    volumes = np.count_nonzero(reference), np.count_nonzero(prediction)
    measured = None
    if all(volumes):
        distances = border_distances(reference, prediction, scan.spacing)
        measured = {
            "dice": dice(reference, prediction),
            "iou": iou(reference, prediction),
            "surface_dice": surface_dice(reference, prediction, scan.spacing, settings.surface_tolerance),
            "hd95": hausdorff95(distances),
            "assd": average_distance(distances),
            "masd": mean_average_distance(distances),
            "volume_error": volume_error(reference, prediction),
        }
    rows = segmentation_rows(not volumes[0], not volumes[1], measured, scan.diagonal)
    return rows | {"reference_ml": volumes[0] * scan.voxel_ml, "predicted_ml": volumes[1] * scan.voxel_ml}


def lesion_metrics(
    reference: np.ndarray, prediction: np.ndarray, scan: Scan, settings: Evaluation
) -> tuple[dict[str, float], Matching]:
    """Lesion metrics of two masks, with the policy for scans without lesions, and the matching they rest on."""
    matching = match_lesions(reference, prediction, scan.voxel_ml, settings.min_lesion_ml, settings.match_iou)
    return lesion_rows(not reference.any(), matching), matching
