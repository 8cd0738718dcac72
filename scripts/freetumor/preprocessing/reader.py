"""The checked reader: from a file or a DICOM folder to voxels of known meaning in the canonical orientation."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from freetumor.core.config import Checks
from freetumor.preprocessing import itkfile
from freetumor.preprocessing.orientation import Volume, canonicalize, check_size
from freetumor.preprocessing.quarantine import CaseRefused

NIFTI_SUFFIXES = (".nii", ".nii.gz")
SLAB = 2**22  # voxels that are converted at a time
INT16 = np.iinfo(np.int16)


def read_image(path: str | Path, checks: Checks) -> Volume:
    """Read a CT image.

    Args:
        path: a NIfTI, NRRD or MetaImage file, or a folder with one DICOM CT series.
        checks: limits of spacing, extent and size.

    Returns:
        Intensities as the file states them, rounded to ``int16``, (z, y, x) toward superior, posterior, left.

    Raises:
        CaseRefused: with the code of the first fault found.
    """
    return canonicalize(read_stored(path, checks))


def read_stored(path: str | Path, checks: Checks) -> Volume:
    """Read a CT image as :func:`read_image` does, but in the orientation of the file: (slice, row, column)."""
    path = Path(path)
    if path.is_dir():
        from freetumor.preprocessing.dicom import read_series

        volume = read_series(path, checks.max_voxels)
        slope, intercept = 1.0, 0.0
    else:
        volume, slope, intercept = _read_file(path, checks.max_voxels)
    check_size(volume, checks, path)
    return replace(volume, array=to_int16(volume.array, slope, intercept, path))


def read_label_file(path: str | Path, checks: Checks) -> Volume:
    """Read a label volume.

    Returns:
        Integers of at most 32 bits, canonical as in :func:`read_image`.

    Raises:
        CaseRefused: with the code of the first fault found.
    """
    path = Path(path)
    volume, slope, intercept = _read_file(path, checks.max_voxels)
    return canonicalize(replace(volume, array=to_integers(volume.array, slope, intercept, path)))


def _read_file(path: Path, max_voxels: int) -> tuple[Volume, float, float]:
    """Dispatch by suffix after the checks that all formats share."""
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise CaseRefused("file_missing", path, "no such file") from error
    except OSError as error:
        raise CaseRefused("file_unreadable", path, str(error.strerror)) from error
    if size == 0:
        raise CaseRefused("file_empty", path, "the file has no bytes")
    name = path.name.lower()
    try:
        if name.endswith(NIFTI_SUFFIXES):
            from freetumor.preprocessing.nifti import read_nifti

            return read_nifti(path, max_voxels)
        if name.endswith(itkfile.SUFFIXES):
            return itkfile.read_itk_file(path, max_voxels), 1.0, 0.0
    except OSError as error:
        raise CaseRefused("file_unreadable", path, str(error.strerror or error)) from error
    known = ", ".join((*NIFTI_SUFFIXES, *itkfile.SUFFIXES))
    raise CaseRefused("format_unknown", path, f"a name ending in {known}, or a DICOM folder, is expected")


def to_int16(array: np.ndarray, slope: float, intercept: float, path: object) -> np.ndarray:
    """``round(slope * array + intercept)`` as ``int16``, slab by slab; ``int16`` that needs no scaling stays as it is.

    Raises:
        CaseRefused: ``voxel_nan`` or ``hu_range``.
    """
    if array.dtype == np.int16 and array.dtype.isnative and (slope, intercept) == (1.0, 0.0):
        return array
    result = np.empty(array.shape, np.int16)
    for slab in _slabs(array):
        values = _scale(array[slab], slope, intercept, path)
        if values.min() < INT16.min or values.max() > INT16.max:
            text = f"values from {values.min():g} to {values.max():g} do not fit into 16 bits"
            raise CaseRefused("hu_range", path, text)
        result[slab] = values
    return result


def to_integers(array: np.ndarray, slope: float, intercept: float, path: object) -> np.ndarray:
    """``slope * array + intercept`` as ``int32``, slab by slab; integers of 8 or 16 bits that need no scaling stay as they are.

    Raises:
        CaseRefused: ``voxel_nan`` or ``label_not_integer``.
    """
    if array.dtype.kind in "iu" and array.dtype.itemsize < 4 and (slope, intercept) == (1.0, 0.0):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    result = np.empty(array.shape, np.int32)
    for slab in _slabs(array):
        values = array[slab]
        if array.dtype.kind == "f" or (slope, intercept) != (1.0, 0.0):
            exact = np.asarray(values, float) * slope + intercept
            if not np.isfinite(exact).all():
                raise CaseRefused("voxel_nan", path, "a voxel is NaN or infinite")
            values = np.rint(exact)
            if np.abs(exact - values).max() > 1e-3:
                raise CaseRefused("label_not_integer", path, "a label has a value between two integers")
        if values.min() < -(2**31) or values.max() >= 2**31:
            raise CaseRefused("label_not_integer", path, "a label has a value beyond 32 bits")
        result[slab] = values
    return result


def _scale(values: np.ndarray, slope: float, intercept: float, path: object) -> np.ndarray:
    """Scaled and rounded values; integers that need no scaling stay as they are."""
    if values.dtype.kind != "f" and (slope, intercept) == (1.0, 0.0):
        return values
    values = np.asarray(values, float) * slope + intercept
    if not np.isfinite(values).all():
        raise CaseRefused("voxel_nan", path, "a voxel is NaN or infinite")
    return np.rint(values)


def _slabs(array: np.ndarray) -> list[slice]:
    """Slices along z of about :data:`SLAB` voxels, to bound the memory of floating-point copies."""
    step = max(1, SLAB // max(1, array[0].size))
    return [slice(start, start + step) for start in range(0, len(array), step)]
