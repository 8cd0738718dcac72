"""Labels from DICOM: contours of an RTSTRUCT and segments of a SEG, on the grid of their image.

A pixel belongs to a contour if its center lies inside (even-odd rule); contours of a region are united, except those of
type CLOSEDPLANAR_XOR. Measured on patient STS_019 of the IBSI validation set: equal to the published NIfTI mask voxel for
voxel. A SEG of a hundred segments has tens of thousands of frames: they are unpacked one by one into one label, so that
memory stays that of the file and the label. Reference: DICOM PS3.3, C.8.8.6 (ROI contour) and C.8.20 (segmentation).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import iter_pixels
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from freetumor.core.arrays import bounding_box
from freetumor.core.labels import is_tumor
from freetumor.preprocessing.dicom import read_dataset
from freetumor.preprocessing.itkfile import LPS_TO_RAS
from freetumor.preprocessing.orientation import Volume
from freetumor.preprocessing.quarantine import CaseRefused

IN_PLANE = 0.1  # greatest distance of a contour from its plane, in slices
ON_SLICE = 0.4  # greatest distance of a contour's plane from a slice, in slices
ON_GRID = 0.02  # greatest distance of a segmentation's voxels from the image's, in voxels


def is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM preamble."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom_label(
    path: Path, image: Volume, wanted: Mapping[str, str], codes: Mapping[str, int]
) -> tuple[np.ndarray, list[str]]:
    """Read the structures that a map names.

    Args:
        path: an RTSTRUCT or SEG file.
        image: the canonical image.
        wanted: from segment or region name (or number, as text) to structure; ``"*"`` stands for all others.
        codes: code of each structure; what is not among them is left out.

    Returns:
        ``uint8`` codes (z, y, x), and the codes of notes. Where structures overlap, tumors win over organs, and later
        names over earlier ones.

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
    order = sorted(codes, key=lambda name: (is_tumor(name), name))
    ranks = {name: rank for rank, name in enumerate(order, 1)}
    label = np.zeros(image.array.shape, np.uint8)  # ranks first, so that the greatest wins
    try:
        names = _region_names(dataset) if kind == RTStructureSetStorage else _segment_names(dataset)
        structures = {number: wanted.get(name, wanted.get(str(number), wanted.get("*"))) for number, name in names.items()}
        if not any(structures.values()):
            text = f"none of the {len(names)} segments is called {', '.join(sorted(wanted))}"
            raise CaseRefused("label_no_structure", path, text)
        if not all(structures.values()):
            notes.add("segments_ignored")
        paint = _paint_regions if kind == RTStructureSetStorage else _paint_frames
        paint(dataset, {number: ranks.get(name, 0) for number, name in structures.items()}, image, label, notes, path)
    except (AttributeError, ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise CaseRefused("header_invalid", path, f"malformed DICOM label ({type(error).__name__})") from error
    if box := bounding_box(label):
        label[box] = np.array([0, *(codes[name] for name in order)], np.uint8)[label[box]]
    return label, sorted(notes)


def _region_names(dataset: pydicom.Dataset) -> dict[int, str]:
    """Name of each region of an RTSTRUCT that has contours, by its number."""
    names = {int(item.ROINumber): str(item.ROIName).strip() for item in dataset.StructureSetROISequence}
    numbers = [int(item.ReferencedROINumber) for item in dataset.ROIContourSequence if item.get("ContourSequence")]
    return {number: names[number] for number in numbers}


def _paint_regions(
    dataset: pydicom.Dataset, ranks: Mapping[int, int], image: Volume, label: np.ndarray, notes: set[str], path: Path
) -> None:
    """Put the regions of an RTSTRUCT into ``label``, in place."""
    for item in dataset.ROIContourSequence:
        rank = ranks.get(int(item.ReferencedROINumber), 0)
        if rank:
            mask = _rasterize(item, image, notes, path)
            np.copyto(label, np.uint8(rank), where=mask & (label < rank))


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


def _segment_names(dataset: pydicom.Dataset) -> dict[int, str]:
    """Name of each segment of a SEG object, by its number."""
    return {int(item.SegmentNumber): str(item.SegmentLabel).strip() for item in dataset.SegmentSequence}


def _paint_frames(
    dataset: pydicom.Dataset, ranks: Mapping[int, int], image: Volume, label: np.ndarray, notes: set[str], path: Path
) -> None:
    """Put the frames of a SEG into ``label`` by their position, in place, one after the other."""
    if dataset.SegmentationType not in ("BINARY", "FRACTIONAL"):
        raise ValueError("segmentation type")
    half = 0.5 if dataset.SegmentationType == "BINARY" else float(dataset.MaximumFractionalValue) / 2
    shared, groups = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence
    if len(groups) != int(dataset.NumberOfFrames):
        raise ValueError("number of frames")
    numbers = [int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for group in groups]
    used = [index for index, number in enumerate(numbers) if ranks.get(number)]
    to_index = np.linalg.inv(image.affine) @ LPS_TO_RAS
    for index, frame in zip(used, _frames(dataset, used), strict=True):
        mask = frame >= half
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            target = _part_of(label, to_index @ _frame_affine(groups[index], shared), part, path)
            np.copyto(target, np.uint8(ranks[numbers[index]]), where=mask[part] & (target < ranks[numbers[index]]))


def _frames(dataset: pydicom.Dataset, indices: Iterable[int]) -> Iterator[np.ndarray]:
    """The chosen frames of a SEG, one at a time."""
    if int(dataset.BitsAllocated) != 1 or dataset.file_meta.TransferSyntaxUID.is_compressed:
        yield from iter_pixels(dataset, indices=list(indices))
        return
    shape = int(dataset.Rows), int(dataset.Columns)
    size = shape[0] * shape[1]
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    for index in indices:  # frames follow each other bit by bit, and need not begin with a byte
        first, start = divmod(index * size, 8)
        bits = np.unpackbits(packed[first : first + (start + size + 7) // 8], bitorder="little")
        yield bits[start : start + size].reshape(shape)


def _frame_affine(group: pydicom.Dataset, shared: pydicom.Dataset) -> np.ndarray:
    """From (column, row, 0) of a frame to left-posterior-superior mm."""
    measures = _group("PixelMeasuresSequence", group, shared).PixelSpacing
    directions = _group("PlaneOrientationSequence", group, shared).ImageOrientationPatient
    affine = np.eye(4)
    affine[:3, 3] = np.array(_group("PlanePositionSequence", group, shared).ImagePositionPatient, float)
    along_row, along_column = np.reshape(np.array(directions, float), (2, 3))
    affine[:3, 0], affine[:3, 1] = along_row * float(measures[1]), along_column * float(measures[0])
    return affine


def _part_of(label: np.ndarray, affine: np.ndarray, part: tuple[slice, slice], path: Path) -> np.ndarray:
    """The voxels of ``label`` that a part of a frame covers, as a view (row, column).

    Args:
        label: (z, y, x).
        affine: from (column, row, 0) of the frame to the index (x, y, z).
        part: rows and columns.
        path: the file, for the report.
    """
    ends = np.array([[column, row, 0, 1] for row in _ends(part[0]) for column in _ends(part[1])], float)
    index = (ends @ affine.T)[:, 2::-1]  # (z, y, x) of the four corners
    nearest = np.rint(index).astype(int)
    steps = [affine[2::-1, 1], affine[2::-1, 0]]  # of a row and of a column, in voxels
    whole = [np.rint(step).astype(int) for step in steps]
    off_grid = np.abs(index - nearest).max() > ON_GRID or any(np.abs(step).sum() != 1 for step in whole)
    if off_grid or (nearest < 0).any() or (nearest >= label.shape).any():
        raise CaseRefused("label_grid", path, "the segmentation does not lie on the grid of the image")
    axes = [int(np.abs(step).argmax()) for step in whole]
    box = tuple(slice(low, high + 1) for low, high in zip(nearest.min(axis=0), nearest.max(axis=0), strict=True))
    flips = tuple(slice(None, None, int(step.sum())) for step in whole)
    return np.moveaxis(label[box], axes, (0, 1))[(*flips, 0)]


def _ends(side: slice) -> tuple[int, int]:
    """First and last index of a slice."""
    return int(side.start), int(side.stop) - 1


def _group(name: str, *groups: pydicom.Dataset) -> pydicom.Dataset:
    """The first item of a functional group, taken from the frame or else from what all frames share."""
    return next(group[name].value[0] for group in groups if name in group)
