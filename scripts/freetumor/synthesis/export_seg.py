"""A label array as a DICOM segmentation: one binary segment per class, one frame per slice that the class reaches.

Reference: DICOM PS3.3, A.51 and C.8.20 (segmentation), C.7.6.16 (functional groups), C.7.6.17 (dimensions).
Codes are of SNOMED CT and of DICOM PS3.16.
"""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import CTImageStorage, SegmentationStorage

from freetumor.core.labels import is_tumor, organ_of

from .export_series import DESCRIPTION, MAKER, Series, common_elements, decimals, file_meta

NO_DATE, NO_TIME = "20000101", "000000"  # required elements; the true ones would make the bytes differ
ANATOMY = ("91723000", "SCT", "Anatomical Structure")
ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM = ("108369006", "SCT", "Neoplasm")
ANY_ORGAN = ("91772007", "SCT", "Organ")
ORGANS = {
    "adrenal_gland": ("23451007", "SCT", "Adrenal gland"),
    "brain": ("12738006", "SCT", "Brain"),
    "breast": ("76752008", "SCT", "Breast"),
    "colon": ("71854001", "SCT", "Colon"),
    "esophagus": ("32849002", "SCT", "Esophagus"),
    "gallbladder": ("28231008", "SCT", "Gallbladder"),
    "kidney": ("64033007", "SCT", "Kidney"),
    "liver": ("10200004", "SCT", "Liver"),
    "lung": ("39607008", "SCT", "Lung"),
    "muscle": ("127954009", "SCT", "Skeletal muscle"),
    "pancreas": ("15776009", "SCT", "Pancreas"),
    "prostate": ("41216001", "SCT", "Prostate"),
    "spleen": ("78961009", "SCT", "Spleen"),
    "stomach": ("69695003", "SCT", "Stomach"),
    "uterus": ("35039007", "SCT", "Uterus"),
}
DERIVATION = ("113076", "DCM", "Segmentation")
SOURCE = ("121322", "DCM", "Source image for image processing operation")
RED, SAND = (53, 80, 67), (84, 2, 24)  # L*, a*, b* of tumors and organs


def make_segmentation(series: Series, label: np.ndarray, names: Sequence[str]) -> Dataset:
    """The segmentation of a volume.

    Args:
        series: what it shares with the CT series that it refers to.
        label: uint8 (z, y, x), study codes; at least one voxel is labeled.
        names: class of each code; code 0 is the background.
    """
    codes = [code for code in range(1, len(names)) if (label == code).any()]
    frames = [(number, z) for number, code in enumerate(codes, 1) for z in _slices(label == code)]
    dataset = common_elements(series, SegmentationStorage, "SEG", 2)
    dataset.file_meta = file_meta(SegmentationStorage, series.uid("segmentation"))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.InstanceNumber, dataset.ContentDate, dataset.ContentTime = 1, NO_DATE, NO_TIME
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ContentLabel, dataset.ContentDescription, dataset.ContentCreatorName = "TUMORS", DESCRIPTION, ""
    dataset.ImageComments = series.comment
    dataset.SegmentationType, dataset.SegmentsOverlap = "BINARY", "NO"
    dataset.SegmentSequence = [_segment(number, names[code]) for number, code in enumerate(codes, 1)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = label.shape[1:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.NumberOfFrames = len(frames)
    bits = np.packbits(np.stack([label[z] == codes[number - 1] for number, z in frames]).ravel(), bitorder="little")
    dataset.PixelData = bits.tobytes() + bytes(len(bits) % 2)
    _refer(dataset, series, len(label))
    _place(dataset, series, frames)
    return dataset


def _slices(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask.any(axis=(1, 2))).tolist()


def _segment(number: int, name: str) -> Dataset:
    """The description of a segment; its label is the name of the class."""
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, name
    item.SegmentAlgorithmType, item.SegmentAlgorithmName = "SEMIAUTOMATIC", MAKER
    organ = ORGANS.get(organ_of(name), ANY_ORGAN)
    item.SegmentedPropertyCategoryCodeSequence = [_code(ABNORMAL if is_tumor(name) else ANATOMY)]
    item.SegmentedPropertyTypeCodeSequence = [_code(NEOPLASM if is_tumor(name) else organ)]
    if is_tumor(name):
        item.AnatomicRegionSequence = [_code(organ)]
    lightness, a, b = RED if is_tumor(name) else SAND
    scaled = (lightness / 100, (a + 128) / 255, (b + 128) / 255)
    item.RecommendedDisplayCIELabValue = [round(65535 * value) for value in scaled]
    return item


def _refer(dataset: Dataset, series: Series, count: int) -> None:
    """Name the images of the CT series."""
    reference = Dataset()
    reference.SeriesInstanceUID = series.uid("series", "CT")
    reference.ReferencedInstanceSequence = [_image(series, z) for z in range(count)]
    dataset.ReferencedSeriesSequence = [reference]


def _image(series: Series, z: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, series.uid("ct", z)
    return item


def _place(dataset: Dataset, series: Series, frames: Sequence[tuple[int, int]]) -> None:
    """Say of which segment each frame is, and where it lies."""
    column, row, depth = series.spacing
    organization, shared, measures, orientation = Dataset(), Dataset(), Dataset(), Dataset()
    organization.DimensionOrganizationUID = series.uid("dimensions")
    dataset.DimensionOrganizationSequence = [organization]
    dataset.DimensionIndexSequence = [
        _dimension(series, "ReferencedSegmentNumber", "SegmentIdentificationSequence"),
        _dimension(series, "ImagePositionPatient", "PlanePositionSequence"),
    ]
    measures.PixelSpacing = decimals(np.array([row, column]))
    measures.SliceThickness, measures.SpacingBetweenSlices = decimals(np.array([depth, depth]))
    orientation.ImageOrientationPatient = series.orientation
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_frame(series, number, z) for number, z in frames]


def _dimension(series: Series, element: str, group: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = series.uid("dimensions")
    item.DimensionIndexPointer, item.FunctionalGroupPointer = tag_for_keyword(element), tag_for_keyword(group)
    item.DimensionDescriptionLabel = element
    return item


def _frame(series: Series, number: int, z: int) -> Dataset:
    """The functional groups of one frame: the part of segment ``number`` in slice ``z``."""
    groups, content, position, identification, derivation = (Dataset() for _ in range(5))
    content.DimensionIndexValues = [number, z + 1]
    position.ImagePositionPatient = series.position(z)
    identification.ReferencedSegmentNumber = number
    source = _image(series, z)
    source.PurposeOfReferenceCodeSequence, source.SpatialLocationsPreserved = [_code(SOURCE)], "YES"
    derivation.DerivationCodeSequence, derivation.SourceImageSequence = [_code(DERIVATION)], [source]
    groups.FrameContentSequence, groups.PlanePositionSequence = [content], [position]
    groups.SegmentIdentificationSequence, groups.DerivationImageSequence = [identification], [derivation]
    return groups


def _code(code: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item
