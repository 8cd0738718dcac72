"""Faulty inputs, each with the one code that it must be refused with."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk

from tests.preprocessing.samples import AFFINE, SHAPE, make_ct, nifti_bytes, raw_case, write_dicom, write_nifti

IMAGE, LABEL = make_ct()
DIM, DATATYPE, BITPIX, PIXDIM, OFFSET, SLOPE, UNITS, QFORM, SROW, MAGIC = 40, 70, 72, 76, 108, 112, 123, 252, 280, 344
NAN, INF = float("nan"), float("inf")
Make = Callable[[Path], dict]
MUTANTS: dict[str, tuple[str, Make]] = {}


def patched(offset: int, form: str, *values: float) -> bytes:
    """The good image with some bytes of its header replaced."""
    content = nifti_bytes(IMAGE)
    struct.pack_into("<" + form, content, offset, *values)
    return bytes(content)


def add_image(name: str, code: str, content: bytes | np.ndarray, suffix: str = ".nii.gz", affine: np.ndarray = AFFINE) -> None:
    """A faulty image beside a good label."""

    def make(folder: Path) -> dict:
        image = write_nifti(folder / f"{name}{suffix}", content, affine)
        return raw_case(name, image, write_nifti(folder / f"{name}-label.nii.gz", LABEL))

    MUTANTS[name] = code, make


def add_label(name: str, code: str, content: bytes | np.ndarray, affine: np.ndarray = AFFINE) -> None:
    """A good image with a faulty label."""

    def make(folder: Path) -> dict:
        image = write_nifti(folder / f"{name}.nii.gz", IMAGE)
        return raw_case(name, image, write_nifti(folder / f"{name}-label.nii.gz", content, affine))

    MUTANTS[name] = code, make


def add_bytes(name: str, code: str, content: bytes, suffix: str = ".nii.gz") -> None:
    """An image file with exactly these bytes."""

    def make(folder: Path) -> dict:
        (folder / f"{name}{suffix}").write_bytes(content)
        return raw_case(name, folder / f"{name}{suffix}")

    MUTANTS[name] = code, make


def add_series(name: str, code: str, spoil: Callable[[Path, list[Path]], object]) -> None:
    """A DICOM folder that ``spoil`` changes."""

    def make(folder: Path) -> dict:
        spoil(folder / name, write_dicom(folder / name, IMAGE))
        return raw_case(name, folder / name)

    MUTANTS[name] = code, make


def edit(path: Path, **tags: object) -> None:
    """Change tags of a DICOM file."""
    dataset = pydicom.dcmread(path)
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


ZIPPED = gzip.compress(bytes(nifti_bytes(IMAGE)), 6, mtime=0)
for share in (0.02, 0.3, 0.7, 0.999):
    add_bytes(f"gzip-cut-{share}", "gzip_damaged", ZIPPED[: int(share * len(ZIPPED))])
for share in (0.01, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.99):
    place = int(share * len(ZIPPED))
    flipped = ZIPPED[:place] + bytes([ZIPPED[place] ^ 1 << place % 8]) + ZIPPED[place + 1 :]
    add_bytes(f"gzip-bit-{share}", "gzip_damaged", flipped)
add_bytes("gzip-checksum", "gzip_damaged", ZIPPED[:-6] + bytes([ZIPPED[-6] ^ 1]) + ZIPPED[-5:])
add_bytes("gzip-trailing", "gzip_damaged", ZIPPED + b"garbage")
add_bytes("plain-named-gz", "gzip_damaged", bytes(nifti_bytes(IMAGE)))
add_bytes("gzip-named-plain", "gzip_damaged", ZIPPED, ".nii")
add_bytes("empty-file", "file_empty", b"")
add_bytes("page", "header_invalid", b"<html><body>Not found</body></html>" * 20, ".nii")
add_bytes("unknown-suffix", "format_unknown", b"data", ".dat")
add_image("payload-cut", "payload_length", bytes(nifti_bytes(IMAGE)[:-100]), ".nii")
add_image("payload-cut-zipped", "payload_length", bytes(nifti_bytes(IMAGE)[:-100]))
add_image("slice-too-many", "payload_length", patched(DIM + 6, "h", SHAPE[0] + 1))
add_image("slice-too-few", "payload_length", patched(DIM + 6, "h", SHAPE[0] - 1))
add_image("header-only", "payload_length", bytes(nifti_bytes(IMAGE)[:352]))
add_image("type-wider", "payload_length", patched(DATATYPE, "hh", 16, 32))
add_image("type-against-bitpix", "header_invalid", patched(DATATYPE, "h", 16))
add_image("type-unknown", "voxel_type", patched(DATATYPE, "h", 777))
add_image("complex", "voxel_type", nifti_bytes(IMAGE.astype(np.complex64)))
add_image("color", "voxel_type", patched(DATATYPE, "hh", 128, 24))
add_image("huge", "too_large", patched(DIM, "4h", 3, 32767, 32767, 32767))
add_image("four-dimensional", "dimensions", nifti_bytes(np.stack([IMAGE.T, IMAGE.T], 3)))
add_image("five-dimensional", "dimensions", nifti_bytes(np.zeros((4, 4, 4, 1, 3), np.int16)))
add_image("one-dimensional", "dimensions", patched(DIM, "h", 1))
add_image("two-dimensional", "payload_length", patched(DIM, "h", 2))
add_image("zero-length", "dimensions", patched(DIM + 2, "h", 0))
add_image("negative-length", "dimensions", patched(DIM + 2, "h", -5))
add_image("single-slice", "dimensions", nifti_bytes(IMAGE[:1]))
add_image("pixdim-zero", "affine_invalid", patched(PIXDIM + 4, "f", 0))
add_image("pixdim-negative", "affine_invalid", patched(PIXDIM + 4, "f", -2))
add_image("pixdim-nan", "affine_invalid", patched(PIXDIM + 8, "f", NAN))
add_image("pixdim-against-affine", "affine_conflict", patched(PIXDIM + 4, "3f", 1, 1, 1))
add_image("column-zero", "affine_invalid", patched(SROW, "f", 0))
add_image("affine-nan", "affine_invalid", patched(SROW + 12, "f", NAN))
add_image("affine-inf", "affine_invalid", patched(SROW + 28, "f", INF))
add_image("affine-singular", "affine_invalid", patched(SROW, "8f", -2, -2, 0, 40, 0.001, 0.001, 0, 45))
add_image("affine-sheared", "affine_sheared", patched(SROW + 8, "f", 0.7))
add_image("qform-against-sform", "affine_conflict", patched(SROW + 12, "f", 55))
add_image("quaternion-impossible", "affine_invalid", patched(QFORM + 4, "3f", 1, 1, 1))
add_image("offset-inside-header", "header_invalid", patched(OFFSET, "f", 100))
add_image("offset-odd", "header_invalid", patched(OFFSET, "f", 352.5))
add_image("offset-far", "header_invalid", patched(OFFSET, "f", 3e9))
add_image("offset-shifted", "payload_length", patched(OFFSET, "f", 368))
add_image("magic", "header_invalid", patched(MAGIC, "4s", b"ni1\0"))
add_image("header-size", "header_invalid", patched(0, "i", 349))
add_image("meters", "units", patched(UNITS, "B", 1))
add_image("micrometers", "units", patched(UNITS, "B", 3))
add_image("slope-infinite", "scaling", patched(SLOPE, "2f", INF, 0))
add_image("slope-absurd", "scaling", patched(SLOPE, "2f", 1e30, 0))
add_image("intercept-nan", "scaling", patched(SLOPE, "2f", 1, NAN))
add_image("intercept-twice", "hu_offset", patched(SLOPE, "2f", 1, -1024))
add_image("intercept-missing", "hu_offset", nifti_bytes(IMAGE + np.int16(1024)))
add_image("inverted", "hu_inverted", nifti_bytes(-IMAGE))
add_image("windowed", "hu_windowed", nifti_bytes(IMAGE.clip(-175, 250)))
add_image("eight-bit", "image_few_values", nifti_bytes((IMAGE.clip(-175, 250) + 175) // 2))
add_image("label-as-image", "image_few_values", nifti_bytes(LABEL))
add_image("constant", "image_constant", nifti_bytes(np.full(SHAPE, 7, np.int16)))
RICIAN = np.hypot(np.random.default_rng(1).normal(0, 20, SHAPE), (IMAGE.clip(-200, 300) + 200) * 2.0 * (IMAGE > -500))
add_image("magnetic-resonance", "hu_not_ct", nifti_bytes(np.rint(RICIAN).astype(np.int16)))
add_image("beyond-16-bit", "hu_range", nifti_bytes(IMAGE.astype(np.float32) * 1000))
FLOATS = IMAGE.astype(np.float32)
add_image("voxel-nan", "voxel_nan", nifti_bytes(np.where(np.arange(FLOATS.size).reshape(SHAPE) == 99, NAN, FLOATS)))
add_image("voxel-inf", "voxel_nan", nifti_bytes(np.where(np.arange(FLOATS.size).reshape(SHAPE) == 99, INF, FLOATS)))
add_image("spacing-wide", "spacing", IMAGE, affine=AFFINE @ np.diag([1, 1, 5, 1]))
add_image("spacing-fine", "spacing", IMAGE, affine=AFFINE @ np.diag([0.001, 0.001, 0.001, 1]))
add_image("extent-small", "extent", IMAGE, affine=AFFINE @ np.diag([0.2, 0.2, 0.2, 1]))
add_image("extent-large", "extent", np.resize(IMAGE, (4, 4, 300)), affine=np.diag([9.0, 9, 9, 1]))

SHIFTED = AFFINE + np.array([[0, 0, 0, 1.0]] + [[0, 0, 0, 0]] * 3)
add_label("label-other-shape", "label_grid", LABEL[1:])
add_label("label-shifted", "label_grid", LABEL, SHIFTED)
add_label("label-unit-spacing", "label_grid", LABEL, np.diag([-1.0, -1, 1, 1]))
add_label("label-turned", "label_grid", LABEL, AFFINE @ np.diag([-1.0, 1, 1, 1]))
add_label("label-unknown-value", "label_unknown_value", np.where(LABEL == 3, 9, LABEL).astype(np.uint8))
add_label("label-negative", "label_unknown_value", np.where(LABEL == 3, -1, LABEL).astype(np.int16))
add_label("label-fraction", "label_not_integer", LABEL.astype(np.float32) * 0.5)
add_label("label-nan", "voxel_nan", np.where(LABEL == 3, NAN, LABEL.astype(np.float32)))
add_label("label-empty", "label_empty", np.zeros_like(LABEL))
add_label("label-four-dimensional", "dimensions", nifti_bytes(np.stack([LABEL.T, LABEL.T], 3)))
add_label("label-cut", "payload_length", bytes(nifti_bytes(LABEL)[:-9]))

MUTANTS["image-missing"] = "file_missing", lambda folder: raw_case("image-missing", folder / "nowhere.nii.gz")
MUTANTS["label-missing"] = (
    "file_missing",
    lambda folder: raw_case("label-missing", write_nifti(folder / "m.nii.gz", IMAGE), folder / "nowhere-label.nii.gz"),
)


def add_itk(name: str, code: str, suffix: str, compress: bool, spoil: Callable[[bytes], bytes]) -> None:
    """A NRRD or MetaImage file whose bytes ``spoil`` changes."""

    def make(folder: Path) -> dict:
        path = folder / f"{name}{suffix}"
        sitk.WriteImage(sitk.GetImageFromArray(IMAGE), str(path), compress)
        path.write_bytes(spoil(path.read_bytes()))
        return raw_case(name, path)

    MUTANTS[name] = code, make


add_itk("nrrd-cut", "payload_length", ".nrrd", False, lambda data: data[:-1000])
add_itk("nrrd-zipped-cut", "gzip_damaged", ".nrrd", True, lambda data: data[:-1000])
add_itk(
    "nrrd-detached", "header_invalid", ".nrrd", False, lambda data: data.replace(b"encoding", b"data file: /etc/x\nencoding")
)
add_itk("metaimage-cut", "payload_length", ".mha", False, lambda data: data[:-1000])
add_itk("metaimage-zipped-cut", "gzip_damaged", ".mha", True, lambda data: data[:-1000])
add_itk("metaimage-page", "header_invalid", ".mha", False, lambda data: b"<html></html>")


def _empty_folder(folder: Path, paths: list[Path]) -> None:
    for path in paths:
        path.unlink()


def _only_text(folder: Path, paths: list[Path]) -> None:
    _empty_folder(folder, paths)
    (folder / "readme").write_text("no image")


add_series("dicom-empty", "file_empty", _empty_folder)
add_series("dicom-text", "dicom_no_ct", _only_text)
add_series("dicom-gap", "dicom_missing_slices", lambda folder, paths: paths[9].unlink())
add_series("dicom-twice", "dicom_duplicate_slices", lambda _, paths: edit(paths[3], ImagePositionPatient=[-40, -45, -56]))
add_series(
    "dicom-two-series", "dicom_several_series", lambda folder, _: write_dicom(folder / "b", IMAGE, series="1.2.3.9") and None
)
add_series("dicom-spacing", "dicom_inconsistent", lambda _, paths: edit(paths[3], PixelSpacing=[2.5, 2.6]))
add_series("dicom-no-position", "dicom_inconsistent", lambda _, paths: edit(paths[3], ImagePositionPatient=None))
add_series("dicom-enhanced", "dicom_unsupported", lambda _, p: edit(p[0], SOPClassUID=pydicom.uid.EnhancedCTImageStorage))
add_series("dicom-cut", "file_unreadable", lambda _, paths: paths[5].write_bytes(paths[5].read_bytes()[:-500]))


def good_variants() -> dict[str, bytes]:
    """Files that look unusual but mean the same as the good image."""
    extended = nifti_bytes(IMAGE)
    struct.pack_into("<f", extended, OFFSET, 368)
    extension = struct.pack("<2i8s", 16, 6, b"comment")
    big_endian = nibabel.Nifti1Image.from_bytes(bytes(nifti_bytes(IMAGE)))
    swapped = nibabel.Nifti1Image(np.asarray(big_endian.dataobj), AFFINE, big_endian.header.as_byteswapped(">"))
    unsigned = nifti_bytes((IMAGE + 1024).astype(np.uint16))
    struct.pack_into("<2f", unsigned, SLOPE, 1, -1024)
    trailing = nifti_bytes(IMAGE)
    struct.pack_into("<h", trailing, DIM, 5)
    return {
        "slope-zero": patched(SLOPE, "2f", 0, 77),
        "slope-nan": patched(SLOPE, "2f", NAN, NAN),
        "description": patched(148, "20s", b"anything at all"),
        "intent-name": patched(328, "8s", b"\xff\xfe name"),
        "extension": bytes(extended[:348]) + b"\1\0\0\0" + extension + bytes(extended[352:]),
        "big-endian": swapped.to_bytes(),
        "second-version": bytes(nifti_bytes(IMAGE, kind=nibabel.Nifti2Image)),
        "trailing-ones": bytes(trailing),
        "floats": bytes(nifti_bytes(IMAGE.astype(np.float32))),
        "integers-of-32-bits": bytes(nifti_bytes(IMAGE.astype(np.int32))),
        "unsigned": bytes(unsigned),
        "quaternion-only": patched(QFORM + 2, "h", 0),
        "matrix-only": patched(QFORM, "h", 0),
        "unit-unknown": patched(UNITS, "B", 0),
        "offset-zero": patched(OFFSET, "f", 0),
    }
