"""Scans full of personal tokens, wherever their formats have room for words; and a search that looks into every file."""

import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import blosc2
import nibabel
import numpy as np
import pandas as pd
import pydicom
import SimpleITK as sitk
from nibabel.nifti1 import Nifti1Extension
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage
from scipy import ndimage

from freetumor.core.seeding import generator
from tests.preprocessing.samples import AFFINE, make_ct, nifti_bytes, write_dicom

TAGS = {  # of the slices; the kind of token that each may hold
    "PatientName": "word", "PatientID": "word", "PatientBirthDate": "date", "PatientAddress": "word",
    "OtherPatientNames": "word", "PatientComments": "word", "InstitutionName": "word", "ReferringPhysicianName": "word",
    "OperatorsName": "word", "AccessionNumber": "word", "StudyID": "word", "StudyDate": "date", "StudyDescription": "word",
    "SeriesDescription": "word", "ProtocolName": "word", "DeviceSerialNumber": "word", "StationName": "word",
    "ImageComments": "word", "StudyInstanceUID": "uid", "FrameOfReferenceUID": "uid",
}  # fmt: skip


class Tokens:
    """Tokens that occur nowhere by chance."""

    def __init__(self) -> None:
        self.rng = generator("personal tokens")
        self.made: list[str] = []

    def take(self, kind: str = "word") -> str:
        digits = "".join(map(str, self.rng.integers(0, 10, 14)))
        letters = "".join(self.rng.choice(list("abcdefghkmnpqrstuvwxyz"), 9))
        date = f"19{self.rng.integers(10, 100)}{self.rng.integers(1, 13):02d}{self.rng.integers(1, 29):02d}"
        token = {"word": f"Zq{letters}", "date": date, "uid": f"1.2.9{digits}"}[kind]
        self.made.append(token)
        return token


