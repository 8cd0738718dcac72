"""Localization: boxes and points against the boxes of a reference.

A box is ``(low_1, ..., low_d, high_1, ..., high_d)`` in any unit, d = 2 or 3, with ``low < high`` on every axis. IoU falls
faster in 3-D: a box of twice the edge around another has an IoU of 1/4 in 2-D and of 1/8 in 3-D.

Assignment is greedy by score: each predicted box, the surest first (of equals, in the order given), takes the free reference
box of its image with the greatest IoU. A box whose greatest IoU is below the threshold is a false positive, and so is a
duplicate: a second box on a reference box that is taken.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np

THRESHOLDS = tuple(np.arange(50, 100, 5) / 100)  # of mAP 0.5:0.95


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of one set with every box of the other.

    Args:
        first: shape ``(n, 2 d)``.
        second: shape ``(m, 2 d)``.

    Returns:
        Shape ``(n, m)``.

    Raises:
        ValueError: if a box has no extent along an axis.
    """
    first, second = (np.asarray(boxes, float) for boxes in (first, second))
    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)))
    dimensions = first.shape[1] // 2
    for boxes in (first, second):
        if not (boxes[:, :dimensions] < boxes[:, dimensions:]).all():
            raise ValueError("a box has no extent: expected low < high on every axis")
    low = np.maximum(first[:, None, :dimensions], second[None, :, :dimensions])
    high = np.minimum(first[:, None, dimensions:], second[None, :, dimensions:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    sizes = [np.prod(boxes[:, dimensions:] - boxes[:, :dimensions], axis=1) for boxes in (first, second)]
    return common / (sizes[0][:, None] + sizes[1] - common)


def assign(
    boxes: np.ndarray, scores: np.ndarray, images: Sequence[Hashable], references: dict[Hashable, np.ndarray], iou: float
) -> np.ndarray:
    """Which predicted boxes are hits at an IoU threshold.

    Args:
        boxes: predicted, shape ``(n, 2 d)``.
        scores: of them, shape ``(n,)``.
        images: the image of each.
        references: boxes of each image, shape ``(m, 2 d)``; an image that is missing has none.
        iou: least IoU of a hit.

    Returns:
        Flags, shape ``(n,)``, in the order of ``boxes``.
    """
    free = {image: np.ones(len(known), bool) for image, known in references.items()}
    hits = np.zeros(len(scores), bool)
    for index in np.argsort(-np.asarray(scores, float), kind="stable"):
        image = images[index]
        if image not in free or not free[image].any():
            continue
        overlaps = np.where(free[image], box_iou(np.asarray(boxes)[index][None], references[image])[0], -1.0)
        best = int(overlaps.argmax())
        if overlaps[best] >= iou:
            free[image][best], hits[index] = False, True
    return hits


def average_precision(
    boxes: np.ndarray, scores: np.ndarray, images: Sequence[Hashable], references: dict[Hashable, np.ndarray], iou: float
) -> float:
    """Area under the precision-recall curve of boxes, step form: ``sum (R_i - R_{i-1}) P_i`` over descending thresholds.

    Boxes of equal score enter together. Precision is taken as it is, without an envelope that only falls, so that the number
    agrees with scikit-learn's. For the arguments see :func:`assign`.

    Returns:
        NaN without a reference box.
    """
    total = sum(map(len, references.values()))
    if not total:
        return math.nan
    scores = np.asarray(scores, float)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(assign(boxes, scores, images, references, iou)[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)[: len(scores)])
    return float(np.sum(np.diff(np.append(0, hits[last])) / total * hits[last] / (last + 1)))


def mean_average_precision(
    boxes: np.ndarray,
    scores: np.ndarray,
    images: Sequence[Hashable],
    references: dict[Hashable, np.ndarray],
    thresholds: Sequence[float] = THRESHOLDS,
) -> float:
    """Mean of :func:`average_precision` over IoU thresholds; mAP 0.5:0.95 in steps of 0.05 unless others are given."""
    return float(np.mean([average_precision(boxes, scores, images, references, iou) for iou in thresholds]))


def correct_localization(
    boxes: np.ndarray, scores: np.ndarray, images: Sequence[Hashable], references: dict[Hashable, np.ndarray], iou: float = 0.5
) -> float:
    """CorLoc: share of images with a reference box whose surest predicted box reaches the IoU with any of them.

    An image without a predicted box counts as wrong. For the arguments see :func:`assign`.

    Reference:
        Deselaers, Alexe and Ferrari 2010.
    """
    surest: dict[Hashable, int] = {}
    for index, (image, score) in enumerate(zip(images, scores, strict=True)):
        if image not in surest or score > scores[surest[image]]:
            surest[image] = index
    shown = [image for image, known in references.items() if len(known)]
    right = (
        image in surest and box_iou(np.asarray(boxes)[surest[image]][None], references[image]).max() >= iou for image in shown
    )
    return sum(right) / len(shown) if shown else math.nan


def pointing_game(
    points: dict[Hashable, Sequence[float]], references: dict[Hashable, np.ndarray], tolerance: float = 0.0
) -> float:
    """Share of images with a reference box whose point lies in one, or at most ``tolerance`` from it.

    Args:
        points: the most salient point of each image, shape ``(d,)``; an image without one counts as wrong.
        references: boxes of each image.
        tolerance: Euclidean distance in the unit of the boxes.

    Reference:
        Zhang, Lin, Brandt, Shen and Sclaroff 2016, there with a tolerance of 15 pixels.
    """
    shown = [image for image, known in references.items() if len(known)]
    if not shown:
        return math.nan
    hits = 0
    for image in shown:
        if image in points:
            point, known = np.asarray(points[image], float), np.asarray(references[image], float)
            low, high = known[:, : len(point)], known[:, len(point) :]
            away = np.linalg.norm(np.clip(low - point, 0, None) + np.clip(point - high, 0, None), axis=1)
            hits += bool((away <= tolerance).any())
    return hits / len(shown)
