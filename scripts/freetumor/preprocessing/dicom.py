"""A folder with one DICOM CT series, read as a volume of Hounsfield units.

Files that are no CT image (RTSTRUCT, RTPLAN, RTDOSE, localizers, text) may lie in the same folder. Slices are ordered by
their position along the slice normal, never by name or number, and the spacing is the distance between positions, never
the slice thickness. Nothing of the patient's tags is kept. Reference: DICOM PS3.3, C.7.6.2 (image plane).
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from freetumor.preprocessing.itkfile import LPS_TO_RAS
from freetumor.preprocessing.orientation import Volume, check_affine
from freetumor.preprocessing.quarantine import CaseRefused

UNEQUAL = 0.02  # greatest deviation of a slice distance, in units of the spacing
SAME_PLACE = 1e-3  # mm


def read_dataset(path: Path, **options: object) -> pydicom.Dataset | None:
    """Read a DICOM file; ``None`` if the file is something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on over-long texts, which are not used
            return pydicom.dcmread(path, **options)
    except (InvalidDicomError, IsADirectoryError):
        return None


def read_series(folder: Path, max_voxels: int) -> Volume:
    """Read the CT series of a folder (and of its subfolders).

    Args:
        folder: the folder.
        max_voxels: volumes with more voxels are refused before they are read.

    Returns:
        ``float32`` Hounsfield units in acquisition order along the slice normal.

    Raises:
        CaseRefused: with the code of the first fault found.
    """
    headers = _find_slices(folder)
    first = headers[0][1]
    rows, columns = int(first.Rows), int(first.Columns)
    if min(rows, columns) < 2:
        raise CaseRefused("dimensions", folder, f"one 3-D volume is expected, this is {columns} x {rows} x {len(headers)}")
    if len(headers) * rows * columns > max_voxels:
        raise CaseRefused("too_large", folder, f"{columns} x {rows} x {len(headers)} voxels are more than {max_voxels}")
    _check_same_frame([header for _, header in headers], folder)
    paths, affine = _stack(headers, folder)
    affine, notes = check_affine(LPS_TO_RAS @ affine, folder)
    array = np.empty((len(paths), rows, columns), np.float32)
    for index, path in enumerate(paths):
        array[index] = _read_slice(path, (rows, columns))
    return Volume(array, affine, notes)


def _find_slices(folder: Path) -> list[tuple[Path, pydicom.Dataset]]:
    """Path and header of each slice of the only CT series."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        raise CaseRefused("file_empty", folder, "the folder has no files")
    slices: dict[str, tuple[Path, pydicom.Dataset]] = {}
    for path in paths:
        try:
            header = read_dataset(path, stop_before_pixels=True)
        except Exception as error:  # pydicom raises many kinds on damaged files
            raise CaseRefused("header_invalid", path, f"damaged DICOM header ({type(error).__name__})") from error
        kind = header.get("SOPClassUID") if header is not None else None
        if kind == EnhancedCTImageStorage:
            raise CaseRefused("dicom_unsupported", path, "enhanced (multi-frame) CT is not supported")
        if kind == CTImageStorage and "LOCALIZER" not in [str(part).upper() for part in header.get("ImageType", [])]:
            slices.setdefault(str(header.get("SOPInstanceUID", path)), (path, header))
    if not slices:
        raise CaseRefused("dicom_no_ct", folder, "no CT image among the files of the folder")
    series = {str(header.get("SeriesInstanceUID")) for _, header in slices.values()}
    if len(series) > 1:
        raise CaseRefused("dicom_several_series", folder, f"{len(series)} CT series; one is expected")
    return list(slices.values())


def _check_same_frame(headers: Sequence[pydicom.Dataset], folder: Path) -> None:
    """All slices must agree in size, spacing and orientation."""
    try:
        values = np.array(
            [
                [header.Rows, header.Columns, *map(float, header.PixelSpacing), *map(float, header.ImageOrientationPatient)]
                for header in headers
            ],
            float,
        )
        positions = np.array([[float(value) for value in header.ImagePositionPatient] for header in headers])
    except (AttributeError, TypeError, ValueError) as error:
        text = "a slice lacks its position, orientation or pixel spacing"
        raise CaseRefused("dicom_inconsistent", folder, text) from error
    if values.shape[1] != 10 or positions.shape[1] != 3 or not np.isfinite(values).all() or not np.isfinite(positions).all():
        raise CaseRefused("dicom_inconsistent", folder, "a slice has a malformed position, orientation or pixel spacing")
    if np.abs(values - values[0]).max() > 1e-4:
        raise CaseRefused("dicom_inconsistent", folder, "slices differ in size, pixel spacing or orientation")


def _stack(headers: list[tuple[Path, pydicom.Dataset]], folder: Path) -> tuple[list[Path], np.ndarray]:
    """Order the slices along their normal.

    Returns:
        Paths in that order, and the affine from (column, row, slice) to left-posterior-superior mm.
    """
    first = headers[0][1]
    along_row, along_column = np.reshape([float(value) for value in first.ImageOrientationPatient], (2, 3))
    row_spacing, column_spacing = (float(value) for value in first.PixelSpacing)
    normal = np.cross(along_row, along_column)
    positions = np.array([[float(value) for value in header.ImagePositionPatient] for _, header in headers])
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    affine = np.eye(4)
    affine[:3, 0] = along_row * column_spacing
    affine[:3, 1] = along_column * row_spacing
    affine[:3, 3] = positions[order[0]]
    if len(headers) == 1:
        affine[:3, 2] = normal * _thickness(first, folder)
        return [headers[0][0]], affine
    steps = np.diff(heights[order])
    if steps.min() < SAME_PLACE:
        raise CaseRefused("dicom_duplicate_slices", folder, "two different slices lie at the same place")
    spacing = float(np.median(steps))
    if np.abs(steps - spacing).max() > UNEQUAL * spacing:
        text = f"slice distances from {steps.min():.4g} to {steps.max():.4g} mm: slices are missing"
        raise CaseRefused("dicom_missing_slices", folder, text)
    affine[:3, 2] = (positions[order[-1]] - positions[order[0]]) / (len(positions) - 1)
    return [headers[index][0] for index in order], affine


def _thickness(header: pydicom.Dataset, folder: Path) -> float:
    """Slice thickness in mm: all that says how deep a single slice is."""
    try:
        thickness = float(header.SliceThickness)
    except (AttributeError, TypeError, ValueError) as error:
        raise CaseRefused("dicom_inconsistent", folder, "the only slice lacks its thickness") from error
    if not thickness > 0:
        raise CaseRefused("dicom_inconsistent", folder, f"the only slice has a thickness of {thickness:g} mm")
    return thickness


def _read_slice(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Hounsfield units of one slice."""
    try:
        dataset = read_dataset(path)
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            import SimpleITK as sitk  # decodes the compressed transfer syntaxes, and rescales

            values = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32)[0]
        else:
            stored = dataset.pixel_array.astype(np.float64)
            values = stored * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    except Exception as error:  # pydicom and its decoders raise many kinds on damaged files
        raise CaseRefused("file_unreadable", path, f"damaged DICOM pixels ({type(error).__name__})") from error
    if values.shape != shape:
        raise CaseRefused("voxel_type", path, "one gray value per pixel is expected")
    return values
