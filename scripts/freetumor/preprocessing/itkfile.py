"""A checked reader of NRRD and MetaImage files through SimpleITK.

ITK fills what a damaged file lacks with zeros, so the length of the payload is checked here before ITK reads it.
"""

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from freetumor.preprocessing.orientation import Volume, check_affine
from freetumor.preprocessing.quarantine import CaseRefused

SUFFIXES = (".nrrd", ".mha", ".mhd")
HEADER_LIMIT = 2**20  # bytes of a text header
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TYPES = {
    sitk.sitkInt8: 1, sitk.sitkUInt8: 1, sitk.sitkInt16: 2, sitk.sitkUInt16: 2, sitk.sitkInt32: 4, sitk.sitkUInt32: 4,
    sitk.sitkInt64: 8, sitk.sitkUInt64: 8, sitk.sitkFloat32: 4, sitk.sitkFloat64: 8,
}  # fmt: skip


def read_itk_file(path: Path, max_voxels: int) -> Volume:
    """Read a NRRD or MetaImage file completely.

    Args:
        path: the file.
        max_voxels: volumes with more voxels are refused before they are read.

    Raises:
        CaseRefused: with the code of the first fault found.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise CaseRefused("header_invalid", path, "not a readable header") from error
    size = list(reader.GetSize())
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    if len(size) == 2:
        size.append(1)
    if len(size) != 3 or sorted(size)[1] < 2:
        raise CaseRefused("dimensions", path, f"one 3-D volume is expected, this is {' x '.join(map(str, size))}")
    if math.prod(size) > max_voxels:
        raise CaseRefused("too_large", path, f"{' x '.join(map(str, size))} voxels are more than {max_voxels}")
    if reader.GetNumberOfComponents() != 1 or reader.GetPixelID() not in TYPES:
        raise CaseRefused("voxel_type", path, f"voxels of type {reader.GetPixelIDTypeAsString()} are not supported")
    _check_payload(path, math.prod(size) * TYPES[reader.GetPixelID()])
    affine, notes = check_affine(_affine(reader), path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise CaseRefused("file_unreadable", path, "the voxels cannot be read") from error
    return Volume(sitk.GetArrayFromImage(image).reshape(size[::-1]), affine, notes)


def _affine(reader: sitk.ImageFileReader) -> np.ndarray:
    """Affine of the first three dimensions, turned from ITK's left-posterior frame to right-anterior.

    A two-dimensional image, whose file says nothing about the third, is taken for an axial slice of 1 mm.
    """
    dimension = reader.GetDimension()
    used = min(dimension, 3)
    direction = np.reshape(reader.GetDirection(), (dimension, dimension))[:used, :used]
    affine = np.eye(4)
    affine[:used, :used] = direction * np.asarray(reader.GetSpacing()[:used])
    affine[:used, 3] = reader.GetOrigin()[:used]
    return LPS_TO_RAS @ affine


def _check_payload(path: Path, length: int) -> None:
    """Compare the number of voxel bytes with the ``length`` that the header promises."""
    fields, payload = _split_nrrd(path) if path.suffix.lower() == ".nrrd" else _split_metaimage(path)
    try:
        if fields["encoding"] == "gzip":
            payload = gzip.decompress(payload)
        elif fields["encoding"] == "zlib":
            decoder = zlib.decompressobj()
            payload = decoder.decompress(payload, length + 1)
            if len(payload) == length and not decoder.eof:
                decoder.decompress(decoder.unconsumed_tail, 1)
            if not decoder.eof:
                raise EOFError("the compressed stream does not end with the voxels")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CaseRefused("gzip_damaged", path, str(error)) from error
    if len(payload) != length:
        raise CaseRefused("payload_length", path, f"{len(payload)} voxel bytes, {length} promised")


def _read_fields(lines: Iterable[str], separator: str) -> dict[str, str]:
    pairs = (line.split(separator, 1) for line in lines if separator in line and not line.startswith("#"))
    return {key.strip().lower(): value.strip() for key, value in pairs}


def _split_nrrd(path: Path) -> tuple[dict[str, str], bytes]:
    """Header fields and payload of a NRRD file with attached data."""
    content = path.read_bytes()
    separator = b"\r\n\r\n" if b"\r\n" in content[:80] else b"\n\n"
    head, found, payload = content.partition(separator)
    fields = _read_fields(head[:HEADER_LIMIT].decode("latin-1").splitlines(), ":")
    encoding = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(fields.get("encoding", ""))
    if not found or encoding is None or "data file" in fields or "datafile" in fields:
        raise CaseRefused("header_invalid", path, "a NRRD file with attached data, raw or gzip, is expected")
    return {"encoding": encoding}, payload


def _split_metaimage(path: Path) -> tuple[dict[str, str], bytes]:
    """Header fields and payload of a MetaImage file; the payload may be a file beside it."""
    content = path.read_bytes()
    place = content.find(b"ElementDataFile")
    end = content.find(b"\n", place)
    if place < 0 or end < 0 or place > HEADER_LIMIT:
        raise CaseRefused("header_invalid", path, "the MetaImage header does not name its data")
    fields = _read_fields(content[:end].decode("latin-1").splitlines(), "=")
    name = fields["elementdatafile"]
    if name == "LOCAL":
        payload = content[end + 1 :]
    elif Path(name).name != name or not (path.parent / name).is_file():
        raise CaseRefused("header_invalid", path, "the data file of the MetaImage header is not a file beside it")
    else:
        payload = (path.parent / name).read_bytes()
    return {"encoding": "zlib" if fields.get("compresseddata", "").lower() == "true" else "raw"}, payload
