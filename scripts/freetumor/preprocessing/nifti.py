"""A checked NIfTI reader: the whole file is read, and anything that two programs could read differently is refused.

Common readers stop before the checksum of a gzip stream, fill missing voxels with zeros, or choose silently between
contradicting headers. Here the stream is read to its end (by isal,
which is faster than zlib), the payload has exactly the promised length, and the header is plausible before memory is taken.
Reference: the NIfTI-1 and NIfTI-2 header definitions (nifti1.h, nifti2.h).
"""

from pathlib import Path

import nibabel
import numpy as np
from isal import igzip, isal_zlib

from freetumor.preprocessing.orientation import Volume, check_affine
from freetumor.preprocessing.quarantine import CaseRefused

HEADERS = {348: (nibabel.Nifti1Header, b"n+1\0", 352), 540: (nibabel.Nifti2Header, b"n+2\0\r\n\032\n", 544)}
LARGEST_EXTENSION = 64 * 2**20  # bytes between header and voxels
BLOCK = 2**18  # bytes read at a time
DIRECTION_TOLERANCE = 1e-3  # between qform and sform, in units of a voxel
ORIGIN_TOLERANCE = 1e-2  # between qform and sform, in mm
MILLIMETER, UNKNOWN_UNIT = 2, 0


def read_nifti(path: Path, max_voxels: int) -> tuple[Volume, float, float]:
    """Read a ``.nii`` or ``.nii.gz`` file completely.

    Args:
        path: the file.
        max_voxels: volumes with more voxels are refused before they are read.

    Returns:
        The volume with its stored values, and the slope and intercept that turn them into intensities.

    Raises:
        CaseRefused: with the code of the first fault found.
    """
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    if zipped != path.name.lower().endswith(".gz"):
        raise CaseRefused("gzip_damaged", path, "the name says " + ("plain" if zipped else "gzip") + ", the bytes do not")
    try:
        with igzip.open(path) if zipped else path.open("rb") as stream:
            try:
                header, first = _read_header(stream, path)
                shape = _check_shape(header, max_voxels, path)
                dtype = _check_type(header, path)
                slope, intercept = _check_scaling(header, path)
                affine, notes = _check_geometry(header, path)
                data = _read_payload(stream, header, first, int(np.prod(shape)) * dtype.itemsize, path)
            except CaseRefused as refusal:
                if refusal.code != "too_large":  # damage may be what made the header look wrong: verify the checksum
                    while stream.read(2**20):
                        pass
                raise
    except (EOFError, isal_zlib.error, igzip.BadGzipFile) as error:
        raise CaseRefused("gzip_damaged", path, str(error)) from error
    array = data.view(dtype).reshape(shape[::-1])
    return Volume(array, affine, notes), slope, intercept


def _read_header(stream, path: Path) -> tuple[nibabel.Nifti1Header, int]:  # noqa: ANN001 (any binary stream)
    """The header and the number of bytes read so far."""
    start = stream.read(4)
    for order in ("<", ">"):
        size = int.from_bytes(start, "little" if order == "<" else "big")
        if len(start) == 4 and size in HEADERS:
            kind, magic, first = HEADERS[size]
            block = start + stream.read(first - 4)
            if len(block) < first:
                raise CaseRefused("payload_length", path, "the file ends inside the header")
            header = kind(block[:size], endianness=order, check=False)
            if bytes(block[344:348] if size == 348 else block[4:12]) != magic:
                raise CaseRefused("header_invalid", path, "not a single-file NIfTI (wrong magic)")
            return header, first
    raise CaseRefused("header_invalid", path, "not a NIfTI header")


def _check_shape(header: nibabel.Nifti1Header, max_voxels: int, path: Path) -> tuple[int, int, int]:
    """Lengths along x, y, z; further dimensions of length one are dropped, and a single slice has length one along z."""
    dim = [int(value) for value in header["dim"]]
    if not 1 <= dim[0] <= 7 or any(length < 1 for length in dim[1 : dim[0] + 1]):
        raise CaseRefused("dimensions", path, f"the header's dimensions are {dim}")
    lengths = dim[1 : dim[0] + 1]
    while len(lengths) > 3 and lengths[-1] == 1:
        lengths.pop()
    if len(lengths) == 2:
        lengths.append(1)
    if len(lengths) != 3 or sorted(lengths)[1] < 2:
        text = " x ".join(map(str, lengths))
        raise CaseRefused("dimensions", path, f"one 3-D volume is expected, this is {text} (x, y, z, ...)")
    if lengths[0] * lengths[1] * lengths[2] > max_voxels:
        raise CaseRefused("too_large", path, f"{' x '.join(map(str, lengths))} voxels are more than {max_voxels}")
    return tuple(lengths)


