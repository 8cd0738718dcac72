"""Valid files that look unusual: each holds the same voxels and the same place in the patient as a plain one."""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from tests.preprocessing.mutations import CONTAINERS, IMAGE, encode, put, together
from tests.preprocessing.samples import AFFINE, write_dicom

TURNS = list(product(permutations(range(3)), product([1, -1], repeat=3)))


@dataclass(frozen=True)
class Oddity:
    """One valid file or folder.

    Attributes:
        kind: what is unusual.
        write: writes it into a folder and returns its path.
        image: the canonical voxels that it holds.
        affine: and where they lie, (x, y, z) to RAS mm.
    """

    kind: str
    name: str
    write: Callable[[Path], Path]
    image: np.ndarray = field(default_factory=lambda: IMAGE)
    affine: np.ndarray = field(default_factory=lambda: AFFINE)


def _file(kind: str, name: str, content: bytes, suffix: str, image: np.ndarray = IMAGE, affine: np.ndarray = AFFINE) -> Oddity:
    """A NIfTI file of these uncompressed bytes."""

    def write(folder: Path) -> Path:
        path = folder / f"{name}{suffix}"
        path.write_bytes(gzip.compress(content, 1, mtime=0) if suffix.lower().endswith(".gz") else content)
        return path

    return Oddity(kind, name, write, image, affine)


def of_types() -> Iterator[Oddity]:
    """Data types and scales in all containers."""
    types = {
        "int16": (np.int16, 1, 0), "int32": (np.int32, 1, 0), "int64": (np.int64, 1, 0),
        "float32": (np.float32, 1, 0), "float64": (np.float64, 1, 0),
        "unsigned-16": (np.uint16, 1, -1024), "unsigned-32": (np.uint32, 1, -1000), "unsigned-64": (np.uint64, 1, -1024),
        "halves": (np.int32, 0.5, 0), "hundredths": (np.float32, 0.01, -1024), "negative-slope": (np.int16, -1, 0),
        "slope-and-intercept": (np.int32, 0.25, -1024), "thousands": (np.float64, 1000, 12),
    }  # fmt: skip
    for container, (_, _, suffix) in CONTAINERS.items():
        for name, (dtype, slope, intercept) in types.items():
            values = (IMAGE.clip(-1000) if intercept == -1000 else IMAGE).astype(float)
            stored = (values - intercept) / slope
            array = (stored if np.dtype(dtype).kind == "f" else np.rint(stored)).astype(dtype)
            content = encode(array, container, together(put("scl_slope", slope), put("scl_inter", intercept)))
            yield _file("type", f"{name}-{container}", content, suffix, values.astype(np.int16))


def of_turns() -> Iterator[Oddity]:
    """All 48 ways to store the axes, in turn in all containers."""
    for number, (order, signs) in enumerate(TURNS):
        container = list(CONTAINERS)[number % len(CONTAINERS)]
        turned = nibabel.Nifti1Image(IMAGE.transpose(2, 1, 0), AFFINE).as_reoriented(np.stack([order, signs], axis=1))
        content = encode(np.asarray(turned.dataobj).T, container, affine=turned.affine)
        yield _file("turn", f"turn-{number}", content, CONTAINERS[container][2])


def of_grids() -> Iterator[Oddity]:
    """Thin, tiny and far volumes; voxels that are no cubes; oblique axes."""
    parts = {"slices-2": IMAGE[10:12], "slices-3": IMAGE[:3], "rows-8": IMAGE[:, 12:20], "columns-9": IMAGE[:, :, 14:23]}
    for name, part in parts.items():
        for container in ("n1-little-gz", "n2-little"):
            yield _file("thin", f"{name}-{container}", encode(part, container), CONTAINERS[container][2], part)
    spacings = [(0.4, 0.4, 0.4), (0.45, 0.45, 7.5), (5, 5, 1), (1.7, 1.8, 0.9), (0.976562, 0.976562, 3.27), (1 / 3, 2, 9.9)]
    for number, spacing in enumerate(spacings):
        image = IMAGE if min(spacing) > 0.41 else np.concatenate([IMAGE] * 6, axis=2)
        for place in ((0, 0, 0), (-1500.5, 2000, 3000)):
            affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
            affine[:3, 3] = place
            content = encode(image, "n1-little-gz", affine=affine)
            yield _file("spacing", f"spacing-{number}-{place[2]}", content, ".nii.gz", image, affine)
    for degrees in (1, 10, 30, 44):
        for axis in range(3):
            turn = np.eye(4)
            one, other = (axis + 1) % 3, (axis + 2) % 3
            turn[[one, other], [one, other]] = np.cos(np.deg2rad(degrees))
            turn[one, other], turn[other, one] = np.sin(np.deg2rad([-degrees, degrees]))
            content = encode(IMAGE, "n2-little", affine=turn @ AFFINE)
            yield _file("oblique", f"oblique-{degrees}-{axis}", content, ".nii", affine=turn @ AFFINE)


