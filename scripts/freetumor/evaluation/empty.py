"""What an empty mask scores: the one place that decides it.

Common packages disagree here, and the usual habit of dropping undefined values rewards a network for missing a tumor. The
policy:

===============  =====================  =======================================================================
reference        prediction             score
===============  =====================  =======================================================================
empty            empty                  no segmentation row; a true negative for the specificity
not empty        empty ("missed")       the worst value: Dice, IoU and surface Dice 0, volume error 1, distances = image
                                        diagonal in mm
empty            not empty ("false      no row in the main metric; the worst value in ``<metric>_incl_empty``, which
                 alarm")                holds all rows of the main metric too
===============  =====================  =======================================================================

Lesion metrics follow the same idea: where there are reference lesions and none is predicted, sensitivity, precision, F1 and
panoptic quality are 0; where there is no reference lesion they have no row, and the count of false positives and the
specificity speak instead.

The promise that follows: replacing the prediction of a scan that has a tumor by an empty mask never improves a segmentation,
sensitivity, precision, F1 or panoptic value, of the scan or of a mean. (It does lower the number of false positives, as it
should. For a scan without tumor the empty mask is the right answer: there it improves the specificity and whatever includes
empty references, and leaves the other values alone.)
"""

from collections.abc import Mapping

import numpy as np

from freetumor.evaluation.lesions import Matching

INCLUDING_EMPTY = "_incl_empty"


def worst_values(diagonal: float) -> dict[str, float]:
    """The worst value of each segmentation metric in an image with a diagonal of ``diagonal`` mm."""
    overlap = dict.fromkeys(("dice", "iou", "surface_dice"), 0.0)
    return overlap | dict.fromkeys(("hd95", "assd", "masd"), diagonal) | {"volume_error": 1.0}


def segmentation_rows(
    reference_empty: bool, prediction_empty: bool, measured: Mapping[str, float] | None, diagonal: float
) -> dict[str, float]:
    """Apply the policy to the segmentation metrics of one structure of one scan.

    Args:
        reference_empty: whether the reference holds no voxel.
        prediction_empty: whether the prediction holds no voxel.
        measured: the values if neither is empty, else None.
        diagonal: of the image, in mm.

    Returns:
        The value of each metric that gets a row.
    """
    if reference_empty and prediction_empty:
        return {}
    if (measured is None) != (reference_empty or prediction_empty):
        raise ValueError("values are measured exactly if neither mask is empty")
    values = dict(worst_values(diagonal) if measured is None else measured)
    including = {name + INCLUDING_EMPTY: value for name, value in values.items()}
    return including if reference_empty else values | including


def lesion_rows(reference_empty: bool, matching: Matching) -> dict[str, float]:
    """Apply the policy to the lesion metrics of one structure of one scan.

    Args:
        reference_empty: whether the reference holds no voxel at all.
        matching: of the reference lesions and the predicted ones.

    Reference:
        Panoptic quality: Kirillov et al. 2019, the sum of IoU over matches, divided by the mean number of reference and
        predicted lesions; at the IoU of a match that the study sets, where the original takes 0.5.
    """
    lesions, hits, false_positives = len(matching.volumes), int(np.count_nonzero(matching.detected)), matching.false_positives
    rows = {"false_positives": float(false_positives)}
    if lesions:
        rows["lesion_sensitivity"] = hits / lesions
        rows["lesion_precision"] = hits / max(hits + false_positives, 1)
        rows["f1"] = 2 * hits / (lesions + hits + false_positives)
        rows["panoptic_quality"] = 2 * float(matching.ious.sum()) / (lesions + hits + false_positives)
        rows["overlap_sensitivity"] = float(matching.touched.mean())
        rows["overlap_precision"] = matching.touching / max(matching.touching + matching.untouching, 1)
    if reference_empty:
        rows["specificity"] = float(false_positives == 0)
    return rows