def named_nifti(path: Path, array: np.ndarray, take: Callable[[], str]) -> Path:
    """A NIfTI file with words in all texts of its header and in two extensions."""
    image = nibabel.Nifti1Image.from_bytes(bytes(nifti_bytes(array)))
    image = nibabel.Nifti1Image(np.asanyarray(image.dataobj), None, image.header)
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[field] = take().encode()
    image.header.extensions.append(Nifti1Extension("comment", take().encode()))
    image.header.extensions.append(Nifti1Extension(0, take().encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def named_itk(path: Path, array: np.ndarray, take: Callable[[], str]) -> Path:
    """A NRRD or MetaImage file with words in its header."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((2.0, 2.5, 3.5))
    image.SetOrigin((-40.0, -45.0, -70.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    content = path.read_bytes()
    if path.suffix == ".nrrd":
        first, rest = content.split(b"\n", 1)
        head, voxels = rest.split(b"\n\n", 1)
        words = f"# {take()}\ncontent: {take()}\n".encode()
        content = first + b"\n" + words + head + f"\npatient:={take()}\n\n".encode() + voxels
    else:
        content = content.replace(b"NDims", f"Comment = {take()}\nName = {take()}\nNDims".encode(), 1)
    path.write_bytes(content)
    return path


def named_series(folder: Path, array: np.ndarray, take: Callable[..., str]) -> Path:
    """A DICOM series with words in public and private tags and in nested sequences, and in its file names."""
    values = {keyword: take(kind) for keyword, kind in TAGS.items()}
    series, creator, private, deep, deeper, name = take("uid"), take(), take(), take(), take(), take()
    for number, path in enumerate(write_dicom(folder, array, series=series)):
        dataset = pydicom.dcmread(path)
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.private_block(0x0009, creator, create=True).add_new(1, "LO", private)
        inner, request = pydicom.Dataset(), pydicom.Dataset()
        inner.CodeMeaning, request.RequestingPhysician = deeper, deep
        request.RequestedProcedureCodeSequence = [inner]
        dataset.RequestAttributesSequence = [request]
        dataset.save_as(path)
        path.rename(folder / f"{name}_{number:03d}.dcm")
    return folder


def named_structures(path: Path, take: Callable[[], str]) -> Path:
    """An RTSTRUCT with a liver, a tumor and a region that nobody asks for."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = RTStructureSetStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.StructureSetLabel, dataset.ApprovalStatus, dataset.ReviewerName = take(), "APPROVED", take()
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, low, high) in enumerate((("Liver", 8, 18), ("GTV", 11, 14), (take(), 20, 24)), 1):
        roi, region = pydicom.Dataset(), pydicom.Dataset()
        roi.ROINumber, roi.ROIName, region.ReferencedROINumber = number, name, number
        region.ContourSequence = []
        for z in range(8, 14):
            item = pydicom.Dataset()
            item.ContourGeometricType = "CLOSED_PLANAR"
            corners = np.array([[low, low, z], [high, low, z], [high, high, z], [low, high, z]])
            points = (corners @ AFFINE[:3, :3].T + AFFINE[:3, 3]) * [-1, -1, 1]
            item.ContourData = [round(value, 4) for value in points.ravel().tolist()]
            region.ContourSequence.append(item)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(region)
    dataset.save_as(path, enforce_file_format=True)
    return path


def distinct_ct(index: int) -> tuple[np.ndarray, np.ndarray]:
    """HU and label of a body whose tissue differs from those of other numbers, so that it is no duplicate."""
    image, label = make_ct(index)
    coarse = generator("distinct tissue", index).normal(0, 150, (5, 5, 5))
    tissue = ndimage.zoom(coarse, np.divide(image.shape, coarse.shape), order=1)
    return np.where(image > -500, image + np.rint(tissue), image).astype(np.int16), label


def make_hospital(root: Path) -> list[str]:
    """A folder of scans of all formats, good and damaged, and the CSV that lists them; return the tokens planted."""
    tokens = Tokens()
    take = tokens.take
    ward, name, missing = root / take(), take(), take()  # names of a folder and of files; a file's name is a case id
    images, labels = zip(*(distinct_ct(index) for index in range(9)), strict=True)
    pairs = [
        (named_nifti(ward / f"{name}.nii.gz", images[0], take), named_nifti(ward / f"{name}-seg.nii.gz", labels[0], take)),
        (named_itk(ward / "b.nrrd", images[1], take), named_itk(ward / "b-seg.nrrd", labels[1], lambda: name)),
        (named_itk(ward / "c.mha", images[2], take), named_itk(ward / "c-seg.mha", labels[2], lambda: name)),
        (named_series(ward / "d", images[3], take), named_structures(ward / "rs.dcm", take)),
    ]
    for index in (4, 5):
        files = (ward / f"e{index}.nii", images[index]), (ward / f"e{index}-seg.nii", labels[index])
        pairs.append(tuple(named_nifti(path, array, lambda: name) for path, array in files))
    wrong = named_nifti(ward / f"f-{missing}.nii", labels[8] * 7, lambda: name)
    pairs.append((named_nifti(ward / "f.nii", images[8], lambda: name), wrong))
    pairs += [(path, None) for path in damaged_files(ward, images[6:8], take)]
    pairs.append((ward / f"missing-{missing}.nii.gz", None))
    rows = [["image", "label", "case_id", "patient_id"]]
    for number, pair in enumerate(pairs):
        image, label = (path.relative_to(root).as_posix() if path else "" for path in pair)
        rows.append([image, label, take() if number == 1 else "", take()])
    with (root / "list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return tokens.made


def damaged_files(ward: Path, images: Sequence[np.ndarray], take: Callable[[], str]) -> list[Path]:
    """A truncated NIfTI file, and a DICOM series of which one slice is; their names are tokens."""
    cut = named_nifti(ward / f"{take()}.nii.gz", images[0], lambda: "nobody")
    cut.write_bytes(cut.read_bytes()[:-60])
    slices = sorted(write_dicom(ward / "series", images[1]))
    slices[3].write_bytes(slices[3].read_bytes()[:-900])
    slices[3].rename(ward / "series" / f"{take()}.dcm")
    return [cut, ward / "series"]


def find_tokens(root: Path, tokens: list[str]) -> dict[str, list[str]]:
    """Where tokens occur below a folder: in names, targets of links and contents of files, in any case and encoding."""
    forms = {token.lower().encode(code): token for token in tokens for code in ("utf-8", "utf-16-le", "utf-16-be")}
    pattern = re.compile(b"|".join(map(re.escape, forms)))
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*")):
        relative = str(path.relative_to(root))
        texts = [relative.encode(), str(path.readlink()).encode() if path.is_symlink() else b""]
        for content in (*texts, *(views(path) if path.is_file() and not path.is_symlink() else ())):
            for form in set(pattern.findall(content.lower())):
                found.setdefault(forms[form], []).append(relative)
    return found


def views(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is compressed in it."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        try:
            yield gzip.decompress(content)
        except EOFError:
            yield zlib.decompressobj(31).decompress(content)
    elif content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif path.suffix == ".parquet":
        yield pd.read_parquet(path).to_csv().encode()
    elif path.suffix == ".b2nd":
        array = blosc2.open(str(path), mode="r")
        yield array[...].tobytes()
        yield json.dumps({name: str(array.vlmeta[name]) for name in array.vlmeta}).encode()
    elif path.suffix == ".png":
        with Image.open(path) as picture:
            yield repr(picture.info).encode()
    elif path.suffix == ".pdf":
        for match in re.finditer(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
            yield zlib.decompressobj().decompress(match[1]) if match[1][:1] == b"x" else b""
