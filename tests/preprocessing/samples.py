"""Small raw files made in code: a CT with two organs and a tumor, in NIfTI and DICOM, and the tables that name them."""

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from freetumor.core.config import Config
from freetumor.core.seeding import generator
from freetumor.core.tables import RAW_CASES, write_table
from tests.factory import small_config

SHAPE = (22, 34, 38)  # z, y, x
SPACING = (3.5, 2.5, 2.0)  # z, y, x in mm
AFFINE = np.array([[-2.0, 0, 0, 40], [0, -2.5, 0, 45], [0, 0, 3.5, -70], [0, 0, 0, 1]])  # canonical: x, y, z to RAS
MAP = {"1": "liver", "2": "liver_tumor", "3": "kidney"}


def make_ct(seed: int = 0, shape: tuple[int, int, int] = SHAPE, spots: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """HU and label, canonical (z, y, x): a body in air with bone, a liver with ``spots`` tumors, and a kidney."""
    rng = generator("raw sample", seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    image = rng.normal(-990, 12, shape)
    body = (y / 0.85) ** 2 + (x / 0.9) ** 2 < 1
    image[body] = rng.normal(-90, 15, body.sum())
    core = (y / 0.75) ** 2 + (x / 0.8) ** 2 < 1
    image[core] = rng.normal(45, 15, core.sum())
    spine = (y - 0.55) ** 2 + x**2 < 0.02
    image[spine] = rng.normal(600, 150, spine.sum())
    label = np.zeros(shape, np.uint8)
    label[((z - 0.2) / 0.6) ** 2 + (y / 0.5) ** 2 + ((x + 0.35) / 0.35) ** 2 < 1] = 1
    label[(z / 0.5) ** 2 + ((y - 0.2) / 0.2) ** 2 + ((x - 0.5) / 0.2) ** 2 < 1] = 3
    for _ in range(spots):
        center = np.array([0.2, 0, -0.35]) + rng.uniform(-0.15, 0.15, 3)
        near = ((z - center[0]) / 0.25) ** 2 + ((y - center[1]) / 0.15) ** 2 + ((x - center[2]) / 0.12) ** 2 < 1
        label[near & (label == 1)] = 2
    for code, level in ((1, 105), (2, 60), (3, 150)):
        image[label == code] = rng.normal(level, 15, (label == code).sum())
    return np.rint(image).clip(-1024, 3000).astype(np.int16), label


def nifti_bytes(array: np.ndarray, affine: np.ndarray = AFFINE, kind: type = nibabel.Nifti1Image) -> bytearray:
    """An uncompressed NIfTI file of a canonical array, in millimeters, with equal qform and sform."""
    image = kind(array.transpose(2, 1, 0) if array.ndim == 3 else array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    if np.isfinite(affine).all():
        image.set_qform(affine, 1)
    return bytearray(image.to_bytes())


def write_nifti(path: Path, content: bytes | np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write NIfTI bytes, or an array, compressed if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = bytes(nifti_bytes(content, affine) if isinstance(content, np.ndarray) else content)
    path.write_bytes(gzip.compress(raw, 6, mtime=0) if path.name.endswith(".gz") else raw)
    return path


def write_dicom(folder: Path, image: np.ndarray, descending: bool = False, series: str = "1.2.3.4") -> list[Path]:
    """A CT series of a canonical array: unsigned with intercept -1024, thickness unlike spacing, arbitrary names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    order = range(len(image))
    for number, z in enumerate(reversed(order) if descending else order):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(z)])
        slice_ = pydicom.Dataset()
        slice_.file_meta = meta
        slice_.SOPClassUID, slice_.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        slice_.Modality, slice_.SeriesInstanceUID, slice_.InstanceNumber = "CT", series, number + 1
        slice_.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        slice_.PatientName, slice_.PatientID = "Secret^Name", "secret-id"
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.ImagePositionPatient = [-40, -45, -70 + 3.5 * z]  # LPS; AFFINE says the same in RAS
        slice_.PixelSpacing, slice_.SliceThickness = [2.5, 2.0], 5.0
        slice_.Rows, slice_.Columns = image.shape[1:]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 0
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
        slice_.PixelData = (image[z].astype(np.int32) + 1024).astype("<u2").tobytes()
        paths.append(folder / f"{(number * 7919) % 1000:03d}")
        slice_.save_as(paths[-1], enforce_file_format=True)
    return paths


def raw_case(case_id: str, image: Path, *labels: Path, labeled: bool = True, **changes: object) -> dict:
    """A row of the table of raw cases."""
    entries = [{"path": str(path), "map": MAP} for path in labels]
    return {
        "case_id": case_id,
        "patient_id": case_id,
        "source": "own",
        "domain": "",
        "image": str(image),
        "labels": json.dumps(entries),
        "labeled": labeled,
        "category": "",
        "region": "",
        **changes,
    }


def write_cases(path: Path, rows: list[dict]) -> Path:
    """Write the table of raw cases."""
    write_table(pd.DataFrame(rows), path, RAW_CASES)
    return path


def study(shards: int = 1, **changes: object) -> Config:
    """A study whose only source is a folder called ``own``."""
    source = {"name": "own", "kind": "folder", "images": "*.nii.gz", "shards": shards, **changes.pop("source", {})}
    checks = {"max_quarantined": 1.0, "tolerated_refusals": 0, **changes.pop("checks", {})}
    return small_config(organs=["liver", "kidney"], sources=[source], checks=checks, **changes)
