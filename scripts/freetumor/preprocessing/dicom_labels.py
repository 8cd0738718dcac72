"""Masks from DICOM: contours of an RTSTRUCT and segments of a SEG, on the grid of their image.

A pixel belongs to a contour if its center lies inside (even-odd rule); contours of a region are united, except those of
type CLOSEDPLANAR_XOR. Measured on patient STS_019 of the IBSI validation set: equal to the published NIfTI mask voxel for
voxel. Reference: DICOM PS3.3, C.8.8.6 (ROI contour) and C.8.20 (segmentation).
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from freetumor.preprocessing.dicom import read_dataset
from freetumor.preprocessing.itkfile import LPS_TO_RAS
from freetumor.preprocessing.orientation import Volume
from freetumor.preprocessing.quarantine import CaseRefused

IN_PLANE = 0.1  # greatest distance of a contour from its plane, in slices
ON_SLICE = 0.4  # greatest distance of a contour's plane from a slice, in slices
ON_GRID = 0.02  # greatest distance of a segmentation's voxels from the image's, in voxels

Segment = tuple[str, str, Callable[[Volume, set[str], Path], np.ndarray]]  # name, number, and what computes the mask


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM preamble."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom_masks(path: Path, image: Volume, wanted: Mapping[str, str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read the masks of the structures that a map names.

    Args:
        path: an RTSTRUCT or SEG file.
        image: the canonical image.
        wanted: from segment or region name (or number, as text) to structure; ``"*"`` stands for all others.

    Returns:
        One mask (z, y, x) per structure, and the codes of notes.

    Raises:
        CaseRefused: with the code of the first fault found.
    """
    try:
        dataset = read_dataset(path)
    except Exception as error:  # pydicom raises many kinds on damaged files
        raise CaseRefused("header_invalid", path, f"damaged DICOM file ({type(error).__name__})") from error
    kind = dataset.get("SOPClassUID") if dataset is not None else None
    if kind not in (RTStructureSetStorage, SegmentationStorage):
        raise CaseRefused("dicom_unsupported", path, "a DICOM label is an RTSTRUCT or a SEG")
    notes: set[str] = set()
    try:
        segments = _regions(dataset) if kind == RTStructureSetStorage else _segments(dataset)
        structures = [wanted.get(name, wanted.get(number, wanted.get("*"))) for name, number, _ in segments]
        if not any(structures):
            text = f"none of the {len(segments)} segments is called {', '.join(sorted(wanted))}"
            raise CaseRefused("label_no_structure", path, text)
        if not all(structures):
            notes.add("segments_ignored")
        masks: dict[str, np.ndarray] = {}
        for structure, (_, _, compute) in zip(structures, segments, strict=True):
            if structure:
                mask = compute(image, notes, path)
                masks[structure] = masks[structure] | mask if structure in masks else mask
    except (AttributeError, ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise CaseRefused("header_invalid", path, f"malformed DICOM label ({type(error).__name__})") from error
    return masks, sorted(notes)


def _regions(dataset: pydicom.Dataset) -> list[Segment]:
    """Regions of an RTSTRUCT that have contours."""
    names = {int(item.ROINumber): str(item.ROIName).strip() for item in dataset.StructureSetROISequence}
    return [
        (names[int(item.ReferencedROINumber)], str(int(item.ReferencedROINumber)), partial(_rasterize, item))
        for item in dataset.ROIContourSequence
        if item.get("ContourSequence")
    ]


def _rasterize(region: pydicom.Dataset, image: Volume, notes: set[str], path: Path) -> np.ndarray:
    """The voxels inside the contours of a region."""
    to_index = np.linalg.inv(image.affine) @ LPS_TO_RAS
    mask = np.zeros(image.array.shape, bool)
    seen = set()
    for contour in region.ContourSequence:
        kind = str(contour.ContourGeometricType)
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR") or len(points) < 3:
            continue  # points and open lines enclose nothing
        key = (kind, points.round(3).tobytes())
        if key in seen:
            notes.add("contour_repeated")
            continue
        seen.add(key)
        index = (points @ to_index[:3, :3].T + to_index[:3, 3])[:, ::-1]  # (z, y, x)
        axis, place = _plane_of(index, image.array.shape, path)
        plane = mask[(slice(None),) * axis + (place,)]
        inside = polygon_mask(np.delete(index, axis, 1), plane.shape)
        plane[...] = plane ^ inside if kind == "CLOSEDPLANAR_XOR" else plane | inside
    return mask


def _plane_of(index: np.ndarray, shape: tuple[int, ...], path: Path) -> tuple[int, int]:
    """The axis across a contour, and the slice that it lies in."""
    axis = int(np.argmin(np.ptp(index, axis=0)))
    height = float(index[:, axis].mean())
    place = round(height)
    if np.ptp(index[:, axis]) > IN_PLANE or abs(height - place) > ON_SLICE:
        raise CaseRefused("label_contour", path, "a contour does not lie in a slice of the image")
    if not 0 <= place < shape[axis]:
        raise CaseRefused("label_contour", path, "a contour lies outside the image")
    return axis, place


def polygon_mask(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose center lies inside a closed polygon, by the even-odd rule.

    Args:
        points: corners (row, column) in pixels, shape (n, 2); pixel centers have integer coordinates.
        shape: rows and columns.

    Returns:
        A Boolean array of ``shape``. An edge through a center counts for one of its two sides, so that polygons with a
        common edge never share a pixel.
    """
    crossings = np.zeros((shape[0], shape[1] + 1), np.int64)  # per row, the first column right of each crossing
    for (row_a, column_a), (row_b, column_b) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = sorted((row_a, row_b))
        rows = np.arange(max(0, int(np.ceil(low))), min(shape[0], int(np.ceil(high))))
        if len(rows):
            columns = column_a + (rows - row_a) / (row_b - row_a) * (column_b - column_a)
            np.add.at(crossings, (rows, np.clip(np.ceil(columns), 0, shape[1]).astype(int)), 1)
    return np.cumsum(crossings, axis=1)[:, : shape[1]] % 2 == 1


def _segments(dataset: pydicom.Dataset) -> list[Segment]:
    """Segments of a SEG object."""
    if dataset.SegmentationType not in ("BINARY", "FRACTIONAL"):
        raise ValueError("segmentation type")
    half = 0.5 if dataset.SegmentationType == "BINARY" else float(dataset.MaximumFractionalValue) / 2
    frames = dataset.pixel_array.reshape(-1, int(dataset.Rows), int(dataset.Columns)) >= half
    return [
        (
            str(item.SegmentLabel).strip(),
            str(int(item.SegmentNumber)),
            partial(_place, dataset, frames, int(item.SegmentNumber)),
        )
        for item in dataset.SegmentSequence
    ]


def _place(dataset: pydicom.Dataset, frames: np.ndarray, number: int, image: Volume, notes: set[str], path: Path) -> np.ndarray:
    """The frames of one segment, put into the image's grid by their position."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    mask = np.zeros(image.array.shape, bool)
    to_index = np.linalg.inv(image.affine) @ LPS_TO_RAS
    for frame, groups in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        if int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber) != number:
            continue
        measures = _group("PixelMeasuresSequence", groups, shared).PixelSpacing
        directions = _group("PlaneOrientationSequence", groups, shared).ImageOrientationPatient
        origin = _group("PlanePositionSequence", groups, shared).ImagePositionPatient
        along_row, along_column = np.reshape(np.array(directions, float), (2, 3))
        rows, columns = np.nonzero(frame)
        points = np.array(origin, float) + np.outer(columns, along_row) * float(measures[1])
        points = points + np.outer(rows, along_column) * float(measures[0])
        index = (points @ to_index[:3, :3].T + to_index[:3, 3])[:, ::-1]
        nearest = np.rint(index).astype(int)
        outside = (nearest < 0).any() or (nearest >= image.array.shape).any()
        if len(index) and (outside or np.abs(index - nearest).max() > ON_GRID):
            raise CaseRefused("label_grid", path, "the segmentation does not lie on the grid of the image")
        mask[tuple(nearest.T)] = True
    return mask


def _group(name: str, *groups: pydicom.Dataset) -> pydicom.Dataset:
    """The first item of a functional group, taken from the frame or else from what all frames share."""
    return next(group[name].value[0] for group in groups if name in group)