def _check_type(header: nibabel.Nifti1Header, path: Path) -> np.dtype:
    try:
        dtype = header.get_data_dtype()
    except (nibabel.spatialimages.HeaderDataError, KeyError, TypeError) as error:
        raise CaseRefused("voxel_type", path, f"data type {int(header['datatype'])} is unknown") from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise CaseRefused("voxel_type", path, f"voxels of type {dtype} are not supported")
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        raise CaseRefused("header_invalid", path, f"bitpix {int(header['bitpix'])} does not fit voxels of type {dtype}")
    return dtype


def _check_scaling(header: nibabel.Nifti1Header, path: Path) -> tuple[float, float]:
    """Slope and intercept. By the standard a slope of zero (and, by custom, NaN) means that nothing is scaled."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):
        return 1.0, 0.0
    if not np.isfinite([slope, intercept]).all() or abs(slope) > 1000 or abs(intercept) > 1e5:
        raise CaseRefused("scaling", path, f"slope {slope:g}, intercept {intercept:g}")
    return slope, intercept


def _check_geometry(header: nibabel.Nifti1Header, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The one affine of the header, and notes."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in (MILLIMETER, UNKNOWN_UNIT):
        raise CaseRefused("units", path, f"lengths are not in millimeters (unit code {unit})")
    pixdim = np.asarray(header["pixdim"][1:4], float)
    qform, sform = int(header["qform_code"]) > 0, int(header["sform_code"]) > 0
    if not np.isfinite(pixdim).all() or (pixdim <= 0).any():
        raise CaseRefused("affine_invalid", path, f"voxel sizes {pixdim.tolist()} are not positive")
    notes: tuple[str, ...] = ()
    if sform:
        affine, notes = check_affine(header.get_sform(), path)
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if (np.abs(lengths - pixdim) > DIRECTION_TOLERANCE * pixdim).any():
            text = f"voxel sizes {pixdim.tolist()} and the affine's {lengths.round(6).tolist()} differ"
            raise CaseRefused("affine_conflict", path, text)
    if qform:
        if float(header["pixdim"][0]) == 0:  # the standard: read as +1
            header["pixdim"][0] = 1
        try:
            from_quaternion, _ = check_affine(header.get_qform(), path)
        except (ValueError, nibabel.spatialimages.HeaderDataError) as error:
            raise CaseRefused("affine_invalid", path, f"the quaternion is invalid: {error}") from error
        if not sform:
            return from_quaternion, notes
        off = np.abs(from_quaternion - affine)
        if (off[:3, :3] > DIRECTION_TOLERANCE * pixdim).any() or (off[:3, 3] > ORIGIN_TOLERANCE).any():
            raise CaseRefused("affine_conflict", path, f"qform and sform differ by up to {off.max():.4g} mm")
    if not sform:
        return header.get_base_affine(), ("orientation_assumed",)
    return affine, notes


def _read_payload(stream, header: nibabel.Nifti1Header, first: int, length: int, path: Path) -> np.ndarray:  # noqa: ANN001
    """The voxel bytes; the stream must end with them."""
    offset = float(header["vox_offset"]) or first
    if offset != int(offset) or not first <= offset <= first + LARGEST_EXTENSION:
        raise CaseRefused("header_invalid", path, f"voxels cannot begin at byte {offset:g}")
    stream.read(int(offset) - first)
    data = np.empty(length, np.uint8)  # memory that is promised but never filled is never taken
    rest = memoryview(data)
    while rest and (count := stream.readinto(rest[:BLOCK])):
        rest = rest[count:]
    if rest:
        raise CaseRefused("payload_length", path, f"{length - len(rest)} voxel bytes, {length} promised")
    if stream.read(1):  # reading on also makes gzip verify its checksum
        raise CaseRefused("payload_length", path, f"more than the {length} voxel bytes promised")
    return data
