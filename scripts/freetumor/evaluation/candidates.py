"""Lesion candidates: what a map of tumor probability proposes, each with a confidence.

A segmentation knows one threshold; detection asks what would be found at any. The rule:

1. Components (26-connected) of the voxels above a floor are looked at. Those below the minimum volume of a lesion fall away.
2. A component whose threshold is at least half of its greatest probability is one candidate, and that probability is its
   confidence.
3. Any other is cut at the next threshold, 0.05 higher. Its parts of at least the minimum volume are looked at like components.
   If there is none, the component itself is the candidate.

So a candidate has the largest extent, down to half of its peak, in which it hangs together with no part that stands alone at a
higher threshold; a faint halo does not swell it, and a sure tumor has the extent that a segmentation would give it.

Candidates are matched to reference lesions one after the other, the surest first: each takes the free lesion of greatest IoU.
What is found at a threshold therefore does not depend on candidates below it. A second candidate of a lesion is a false
positive; one that overlaps only a reference component below the minimum volume is ignored.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from freetumor.core.components import connected_components
from freetumor.evaluation.lesions import (
    Box,
    Components,
    ball_diameter,
    bounding_box,
    common_voxels,
    find_components,
    large_enough,
)

LEVELS = 255  # a probability of 1 in a stored map
STEP = 13  # levels between thresholds
HIT, FALSE, IGNORED = "hit", "false", "ignored"


@dataclass(frozen=True)
class Candidates:
    """Candidates of one scan, the surest first.

    Attributes:
        extents: their voxels.
        confidences: greatest probability of each.
    """

    extents: Components
    confidences: np.ndarray


def find_candidates(probability: np.ndarray, voxel_ml: float, min_lesion_ml: float, floor: float) -> Candidates:
    """Candidates of a map of tumor probability.

    Args:
        probability: ``uint8`` in steps of 1/255, (z, y, x).
        voxel_ml: volume of a voxel.
        min_lesion_ml: smaller components are not candidates.
        floor: least probability of a voxel of a candidate.
    """
    lowest = math.ceil(LEVELS * floor)
    box = bounding_box(probability >= lowest)
    crop = np.ascontiguousarray(probability[box])
    labels, peaks = np.zeros(crop.shape, np.int32), []
    waiting = [(lowest, part) for part in _parts(crop, np.ones(crop.shape, bool), lowest, voxel_ml, min_lesion_ml)]
    while waiting:
        level, (place, inside) = waiting.pop()
        values = crop[place]
        peak = int(values.max(where=inside, initial=0))
        higher = level + STEP
        parts = _parts(values, inside, higher, voxel_ml, min_lesion_ml) if 2 * level < peak else ()
        found = [(_shifted(part, place), mask) for part, mask in parts]
        if found:
            waiting += [(higher, part) for part in found]
        else:
            peaks.append(peak)
            labels[place][inside] = len(peaks)
    return _by_confidence(labels, np.array(peaks, np.int64), box)


def candidate_rows(
    candidates: Candidates, reference: np.ndarray, voxel_ml: float, min_lesion_ml: float, match_iou: float
) -> list[dict[str, Any]]:
    """Match the candidates of a scan and describe them: columns of the table of candidates but those that name the case.

    Args:
        candidates: of the scan.
        reference: boolean mask of the whole scan, (z, y, x).
        voxel_ml: volume of a voxel.
        min_lesion_ml: smaller components of the reference are not lesions.
        match_iou: least IoU of a match; 0 means any overlap.
    """
    true = find_components(reference)
    is_lesion = large_enough(true.sizes, voxel_ml, min_lesion_ml)
    overlaps = common_voxels(true, candidates.extents)
    sizes = candidates.extents.sizes
    iou = overlaps / (true.sizes[:, None] + sizes - overlaps)
    iou[iou < match_iou] = 0
    lesion_iou, small_iou = iou[is_lesion], iou[~is_lesion]
    touches, touches_small = overlaps[is_lesion] > 0, (overlaps[~is_lesion] > 0).any(axis=0)
    free, rows = np.ones(len(lesion_iou), bool), []
    for number, confidence in enumerate(candidates.confidences):
        options = np.where(free, lesion_iou[:, number], 0)
        best = int(options.argmax()) if options.any() else -1
        free[best : best + 1] = False
        volume = float(sizes[number] * voxel_ml)
        rows.append(
            {
                "candidate": number + 1,
                "confidence": float(confidence),
                "volume_ml": volume,
                "diameter_mm": float(ball_diameter(volume)),
                "outcome": _outcome(best >= 0, bool(small_iou[:, number].any())),
                "lesion": best + 1,
                "iou": float(options[best]) if best >= 0 else 0.0,
                "outcome_overlap": _outcome(bool(touches[:, number].any()), bool(touches_small[number])),
                "touched": json.dumps((np.flatnonzero(touches[:, number]) + 1).tolist()),
            }
        )
    return rows


def _parts(
    values: np.ndarray, inside: np.ndarray, level: int, voxel_ml: float, min_lesion_ml: float
) -> Iterator[tuple[Box, np.ndarray]]:
    """Components of the voxels of ``inside`` from ``level`` on that are large enough: box and mask in it of each."""
    labels, _ = connected_components((values >= level) & inside)
    sizes = np.bincount(labels.ravel())
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if large_enough(sizes[number], voxel_ml, min_lesion_ml):
            yield place, labels[place] == number


def _shifted(part: Box, place: Box) -> Box:
    return tuple(slice(a.start + b.start, a.stop + b.start) for a, b in zip(part, place, strict=True))


def _by_confidence(labels: np.ndarray, peaks: np.ndarray, box: Box) -> Candidates:
    """Number candidates by confidence; of equals, the one whose first voxel comes first."""
    names = labels[labels > 0]
    first = np.zeros(len(peaks) + 1, np.int64)
    first[names[::-1]] = np.arange(len(names))[::-1]
    order = np.lexsort((first[1:], -peaks))
    numbers = np.zeros(len(peaks) + 1, np.int32)
    numbers[order + 1] = np.arange(1, len(peaks) + 1)
    sizes = np.bincount(names, minlength=len(peaks) + 1)[order + 1]
    return Candidates(Components(numbers[labels], sizes, box), peaks[order] / LEVELS)


def _outcome(hit: bool, ignored: bool) -> str:
    return HIT if hit else IGNORED if ignored else FALSE