def of_headers() -> Iterator[Oddity]:
    """Extensions, odd names, and what a header may leave open."""
    plain = encode(IMAGE)
    for number, length in enumerate((16, 32, 4096)):
        extension = struct.pack("<2i", length, 6) + bytes(length - 8)
        longer = encode(IMAGE, "n1-little", put("vox_offset", 352 + length))
        yield _file("extension", f"extension-{number}", longer[:348] + b"\1\0\0\0" + extension + longer[352:], ".nii.gz")
    yield _file("offset", "offset-zero", encode(IMAGE, "n1-little", put("vox_offset", 0)), ".nii")
    for suffix in (".NII", ".NII.GZ", ".Nii.gz", ".ct.nii.gz"):
        yield _file("name", f"name{suffix}", plain, suffix)
    for name, change in (("quaternion-only", put("sform_code", 0)), ("matrix-only", put("qform_code", 0))):
        yield _file("one-affine", name, encode(IMAGE, "n1-big", change), ".nii")
    lengths = [3, 5, len(plain) // 2, len(plain) - 1]
    for length in lengths:
        yield _members(f"members-{length}", [plain[:length], plain[length:]])
    yield _members("members-empty", [b"", plain, b""])
    yield _members("members-many", [plain[start : start + 1000] for start in range(0, len(plain), 1000)])
    for name, flags, extra in (
        ("gzip-name", 8, b"image.nii\0"),
        ("gzip-comment", 16, b"comment\0"),
        ("gzip-extra", 4, b"\5\0extra"),
        ("gzip-sum", 2, None),
    ):
        yield _named(name, flags, extra)
    for level in (0, 1, 9):
        packed = gzip.compress(plain, level, mtime=1)
        yield Oddity("gzip", f"level-{level}", _writer(f"level-{level}.nii.gz", packed))


def _writer(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def _members(name: str, parts: list[bytes]) -> Oddity:
    """A compressed file of several members."""
    return Oddity("members", name, _writer(f"{name}.nii.gz", b"".join(gzip.compress(part, 1, mtime=0) for part in parts)))


def _named(name: str, flags: int, extra: bytes | None) -> Oddity:
    """A compressed file whose header has optional fields."""
    packed = gzip.compress(encode(IMAGE), 1, mtime=0)
    head = packed[:3] + bytes([flags]) + packed[4:10]
    if extra is None:  # the checksum of the header
        extra = struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    return Oddity("gzip", name, _writer(f"{name}.nii.gz", head + extra + packed[10:]))


def of_itk() -> Iterator[Oddity]:
    """NRRD and MetaImage: attached, detached, compressed, and of other types."""
    plain = sitk.GetImageFromArray(IMAGE)
    plain.SetSpacing((2.0, 2.5, 3.5))
    plain.SetOrigin((-40, -45, -70))
    types = (sitk.sitkInt16, sitk.sitkInt32, sitk.sitkFloat32, sitk.sitkFloat64)
    for suffix, compress, number in product((".nrrd", ".mha", ".mhd"), (False, True), range(len(types))):
        name = f"itk-{number}{'-compressed' * compress}{suffix}"

        def write(folder: Path, name: str = name, compress: bool = compress, number: int = number) -> Path:
            sitk.WriteImage(sitk.Cast(plain, types[number]), str(folder / name), compress)
            return folder / name

        yield Oddity("itk", name, write)
    for number, code in enumerate(("RAI", "LPI", "PIR", "SAL")):

        def turned(folder: Path, number: int = number, code: str = code) -> Path:
            path = folder / f"itk-turned-{number}.nrrd"
            sitk.WriteImage(sitk.DICOMOrient(plain, code), str(path))
            return path

        yield Oddity("itk-turned", f"itk-turned-{number}", turned)
    for name, suffix, old, new in (
        ("nrrd-comment", ".nrrd", b"\nencoding: raw", b"\n# comment\nencoding: raw"),
        ("nrrd-key", ".nrrd", b"\nencoding: raw", b"\nencoding: raw\nkey:=value"),
        ("metaimage-comment", ".mha", b"ElementType", b"Comment = nothing\nElementType"),
    ):

        def edited(folder: Path, name: str = name, suffix: str = suffix, old: bytes = old, new: bytes = new) -> Path:
            path = folder / f"{name}{suffix}"
            sitk.WriteImage(plain, str(path))
            path.write_bytes(path.read_bytes().replace(old, new, 1))
            return path

        yield Oddity("itk", name, edited)
    swapped = {b"endian: little": b"endian: big"}, {b"BinaryDataByteOrderMSB = False": b"BinaryDataByteOrderMSB = True"}
    for suffix, words in zip((".nrrd", ".mha"), swapped, strict=True):

        def swap(folder: Path, suffix: str = suffix, words: dict[bytes, bytes] = words) -> Path:
            path = folder / f"itk-big{suffix}"
            sitk.WriteImage(plain, str(path))
            content = path.read_bytes()
            head = content[: len(content) - IMAGE.nbytes]
            for old, new in words.items():
                assert old in head
                head = head.replace(old, new)
            path.write_bytes(head + IMAGE.astype(">i2").tobytes())
            return path

        yield Oddity("itk-big", f"itk-big{suffix}", swap)


def of_series() -> Iterator[Oddity]:
    """DICOM folders: orders, paddings, intercepts, transfer syntaxes, other files among the slices."""

    def build(name: str, change: Callable[[pydicom.Dataset, int], None] | None = None, **options: object) -> Oddity:
        image = options.pop("image", IMAGE)

        def write(folder: Path) -> Path:
            paths = write_dicom(folder / name, options.get("stored", image), bool(options.get("descending")))
            for number, path in enumerate(paths if change else ()):
                dataset = pydicom.dcmread(path)
                change(dataset, number)
                dataset.save_as(path, enforce_file_format=True)
            for extra, content in options.get("beside", {}).items():
                (folder / name / extra).parent.mkdir(exist_ok=True)
                (folder / name / extra).write_bytes(content)
            return folder / name

        return Oddity("series", name, write, image)

    def signed(dataset: pydicom.Dataset, intercept: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(int) - 1024 - intercept
        dataset.PixelData, dataset.PixelRepresentation = stored.astype("<i2").tobytes(), 1
        dataset.RescaleIntercept = intercept

    def drop(dataset: pydicom.Dataset, *names: str) -> None:
        for name in names:
            delattr(dataset, name)

    def implicit(dataset: pydicom.Dataset, _: int) -> None:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    yield build("series-plain")
    yield build("series-descending", descending=True)
    yield build("series-signed", lambda dataset, _: signed(dataset, 0))
    yield build("series-intercept-1000", lambda dataset, _: signed(dataset, -1000))
    yield build("series-no-patient", lambda dataset, _: drop(dataset, "PatientID", "PatientName"))
    yield build("series-no-number", lambda dataset, _: drop(dataset, "InstanceNumber", "SliceThickness"))
    yield build("series-numbers-wrong", lambda dataset, number: setattr(dataset, "InstanceNumber", (number * 7) % 5))
    yield build("series-implicit", implicit)
    yield build("series-run-length", lambda dataset, _: dataset.compress(RLELossless, generate_instance_uid=False))
    yield build("series-beside", beside={"notes.txt": b"text", "deeper/readme": b"more", "DICOMDIR.bak": bytes(200)})
    yield build("series-ceiling", image=IMAGE.clip(max=1023))


def all_oddities() -> list[Oddity]:
    """All of them."""
    return [one for group in (of_types, of_turns, of_grids, of_headers, of_itk, of_series) for one in group()]
