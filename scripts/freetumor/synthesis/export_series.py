"""A volume as a DICOM CT series, marked as synthetic and free of identity.

Nothing is copied from DICOM files of the source: every element is made from the tables of the study. Identifiers are hashes of
the content, so the same volume has the same bytes, and another content has other identifiers.

Reference: DICOM PS3.3, A.3 (CT image), C.7.6.2 (image plane), C.12.1 (synthetic data); PS3.5, B.2 (identifiers from UUIDs).
"""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from freetumor.core.files import sha256_json
from freetumor.preprocessing.itkfile import LPS_TO_RAS

from .export_volume import Item, Volume

MAKER = "freetumor"
DESCRIPTION = "SYNTHETIC tumors, not for diagnosis"
COMMENT = "SYNTHETIC: {count} lesions of this volume were painted by a computer program and were never in a patient: {names}"


@dataclass(frozen=True)
class Series:
    """What the objects of one volume share.

    Attributes:
        key: hash of the content, from which identifiers derive.
        case_id: the parent, the only identity.
        comment: what is synthetic.
        affine: (column, row, slice) index to mm in DICOM's frame: x to the left, y to posterior, z to superior.
        window: HU that viewers show first.
    """

    key: str
    case_id: str
    comment: str
    affine: np.ndarray
    window: tuple[float, float]

    @classmethod
    def of(cls, item: Item, volume: Volume, window: tuple[float, float]) -> "Series":
        """The series of a volume."""
        affine = LPS_TO_RAS @ volume.parent.affine
        content = [hashlib.sha256(array).hexdigest() for array in (volume.image, volume.label)]
        comment = COMMENT.format(count=len(item.lesion_ids), names=", ".join(item.lesion_ids))
        return cls(sha256_json([item.name, affine.tolist(), content]), item.case_id, comment, affine, window)

    def uid(self, *names: str | int) -> UID:
        """The identifier of a named part."""
        return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join([self.key, *map(str, names)])).int}")

    @property
    def spacing(self) -> np.ndarray:
        """Distances in mm between columns, rows and slices."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def orientation(self) -> list[DSfloat]:
        """Unit steps along a row and along a column."""
        return decimals((self.affine[:3, :2] / self.spacing[:2]).T.ravel())

    def position(self, number: int) -> list[DSfloat]:
        """Center of the first pixel of a slice, in mm."""
        return decimals(self.affine[:3, 3] + number * self.affine[:3, 2])


def decimals(values: np.ndarray) -> list[DSfloat]:
    """Numbers as decimal strings of at most 16 characters."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def make_slices(series: Series, image: np.ndarray) -> Iterator[Dataset]:
    """The CT images of a volume, one per slice.

    Args:
        series: what they share.
        image: int16 HU (z, y, x); stored as it is, so that HU are exact.
    """
    template = _image_template(series, image)
    for number, pixels in enumerate(image):
        dataset = Dataset()
        dataset.update(template)
        dataset.file_meta = file_meta(CTImageStorage, series.uid("ct", number))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
        dataset.InstanceNumber = number + 1
        dataset.ImagePositionPatient = series.position(number)
        dataset.PixelData = pixels.astype("<i2").tobytes()
        yield dataset


def _image_template(series: Series, image: np.ndarray) -> Dataset:
    dataset = common_elements(series, CTImageStorage, "CT", 1)
    low, high = series.window
    column, row, depth = series.spacing
    dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    dataset.ImageComments = series.comment
    dataset.AcquisitionNumber, dataset.KVP, dataset.PatientPosition = None, None, ""
    dataset.ImageOrientationPatient = series.orientation
    dataset.PixelSpacing = decimals(np.array([row, column]))
    dataset.SliceThickness, dataset.SpacingBetweenSlices = decimals(np.array([depth, depth]))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape[1:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
    dataset.WindowCenter, dataset.WindowWidth = decimals(np.array([(low + high) / 2, high - low]))
    return dataset


def common_elements(series: Series, kind: UID, modality: str, number: int) -> Dataset:
    """Patient, study, series and maker of an object; what is not known is empty, what would identify is absent."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.Modality, dataset.SyntheticData = kind, modality, "YES"
    dataset.PatientName, dataset.PatientID = "SYNTHETIC", series.case_id
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientIdentityRemoved = "", "", "YES"
    dataset.DeidentificationMethod = "Made from voxels alone; no source tag is copied"
    dataset.StudyInstanceUID, dataset.StudyID, dataset.AccessionNumber = series.uid("study"), "", ""
    dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "", "", ""
    dataset.StudyDescription = DESCRIPTION
    dataset.SeriesInstanceUID, dataset.SeriesNumber = series.uid("series", modality), number
    dataset.SeriesDescription = DESCRIPTION
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = series.uid("frame"), ""
    dataset.Manufacturer = dataset.ManufacturerModelName = dataset.DeviceSerialNumber = dataset.SoftwareVersions = MAKER
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    return dataset


def file_meta(kind: UID, instance: UID) -> FileMetaDataset:
    """The head of a DICOM file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, instance
    return meta
