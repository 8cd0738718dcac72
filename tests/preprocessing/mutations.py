"""Mutations of a good file, many of each kind, each classified beforehand: the code it must be refused with, or accepted.

The kinds are those on which common readers were measured to disagree; ``mutants.py`` holds one of each, with a label. Every
kind of a header is applied to NIfTI-1 and NIfTI-2, in both byte orders, plain and compressed.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from tests.preprocessing.mutants import edit
from tests.preprocessing.samples import AFFINE, make_ct, nifti_bytes, raw_case, write_dicom, write_nifti

IMAGE, LABEL = make_ct()
ACCEPTED = "accepted"
NAN, INF = float("nan"), float("inf")
CONTAINERS = {
    "n1-little-gz": (nibabel.Nifti1Header, "<", ".nii.gz"),
    "n1-big": (nibabel.Nifti1Header, ">", ".nii"),
    "n2-little": (nibabel.Nifti2Header, "<", ".nii"),
    "n2-big-gz": (nibabel.Nifti2Header, ">", ".nii.gz"),
    "n1-little": (nibabel.Nifti1Header, "<", ".nii"),
}
Change = Callable[[nibabel.Nifti1Header], None]


@dataclass(frozen=True)
class Mutation:
    """One file or folder: what becomes of it, and how it is made.

    Attributes:
        kind: what was done; several mutations share a kind.
        verdict: a quarantine code, or ``accepted``.
        make: writes it into a folder and returns the row of the raw case.
    """

    kind: str
    name: str
    verdict: str
    make: Callable[[Path], dict]


def encode(array: np.ndarray, container: str = "n1-little", change: Change | None = None, affine: np.ndarray = AFFINE) -> bytes:
    """An uncompressed NIfTI file of an array (z, y, x); ``change`` alters its header before it is written."""
    kind, order, _ = CONTAINERS[container]
    header = kind(endianness=order, check=False)
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape[::-1])
    header.set_xyzt_units("mm")
    header.set_sform(affine, 1)
    if np.isfinite(affine).all():
        header.set_qform(affine, 1)
    first = 352 if kind is nibabel.Nifti1Header else 544
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = first, 1, 0
    header["magic"] = b"n+1" if kind is nibabel.Nifti1Header else b"n+2\0\r\n\032\n"
    if change:
        change(header)
    return header.binaryblock + bytes(4) + array.astype(array.dtype.newbyteorder(order)).tobytes()


def put(field: str, *values: float, place: int | None = None) -> Change:
    """A change that sets a field of the header, or its elements from ``place`` on."""

    def change(header: nibabel.Nifti1Header) -> None:
        if place is None:
            header[field] = values[0]
        else:
            header[field][place : place + len(values)] = values

    return change


def together(*changes: Change) -> Change:
    """Several changes, one after the other."""
    return lambda header: [change(header) for change in changes] and None


DEPTH = IMAGE.shape[0]
HEADER_KINDS: dict[str, tuple[str, list[Change]]] = {
    "sizeof": ("header_invalid", [put("sizeof_hdr", value) for value in (0, 349)]),
    "magic": ("header_invalid", [put("magic", value) for value in (b"ni1", b"xyz")]),
    "offset-in-header": ("header_invalid", [put("vox_offset", value) for value in (100, 347)]),
    "offset-far": ("header_invalid", [put("vox_offset", 3e9), put("vox_offset", -352)]),
    "offset-shifted": ("payload_length", [put("vox_offset", 560), put("vox_offset", 1024)]),
    "huge": ("too_large", [put("dim", 32767, 32767, 32767, place=1)]),
    "length-zero": ("dimensions", [put("dim", 0, place=axis) for axis in (1, 2, 3)]),
    "length-negative": ("dimensions", [put("dim", -5, place=axis) for axis in (1, 3)]),
    "rank": ("dimensions", [put("dim", rank, place=0) for rank in (0, 1, 9, -3)]),
    "four-dimensional": ("dimensions", [put("dim", 4, 38, 34, 11, 2, place=0)]),
    "five-dimensional": ("dimensions", [put("dim", 5, 38, 34, 11, 1, 2, place=0)]),
    "slices-too-many": ("payload_length", [put("dim", DEPTH + more, place=3) for more in (1, 2, 40)]),
    "slices-too-few": ("payload_length", [put("dim", DEPTH - less, place=3) for less in (1, 2, 20)]),
    "type-wider": (
        "payload_length",
        [together(put("datatype", code), put("bitpix", bits)) for code, bits in ((16, 32), (64, 64))],
    ),
    "type-narrower": ("payload_length", [together(put("datatype", 2), put("bitpix", 8))]),
    "bitpix": ("header_invalid", [put("bitpix", 32), put("bitpix", 0)]),
    "type-unknown": ("voxel_type", [put("datatype", value) for value in (777, 0, 1)]),
    "complex": ("voxel_type", [together(put("datatype", 32), put("bitpix", 64))]),
    "color": ("voxel_type", [together(put("datatype", 128), put("bitpix", 24))]),
    "pixdim-zero": ("affine_invalid", [put("pixdim", 0, place=axis) for axis in (1, 2, 3)]),
    "pixdim-negative": ("affine_invalid", [put("pixdim", -2, place=axis) for axis in (1, 3)]),
    "pixdim-not-finite": ("affine_invalid", [put("pixdim", value, place=2) for value in (NAN, INF)]),
    "pixdim-against-affine": ("affine_conflict", [put("pixdim", 1, place=3), put("pixdim", 1, 1, 1, place=1)]),
    "column-zero": ("affine_invalid", [put("srow_x", 0, place=0), put("srow_z", 0, place=2)]),
    "affine-nan": ("affine_invalid", [put("srow_x", NAN, place=3), put("srow_y", NAN, place=0)]),
    "affine-infinite": ("affine_invalid", [put("srow_x", INF, place=0), put("srow_z", -INF, place=3)]),
    "singular": ("affine_invalid", [together(put("srow_x", -2, -2, place=0), put("srow_y", 1e-3, 1e-3, place=0))]),
    "sheared": ("affine_sheared", [put("srow_x", value, place=2) for value in (0.7, 0.02)]),
    "origins-differ": ("affine_conflict", [put("srow_x", 55, place=3), put("qoffset_z", -60)]),
    "directions-differ": ("affine_conflict", [put("quatern_d", 0.1), together(put("quatern_b", 0.1), put("quatern_d", 0.99))]),
    "handedness-differs": ("affine_conflict", [put("pixdim", -1, place=0), put("srow_z", -3.5, place=2)]),
    "quaternion-impossible": ("affine_invalid", [together(put("quatern_b", 1), put("quatern_c", 1), put("quatern_d", 1))]),
    "units": ("units", [put("xyzt_units", value) for value in (1, 3, 11)]),
    "slope-infinite": ("scaling", [put("scl_slope", INF), put("scl_slope", -INF)]),
    "slope-absurd": ("scaling", [put("scl_slope", 1e30), put("scl_slope", -2000)]),
    "intercept-not-finite": ("scaling", [put("scl_inter", NAN), put("scl_inter", INF)]),
    "intercept-twice": ("hu_offset", [put("scl_inter", -1024), put("scl_inter", -1000)]),
    "intercept-missing": ("hu_offset", [put("scl_inter", 1024), put("scl_inter", 1000)]),
    "slope-negative": ("hu_inverted", [put("scl_slope", -1)]),
    "slope-too-large": ("hu_range", [put("scl_slope", 60), put("scl_slope", 900)]),
}  # fmt: skip
HARMLESS_KINDS: dict[str, list[Change]] = {
    "description": [put("descrip", b"anything at all"), put("aux_file", b"none")],
    "intent": [put("intent_name", b"\xff\xfe name"), put("intent_code", 1002), put("intent_p1", NAN)],
    "display-range": [put("cal_max", 99), put("cal_min", NAN)],
    "slice-timing": [put("slice_code", 7), put("slice_duration", INF), put("slice_end", 9999), put("toffset", NAN)],
    "dimension-roles": [put("dim_info", 57)],
    "unused-lengths": [put("dim", 0, -3, place=4), put("pixdim", NAN, -1, place=4)],
    "slope-says-nothing": [put("scl_slope", 0), put("scl_slope", NAN)],
    "time-unit": [put("xyzt_units", 2 + 8), put("xyzt_units", 2 + 16), put("xyzt_units", 0)],
    "one-affine-of-two": [
        together(put("qform_code", 0), put("quatern_b", 7)),
        together(put("sform_code", 0), put("srow_x", NAN, place=0)),
    ],
    "code-of-affine": [put("sform_code", 4), put("qform_code", 2)],
    "trailing-ones": [together(put("dim", 5, place=0), put("dim", 1, 1, place=4))],
}


def _image(kind: str, name: str, verdict: str, content: bytes, suffix: str) -> Mutation:
    """An image without a label, compressed if its name says so."""

    def make(folder: Path) -> dict:
        path = folder / f"{name}{suffix}"
        path.write_bytes(gzip.compress(content, 1, mtime=0) if suffix.endswith(".gz") else content)
        return raw_case(name, path)

    return Mutation(kind, name, verdict, make)


def _bytes(kind: str, name: str, verdict: str, content: bytes, suffix: str = ".nii.gz") -> Mutation:
    """A file of exactly these bytes."""

    def make(folder: Path) -> dict:
        (folder / f"{name}{suffix}").write_bytes(content)
        return raw_case(name, folder / f"{name}{suffix}")

    return Mutation(kind, name, verdict, make)


def of_headers() -> Iterator[Mutation]:
    """Every change of a header in every container."""
    kinds = HEADER_KINDS | {name: (ACCEPTED, changes) for name, changes in HARMLESS_KINDS.items()}
    for kind, (verdict, changes) in kinds.items():
        for number, change in enumerate(changes):
            for container in CONTAINERS if number == 0 else list(CONTAINERS)[number % 5 :: 5]:
                content = encode(IMAGE, container, change)
                yield _image(kind, f"{kind}-{number}-{container}", verdict, content, CONTAINERS[container][2])


def of_streams() -> Iterator[Mutation]:
    """Compressed and plain files that were cut, bent, lengthened or exchanged."""
    rng = np.random.default_rng(5)
    plain = encode(IMAGE)
    zipped = gzip.compress(plain, 6, mtime=0)
    for place in rng.integers(3, len(zipped) - 1, 40):
        yield _bytes("gzip-cut", f"gzip-cut-{place}", "gzip_damaged", zipped[:place])
    for place in rng.integers(10, len(zipped), 40):
        bent = zipped[:place] + bytes([zipped[place] ^ 1 << place % 8]) + zipped[place + 1 :]
        yield _bytes("gzip-bit", f"gzip-bit-{place}", "gzip_damaged", bent)
    for place in rng.integers(400, len(plain) - 1, 20):
        yield _bytes("payload-cut", f"payload-cut-{place}", "payload_length", plain[:place], ".nii")
        yield _image("payload-cut-gz", f"payload-cut-gz-{place}", "payload_length", plain[:place], ".nii.gz")
    for place in (4, 100, 347, 351):
        yield _bytes("header-cut", f"header-cut-{place}", "payload_length", plain[:place], ".nii")
    for number, tail in enumerate((b"garbage", b"\1", b"<html>", zipped[:20], zipped[:5])):
        yield _bytes("gzip-trailing", f"gzip-trailing-{number}", "gzip_damaged", zipped + tail)
    for number, tail in enumerate((b"\0", b"more bytes", bytes(IMAGE[0].nbytes))):
        yield _bytes("payload-longer", f"payload-longer-{number}", "payload_length", plain + tail, ".nii")
        yield _image("payload-longer-gz", f"payload-longer-gz-{number}", "payload_length", plain + tail, ".nii.gz")
    yield _bytes("two-members", "second-member", "payload_length", zipped + gzip.compress(b"more", mtime=0))
    for number, page in enumerate((b"<html>Not found</html>" * 40, b"{}", b"PK\3\4" + bytes(500), b"\x89PNG\r\n" + bytes(600))):
        yield _bytes("other-content", f"other-content-{number}", "header_invalid", page, ".nii")
        yield _bytes("plain-named-gz", f"plain-named-gz-{number}", "gzip_damaged", page)
    yield _bytes("gz-named-plain", "gz-named-plain", "gzip_damaged", zipped, ".nii")
    yield _bytes("zlib-named-gz", "zlib-named-gz", "gzip_damaged", zlib.compress(plain))
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
        yield _bytes("empty", f"empty{suffix}", "file_empty", b"", suffix)
    for suffix in (".hdr", ".img", ".dat", ".nii.bz2", ".png"):
        yield _bytes("suffix", f"suffix{suffix}", "format_unknown", plain, suffix)
    for place, value in ((4, 255), (5, 17), (8, 2), (9, 255)):  # time, strength and system of the writer
        yield _bytes("gzip-origin", f"gzip-origin-{place}", ACCEPTED, zipped[:place] + bytes([value]) + zipped[place + 1 :])


def of_voxels() -> Iterator[Mutation]:
    """Intensities that are no CT in Hounsfield units, and geometry that no CT has."""
    floats = IMAGE.astype(np.float32)
    bright = IMAGE.clip(-200, 300) + 200.0
    for seed, container in enumerate(CONTAINERS):
        rng = np.random.default_rng(seed)
        spoiled = {value: floats.copy() for value in (NAN, INF, -INF)}
        for value, array in spoiled.items():
            array[tuple(rng.integers(0, IMAGE.shape))] = value
        resonance = np.hypot(rng.normal(0, 20, IMAGE.shape), rng.uniform(1, 3) * bright * (IMAGE > -500))
        for kind, verdict, array in (
            ("voxel-nan", "voxel_nan", spoiled[NAN]),
            ("voxel-infinite", "voxel_nan", spoiled[INF if seed % 2 else -INF]),
            ("beyond-16-bits", "hu_range", floats * 1000),
            ("constant", "image_constant", np.full_like(IMAGE, 100 * seed)),
            ("label-as-image", "image_few_values", LABEL.astype(np.int16)),
            ("eight-bits", "image_few_values", ((IMAGE.clip(-160, 240 + seed) + 160) * 0.6).astype(np.int16)),
            ("window", "hu_windowed", IMAGE.clip(-175 - 20 * seed, 250)),
            ("resonance", "hu_not_ct", np.rint(resonance).astype(np.int16)),
        ):
            yield _image(kind, f"{kind}-{seed}", verdict, encode(array, container), CONTAINERS[container][2])
        for kind, verdict, scale in (
            ("spacing-wide", "spacing", (1, 1, 4 + seed)),
            ("spacing-fine", "spacing", (1e-3, 1e-3, 1e-3)),
            ("extent-small", "extent", (0.2, 0.2, 0.2)),
        ):
            content = encode(IMAGE, container, affine=AFFINE @ np.diag([*map(float, scale), 1]))
            yield _image(kind, f"{kind}-{seed}", verdict, content, CONTAINERS[container][2])


def of_labels() -> Iterator[Mutation]:
    """Good images beside labels that do not belong to them."""
    turned = [AFFINE @ np.diag([*signs, 1.0]) for signs in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    moved = [AFFINE + step * np.outer(np.eye(4)[axis], np.eye(4)[3]) for axis in range(3) for step in (0.5, -20)]
    grids = [("label-moved", affine) for affine in moved] + [("label-turned", affine) for affine in turned]
    grids += [("label-spacing", np.diag([-1.0, -1, 1, 1])), ("label-spacing", AFFINE @ np.diag([1, 1, 1.01, 1]))]
    faults = [(kind, "label_grid", encode(LABEL, affine=affine)) for kind, affine in grids]
    faults += [("label-shape", "label_grid", encode(part)) for part in (LABEL[1:], LABEL[:, 1:], LABEL[:, :, :-1])]
    for value in (9, -1, 300):
        other = np.where(LABEL == 3, value, LABEL).astype(np.int16)
        faults.append(("label-value", "label_unknown_value", encode(other)))
    faults += [("label-fraction", "label_not_integer", encode(LABEL.astype(np.float32) * share)) for share in (0.5, 1.01)]
    faults.append(("label-not-finite", "voxel_nan", encode(np.where(LABEL == 3, NAN, LABEL.astype(np.float32)))))
    faults.append(("label-empty", "label_empty", encode(np.zeros_like(LABEL))))
    faults += [("label-cut", "payload_length", encode(LABEL)[:-size]) for size in (1, 5000)]
    for number, (kind, verdict, content) in enumerate(faults):
        name = f"{kind}-{number}"

        def make(folder: Path, name: str = name, content: bytes = content) -> dict:
            image = write_nifti(folder / f"{name}.nii", bytes(nifti_bytes(IMAGE)))
            return raw_case(name, image, write_nifti(folder / f"{name}-label.nii", content))

        yield Mutation(kind, name, verdict, make)


def of_itk() -> Iterator[Mutation]:
    """NRRD and MetaImage files that were cut, or whose header was changed."""
    edits = {
        "nrrd-size": (".nrrd", "payload_length", b"sizes: 38 34 22", b"sizes: 38 34 23"),
        "nrrd-direction": (".nrrd", "affine_invalid", b"(0,0,3.5)", b"(0,0,0)"),
        "nrrd-encoding": (".nrrd", "header_invalid", b"encoding: raw", b"encoding: hex"),
        "nrrd-detached": (".nrrd", "header_invalid", b"encoding: raw", b"data file: other.raw\nencoding: raw"),
        "metaimage-size": (".mha", "payload_length", b"DimSize = 38 34 22", b"DimSize = 38 34 21"),
        "metaimage-type": (".mha", "payload_length", b"MET_SHORT", b"MET_FLOAT"),
        "metaimage-detached": (".mha", "header_invalid", b"ElementDataFile = LOCAL", b"ElementDataFile = ../other.raw"),
    }
    picture = sitk.GetImageFromArray(IMAGE)
    picture.SetSpacing((2.0, 2.5, 3.5))

    def build(kind: str, name: str, verdict: str, suffix: str, compress: bool, spoil: Callable[[bytes], bytes]) -> Mutation:
        def make(folder: Path) -> dict:
            path = folder / f"{name}{suffix}"
            sitk.WriteImage(picture, str(path), compress)
            content = spoil(path.read_bytes())
            assert content != path.read_bytes()
            path.write_bytes(content)
            return raw_case(name, path)

        return Mutation(kind, name, verdict, make)

    for kind, (suffix, verdict, old, new) in edits.items():
        yield build(kind, kind, verdict, suffix, False, lambda data, old=old, new=new: data.replace(old, new))
    for suffix in (".nrrd", ".mha"):
        for size in (1, 100, 20000):
            for compress, verdict in ((False, "payload_length"), (True, "gzip_damaged")):
                kind = f"{suffix[1:]}-cut" + "-compressed" * compress
                yield build(kind, f"{kind}-{size}", verdict, suffix, compress, lambda data, size=size: data[:-size])


def of_series() -> Iterator[Mutation]:
    """DICOM folders whose slices miss, repeat or contradict each other."""

    def build(kind: str, number: int, verdict: str, spoil: Callable[[list[Path]], object]) -> Mutation:
        name = f"{kind}-{number}"

        def make(folder: Path) -> dict:
            spoil(write_dicom(folder / name, IMAGE[::2]))
            return raw_case(name, folder / name)

        return Mutation(kind, name, verdict, make)

    def move(place: int, position: list[float], paths: list[Path]) -> None:
        edit(paths[place], ImagePositionPatient=position)

    def cut(size: int, paths: list[Path]) -> None:
        paths[5].write_bytes(paths[5].read_bytes()[:-size])

    for place in (1, 4, 9):
        yield build("series-gap", place, "dicom_missing_slices", lambda paths, k=place: paths[k].unlink())
        again = [-40, -45, -70 + 3.5 * (place - 1)]
        yield build(
            "series-twice", place, "dicom_duplicate_slices", lambda p, k=place, at=again: edit(p[k], ImagePositionPatient=at)
        )
    for number, tags in enumerate(
        (
            {"PixelSpacing": [2.5, 2.6]},
            {"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]},
            {"ImagePositionPatient": None},
            {"PixelSpacing": None},
            {"Rows": 33},
        )
    ):
        yield build("series-mixed", number, "dicom_inconsistent", lambda paths, tags=tags: edit(paths[3], **tags))
    for size in (1, 500):
        yield build(
            "series-cut", size, "file_unreadable", lambda paths, k=size: paths[5].write_bytes(paths[5].read_bytes()[:-k])
        )
    yield build("series-other", 0, "dicom_several_series", lambda paths: edit(paths[3], SeriesInstanceUID="1.2.3.9"))
    offset = {"RescaleIntercept": 0}
    yield build("series-offset", 0, "hu_offset", lambda paths: [edit(path, **offset) for path in paths])


def all_mutations() -> list[Mutation]:
    """All of them."""
    return [one for group in (of_headers, of_streams, of_voxels, of_labels, of_itk, of_series) for one in group()]
